// @ts-check
// A whole run: table by table, every load against every peer in turn, round by round.
// What always holds: what stands in one table was measured within the same minutes, no peer is always the first, and
// those of other tables are not there: of many that wait for their turn for long, compilers and caches forget too much.
import { measureIdle, weighedFlags } from './idle.mjs';
import { measureIssue, measureOned } from './issue.mjs';
import { loads } from './load.mjs';
import { calibrate, check, measure, warmUp } from './measure.mjs';
import { Patience } from './quiet.mjs';

/** @param {string} load */
const takesPart =
  (load) =>
  (/** @type {Running} */ { kind }) =>
    kind.loads?.includes(load) ?? true;

/** @typedef {import('./load.mjs').Sample} Sample */
/** @typedef {import('./options.mjs').Plan} Plan */
/** @typedef {import('./peer.mjs').PeerKind} PeerKind */
/** @typedef {import('./peer.mjs').Peer} Peer */
/** @typedef {{ kind: PeerKind, peer: Peer }} Running */

/** Of a peer that has a process for each. */
const maxProcessSessions = 100;
/** Memory does not vary as times do, and filling a relay takes a while. */
const maxIdleRounds = 3;
const repeatsPerRound = 8;
/** Times as long as it is measured: so many parts take a share in a call that the compiler is busy for long. */
const issueWarmUp = 12;
/** Opened and closed before sessions are weighed, so that what every process needs anyway is there: heaps that have grown. */
const warmUpSessions = 6_000;

export class Run {
  /** @type {Sample[]} */
  samples = [];
  /** @type {Map<string, number>} */
  #units = new Map();
  #plan;
  #stage;
  #tell;
  #patience;

  /**
   * @param {Plan} plan
   * @param {import('./stage.mjs').Stage} stage
   * @param {(text: string) => void} tell what is being done
   */
  constructor(plan, stage, tell) {
    this.#plan = plan;
    this.#stage = stage;
    this.#tell = tell;
    this.#patience = new Patience(plan.rounds * repeatsPerRound);
  }

  async execute() {
    for (const place of [undefined, 'stores', 'ways']) {
      const kinds = this.#stage.kinds.filter(({ table }) => table === place);
      if (kinds.length > 0) await this.#fill(place ?? 'peers', kinds);
    }
  }

  /**
   * Measures all of one table.
   * @param {string} title
   * @param {readonly PeerKind[]} kinds
   */
  async #fill(title, kinds) {
    /** @type {Running[]} */
    const running = [];
    for (const kind of kinds) running.push({ kind, peer: await this.#stage.start(kind) });
    await this.#prepare(running);
    const rounds = Math.min(
      this.#plan.rounds,
      Math.max(...kinds.map((kind) => kind.rounds ?? this.#plan.rounds)),
    );
    /**
     * @param {string} what
     * @param {number} count
     * @param {(inTurn: Running[], round: number) => Promise<void>} measureAll
     */
    const inRounds = async (what, count, measureAll) => {
      for (let round = 0; round < count; round++) {
        this.#tell(`${title}, ${what}: round ${round + 1} of ${count}`);
        const inTurn = running.map(
          (_one, index) => /** @type {Running} */ (running[(index + round) % running.length]),
        );
        await measureAll(inTurn, round);
      }
    };
    if (this.#wantedLoads().length > 0)
      await inRounds('loads', rounds, (inTurn, round) => this.#measureLoads(inTurn, round));
    if (this.#wants('issue') && running.some(takesPart('issue')))
      await inRounds('tokens', rounds, (inTurn, round) => this.#measureIssue(inTurn, round));
    // The last, as it is of fresh peers and takes minutes.
    if (this.#wants('idle') && running.some(takesPart('idle')))
      await inRounds('idle sessions', Math.min(rounds, maxIdleRounds), (inTurn, round) =>
        this.#measureIdle(inTurn, round),
      );
    for (const { peer } of running) await peer.stop();
  }

  /** @param {string} load */
  #wants(load) {
    return this.#plan.only.length === 0 || this.#plan.only.includes(load);
  }

  #wantedLoads() {
    return loads.filter(({ name }) => this.#wants(name));
  }

  /** @param {readonly Running[]} running */
  async #prepare(running) {
    const { generator } = this.#stage;
    for (const load of this.#wantedLoads()) {
      this.#tell(`checking and warming up: ${load.name}`);
      for (const { kind, peer } of running.filter(takesPart(load.name))) {
        const aimSeconds = this.#plan.aimSeconds * (kind.effort ?? 1);
        await this.#check(kind, peer, load);
        // A process for each connection begins anew each time.
        if (!kind.processEach) await warmUp(generator, peer, load, aimSeconds);
        this.#units.set(`${load.name} ${kind.name}`, await calibrate(generator, peer, load, aimSeconds));
      }
    }
  }

  /**
   * Every byte, and that they took the way that the peer is there for.
   * @param {PeerKind} kind
   * @param {Peer} peer
   * @param {import('./load.mjs').Load} load
   */
  async #check({ title, door = 'tcp' }, peer, load) {
    const { generator, visits } = this.#stage;
    const before = await visits(door);
    await check(generator, peer, load);
    if ((await visits(door)) === before) throw new Error(`${title} reached the target by another way`);
  }

  /**
   * @param {readonly Running[]} running
   * @param {number} round
   */
  async #measureLoads(running, round) {
    for (const load of this.#wantedLoads()) {
      for (const { kind, peer } of running.filter(takesPart(load.name))) {
        const units = this.#units.get(`${load.name} ${kind.name}`) ?? load.first;
        const measured = await this.#patience.measure(() =>
          measure(this.#stage.generator, peer, load, units),
        );
        this.samples.push({ load: load.name, peer: kind.name, round, ...measured });
      }
    }
  }

  /**
   * @param {readonly Running[]} running
   * @param {number} round
   */
  async #measureIdle(running, round) {
    for (const { kind } of running.filter(takesPart('idle'))) {
      const units = Math.min(
        this.#plan.idleSessions,
        kind.processEach ? maxProcessSessions : Number.POSITIVE_INFINITY,
      );
      const warmUp = kind.processEach ? units : warmUpSessions;
      const amounts = { sessions: units, warmUp };
      const peer = await this.#stage.start(kind, weighedFlags);
      const bytes = await measureIdle(this.#stage.generator, peer, amounts);
      this.samples.push({ load: 'idle', peer: kind.name, round, units, bytes });
    }
  }

  /**
   * @param {readonly Running[]} running
   * @param {number} round
   */
  async #measureIssue(running, round) {
    const { generator, onedPort } = this.#stage;
    const { callMilliseconds: milliseconds } = this.#plan;
    const direct = await this.#patience.measure(() => measureOned(generator, onedPort, milliseconds));
    this.samples.push({ load: 'issue', peer: 'oned', round, ...direct });
    for (const { kind, peer } of running.filter(takesPart('issue'))) {
      const { pid, rpcPort } = peer;
      if (rpcPort === undefined) continue;
      // Unmeasured at first: neither is a service that has just been started.
      if (round === 0) await measureIssue(generator, { pid, rpcPort }, milliseconds * issueWarmUp);
      const issued = await this.#patience.measure(() =>
        measureIssue(generator, { pid, rpcPort }, milliseconds),
      );
      this.samples.push({ load: 'issue', peer: kind.name, round, ...issued });
    }
  }
}
