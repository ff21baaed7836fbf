// The rules against a model that was written from what users are promised: thousands of lives of a token, at random.
// What always holds: rules and model agree after every step on who is let in, who has to go, who is there and until when;
// a store that forgets a record at the time that the record names makes no difference.
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { SessionId, TokenRecord } from '../../src/tokens/record.ts';
import {
  type Changed,
  type ClaimOutcome,
  claim,
  end,
  isAlive,
  issued,
  presentLeases,
  release,
  renew,
  type TokenRules,
} from '../../src/tokens/rules.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { type ModelClaim, type ModelClient, TokenModel } from '../support/token-model.ts';

const LIVES = 20_000;
const STEPS = 60;
/** So many more steps must change nothing. */
const STEPS_AFTER_DEATH = 6;
const START = 1_700_000_000_000;

const clients: readonly ModelClient[] = [
  { address: '192.0.2.1', network: 'office' },
  { address: '192.0.2.1', network: 'office' },
  { address: '192.0.2.2', network: 'next to the office' },
  { address: '2001:db8:0:1::1', network: 'home' },
  { address: '2001:db8:0:1:a:b:c:d', network: 'home' },
  { address: '2001:db8:0:2::1', network: 'next to home' },
];

/** A session that its process believes to be live. */
interface Live {
  readonly id: SessionId;
  readonly client: ModelClient;
  readonly since: number;
  readonly worker: number;
  readonly endsAt: number | undefined;
}

/** What a life was made of, so that the test can tell that it tries everything. */
const happened = new Map<string, number>();
const note = (what: string) => happened.set(what, (happened.get(what) ?? 0) + 1);

/** One token, two workers and their sessions. */
class Simulation {
  readonly log: string[] = [];
  private readonly random: Random;
  private readonly rules: TokenRules;
  private readonly model: TokenModel;
  private record: TokenRecord | undefined;
  private live: Live[] = [];
  private now = START;
  private sessions = 0;
  /** Since the token has died. */
  stepsDead = 0;

  constructor(random: Random) {
    this.random = random;
    const graceMs = this.pick([0, 1, 5000, 45_000, 60_000, 120_000]);
    const maxAgeMs = this.pick([undefined, 30_000, 300_000, 3_600_000]);
    const ttl = this.pick([1000, 600_000, 600_000]);
    const sessions = this.pick(['single', 'single', 'shared'] as const);
    const bindClient = this.pick([false, false, true]);
    this.rules = { graceMs, maxAgeMs, sessions, bindClient };
    this.model = new TokenModel(
      { grace: graceMs, maxAge: maxAgeMs, shared: sessions === 'shared', bindClient },
      START,
      ttl,
    );
    const target = { host: 'host1', port: 5907 };
    this.record = issued({ vmId: 7, target, uid: 2, user: 'alice', issuedAt: START, expiresAt: START + ttl });
    this.log.push(JSON.stringify({ ...this.rules, ttl }));
  }

  step(): void {
    const steps = [
      ...Array<() => void>(4).fill(() => this.connect()),
      ...Array<() => void>(4).fill(() => this.passTime()),
      () => this.keepUp(1 + this.random(8)),
      () => this.renewAll([this.random(2)]),
      () => this.renewAll([0, 1]),
      () => this.drop(),
      () => this.reconnect(),
      () => this.lose(),
      () => (this.random(3) === 0 ? this.crash(this.random(2)) : this.keepUp(1)),
      () => (this.random(4) === 0 ? this.kill() : this.drop()),
    ];
    this.pick(steps)();
    this.compare();
  }

  /** What the gate does: claims and, where somebody is in the way, asks and claims again. */
  private connect(client = this.pick(clients)): void {
    const id = `s${++this.sessions}` as SessionId;
    let outcome = this.claim(id, client);
    if (outcome.kind === 'in-use' && outcome.holder !== undefined) {
      const { holder } = outcome;
      const isThere = this.live.some((one) => one.id === holder) && this.random(3) > 0;
      note(isThere ? 'the holder answered' : 'the holder was silent');
      if (isThere) return;
      // Others do not wait while somebody is asked.
      this.now += this.random(5501);
      if (this.random(2) === 0)
        this.pick([() => this.drop(), () => this.claim(`${id}x`, this.pick(clients))])();
      this.compare();
      outcome = this.claim(id, client, holder);
    }
    note(outcome.kind);
  }

  private claim(id: string, client: ModelClient, silent?: SessionId): ClaimOutcome {
    const session = id as SessionId;
    const expected = this.model.claim(session, client, silent, this.now);
    const outcome = this.take(
      claim(this.record, { session, client: client.address, silent }, this.rules, this.now),
    );
    this.tell(`claim ${session} from ${client.address}, silent ${silent}: ${outcome.kind}`);
    agree('claim', simplified(outcome), expected);
    if (outcome.kind !== 'granted') return outcome;
    const { endsAt, replaced } = outcome;
    this.live.push({ id: session, client, since: this.now, worker: this.random(2), endsAt });
    for (const one of replaced) this.order(one, 'taken over');
    return outcome;
  }

  private drop(): void {
    const one = this.live.length === 0 ? undefined : this.pick(this.live);
    if (one === undefined) return;
    note('dropped');
    this.close(one);
  }

  private reconnect(): void {
    const one = this.live.length === 0 ? undefined : this.pick(this.live);
    if (one === undefined) return;
    note('reconnected');
    this.close(one);
    this.now += this.random(3000);
    this.connect(one.client);
  }

  /** A session ends, and its word about that does not reach the store. */
  private lose(): void {
    if (this.live.length === 0) return;
    note('lost');
    const one = this.pick(this.live);
    this.live = this.live.filter((other) => other !== one);
    this.tell(`${one.id} is lost`);
  }

  private crash(worker: number): void {
    note('crashed');
    this.tell(`worker ${worker} crashes`);
    this.live = this.live.filter((one) => one.worker !== worker);
  }

  private kill(): void {
    const why = this.pick(['revoked', 'vm-gone'] as const);
    const expected = this.model.kill(why, this.now);
    const told = this.take(end(this.record, why, this.rules, this.now));
    this.tell(`${why}: ${told}`);
    agree('who has to end', told?.toSorted(), expected?.toSorted());
    note(told === undefined ? 'ended too late' : 'ended');
    for (const one of told ?? []) this.order(one, why);
  }

  /** A host is told that a session has to end; such a message may be lost. */
  private order(id: SessionId, why: string): void {
    const one = this.live.find((other) => other.id === id);
    if (one === undefined) return;
    if (this.random(2) === 0) note('an order was lost');
    else this.close(one);
    note(why);
  }

  private close(one: Live): void {
    this.live = this.live.filter((other) => other !== one);
    this.model.leave(one.id, this.now);
    this.take(release(this.record, one.id, this.rules, this.now));
    this.tell(`release ${one.id}`);
  }

  private renewAll(workers: readonly number[]): void {
    for (const one of this.live.filter(({ worker }) => workers.includes(worker))) {
      if (!this.live.includes(one)) continue;
      const expected = this.model.hear(one.id, this.now);
      const lease = { id: one.id, client: one.client.address, since: one.since, bytes: this.random(1000) };
      const outcome = this.take(renew(this.record, lease, this.rules, this.now));
      this.tell(`renew ${one.id}: ${outcome}`);
      agree('renewal', outcome, expected);
      note(`told ${outcome}`);
      if (outcome !== 'renewed' && outcome !== 'unknown') this.close(one);
    }
  }

  /** Time passes as it does while all is well. */
  private keepUp(rounds: number): void {
    for (let round = 0; round < rounds; round++) {
      this.now += 20_000;
      this.endOld();
      this.renewAll([0, 1]);
      this.compare();
    }
  }

  /** Time passes without a word from anybody, mostly to the moment at which something changes. */
  private passTime(): void {
    const moments = this.model
      .moments()
      .map((moment) => moment - 1 + this.random(3))
      .filter((moment) => moment > this.now);
    if (moments.length > 0 && this.random(3) > 0) this.now = this.pick(moments);
    else this.now += this.pick([0, 1, 500, 5000, 9999, 10_000, 20_000, 59_999]);
    this.tell('later');
    this.endOld();
  }

  /** A host ends those whose time is over by itself. */
  private endOld(): void {
    for (const one of this.live) {
      if (one.endsAt !== undefined && one.endsAt <= this.now) this.close(one);
    }
  }

  private compare(): void {
    const { record, now, model, rules } = this;
    const alive = record !== undefined && isAlive(record, rules, now);
    agree('alive', alive, model.opens(now));
    agree('alive again', this.stepsDead > 0 && alive, false);
    this.stepsDead = alive ? 0 : this.stepsDead + 1;
    if (alive) {
      const there = presentLeases(record.use, now).map(({ session }) => session);
      agree('who is there', there.toSorted(), model.there(now).toSorted());
      if (rules.sessions === 'single') agree('at most one at a time', there.length <= 1, true);
      // What was never used may be kept somewhat longer than its age allows.
      const kept = record.use === undefined ? Math.min(record.keepUntil, model.closesAt()) : record.keepUntil;
      agree('how long the record is kept', kept, model.closesAt());
    }
    // A store may forget it from that moment on, or somewhat later.
    if (record !== undefined && record.keepUntil <= now && this.random(2) === 0) {
      this.record = undefined;
      note('forgotten');
      this.tell('the record is forgotten');
    }
  }

  private take<R>({ record, result }: Changed<R>): R {
    this.record = record;
    return result;
  }

  private pick<T>(choices: readonly T[]): T {
    return choices[this.random(choices.length)] as T;
  }

  private tell(what: string): void {
    this.log.push(`${this.now - START}: ${what}`);
  }
}

/** As `toEqual`, which is too slow for some millions of comparisons. */
function agree(what: string, rules: unknown, model: unknown): void {
  if (!isDeepStrictEqual(rules, model)) expect(rules, what).toEqual(model);
}

/** Without what the model does not tell: why a token is not valid, and what was granted. */
function simplified(outcome: ClaimOutcome): ModelClaim {
  if (outcome.kind === 'not-valid') return { kind: 'not-valid' };
  if (outcome.kind === 'in-use') return outcome;
  return { kind: 'granted', replaced: [...outcome.replaced], endsAt: outcome.endsAt };
}

function liveOnce(seed: number): void {
  const simulation = new Simulation(seededRandom(seed));
  try {
    for (let step = 0; step < STEPS && simulation.stepsDead < STEPS_AFTER_DEATH; step++) simulation.step();
  } catch (error) {
    const story = simulation.log.join('\n  ');
    throw new Error(`the life with seed ${seed}:\n  ${story}`, { cause: error });
  }
}

describe('the rules', () => {
  it(`agree with the model in ${LIVES} lives of a token`, () => {
    for (let seed = 1; seed <= LIVES; seed++) liveOnce(seed);
  });

  it('were tried in all that can happen', () => {
    const things = [
      ...['granted', 'not-valid', 'in-use', 'the holder answered', 'the holder was silent', 'taken over'],
      ...['dropped', 'reconnected', 'lost', 'crashed', 'ended', 'ended too late', 'an order was lost'],
      ...['told renewed', 'told unknown', 'told taken-over', 'told revoked', 'told vm-gone', 'forgotten'],
    ];
    for (const thing of things) expect(happened.get(thing) ?? 0, thing).toBeGreaterThan(100);
  });
});
