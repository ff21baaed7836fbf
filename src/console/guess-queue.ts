// When somebody who has not proved to be a user may try: at once as long as nobody has failed with that name, and then one
// at a time, ever more slowly, wherever they come from.
// What always holds: no name is locked; how many wait has a bound, and networks have fair turns and room; the very
// session string that is being tried already is no further guess.
import { GatewayError } from '../errors.js';
import { FairQueue } from '../oned/fair-queue.js';
import { type Waiter, waitForTurn } from '../waiter.js';
import type { SessionMark } from './proven-sessions.js';

/** An unproven login. */
export interface Guess {
  /** As `userKey` writes it. */
  readonly name: string;
  /** The caller's. */
  readonly network: string;
  readonly mark: SessionMark;
}

export interface GuessQueueParts {
  /** Failed logins with a name lately, from anywhere. */
  readonly failures: (name: string) => number;
  /** Milliseconds of a clock that is never set. */
  readonly now: () => number;
  /** Runs something later; @returns what takes that back */
  readonly later: (ms: number, run: () => void) => () => void;
  /** Of all names together. */
  readonly maxWaiting: number;
  /** Fires when the service stops: nobody waits from then on. */
  readonly stopping: AbortSignal;
}

/** So many failures are a slip of the finger; after them each further one doubles the distance to the next try. */
const FREE_FAILURES = 2;
const FIRST_DISTANCE_MS = 500;
const LAST_DISTANCE_MS = 8000;
/** Different session strings of a name that are tried at a time where none has failed: a guesser's first handful. */
const AT_A_TIME = 4;
/** Whoever came on top would wait for half a minute, and portals do not. */
const MAX_WAITING_APART = 3;
const MAX_WAITING_TOGETHER = 64;

interface Waiting extends Waiter {
  readonly guess: Guess;
}

/** Whoever tries a name. */
interface Lane {
  /** How often a session string is being tried now. */
  readonly underWay: Map<SessionMark, number>;
  readonly waiting: Set<Waiting>;
  /** The same, by network. */
  readonly queue: FairQueue<Waiting>;
  lastAt: number;
  stopTimer: (() => void) | undefined;
}

export class GuessQueue {
  private readonly parts: GuessQueueParts;
  /** The one that was used longest ago is first. */
  private readonly lanes = new Map<string, Lane>();
  /** All who wait, by network and name. */
  private readonly room = new FairQueue<Waiting>();

  constructor(parts: GuessQueueParts) {
    this.parts = parts;
    parts.stopping.addEventListener('abort', () => this.stop());
  }

  /** How many wait. */
  get size(): number {
    return this.room.size;
  }

  /**
   * Waits until a guess may be tried.
   * @returns to be called when it has been answered, and its failure counted
   * @throws GatewayError `too-many-logins`, `stopping`; the signal's reason when it fires first
   */
  async enter(guess: Guess, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const lane = this.laneOf(guess.name);
    if (lane.underWay.has(guess.mark) || (lane.waiting.size === 0 && this.waitOf(guess.name, lane) === 0)) {
      this.begin(lane, guess);
    } else {
      await this.wait(lane, guess, signal);
    }
    return () => this.leave(lane, guess);
  }

  /** That session string is no guess any more. */
  proven({ name, mark }: Guess): void {
    const lane = this.lanes.get(name);
    if (lane === undefined) return;
    for (const waiting of [...lane.waiting]) if (waiting.guess.mark === mark) this.let(lane, waiting);
  }

  private wait(lane: Lane, guess: Guess, signal: AbortSignal): Promise<void> {
    if (this.parts.stopping.aborted) return Promise.reject(new GatewayError('stopping'));
    return waitForTurn(
      { guess },
      {
        signal,
        enter: (waiting) => {
          lane.waiting.add(waiting);
          lane.queue.add([guess.network], waiting);
          this.room.add([guess.network, guess.name], waiting);
          this.makeRoom();
          this.serve(guess.name, lane);
        },
        leave: (waiting) => {
          this.takeOut(lane, waiting);
          return signal.reason;
        },
      },
    );
  }

  private stop(): void {
    for (const lane of this.lanes.values()) {
      lane.stopTimer?.();
      for (const waiting of [...lane.waiting]) {
        this.takeOut(lane, waiting);
        waiting.refuse(new GatewayError('stopping'));
      }
    }
  }

  /** Whoever takes most room loses the last of it. */
  private makeRoom(): void {
    while (this.room.size > this.parts.maxWaiting) this.sendAway(this.room.takeFromLargest());
  }

  private sendAway(waiting: Waiting | undefined): void {
    if (waiting === undefined) return;
    const lane = this.lanes.get(waiting.guess.name);
    if (lane !== undefined) this.takeOut(lane, waiting);
    const detail = 'too many logins with that name, or from that address, wait after failed ones';
    waiting.refuse(new GatewayError('too-many-logins', { detail }));
  }

  /** Lets go whoever may, and looks again when the next one may. */
  private serve(name: string, lane: Lane): void {
    lane.stopTimer?.();
    lane.stopTimer = undefined;
    for (;;) {
      const wait = this.waitOf(name, lane);
      const max = Number.isFinite(wait) ? MAX_WAITING_APART : MAX_WAITING_TOGETHER;
      while (wait > 0 && lane.queue.size > max) this.sendAway(lane.queue.takeFromLargest());
      if (lane.queue.size === 0) return;
      if (wait > 0) {
        if (Number.isFinite(wait)) lane.stopTimer = this.parts.later(wait, () => this.serve(name, lane));
        return;
      }
      const next = lane.queue.take(() => true);
      if (next !== undefined) this.let(lane, next);
    }
  }

  private let(lane: Lane, waiting: Waiting): void {
    this.takeOut(lane, waiting);
    this.begin(lane, waiting.guess);
    waiting.go();
  }

  private begin(lane: Lane, { mark }: Guess): void {
    lane.lastAt = this.parts.now();
    lane.underWay.set(mark, (lane.underWay.get(mark) ?? 0) + 1);
  }

  private leave(lane: Lane, { name, mark }: Guess): void {
    const left = (lane.underWay.get(mark) ?? 0) - 1;
    if (left > 0) lane.underWay.set(mark, left);
    else lane.underWay.delete(mark);
    this.serve(name, lane);
  }

  private takeOut(lane: Lane, waiting: Waiting): void {
    lane.waiting.delete(waiting);
    lane.queue.remove([waiting.guess.network], waiting);
    this.room.remove([waiting.guess.network, waiting.guess.name], waiting);
  }

  /** Until the next guess of a name, in milliseconds; without an end: until one of those under way is answered. */
  private waitOf(name: string, { underWay, lastAt }: Lane): number {
    const failures = this.parts.failures(name);
    if (failures <= FREE_FAILURES) return underWay.size < AT_A_TIME ? 0 : Number.POSITIVE_INFINITY;
    return Math.max(0, lastAt + distanceAfter(failures) - this.parts.now());
  }

  private laneOf(name: string): Lane {
    const lane = this.lanes.get(name) ?? newLane();
    this.lanes.delete(name);
    this.forgetIdle();
    this.lanes.set(name, lane);
    return lane;
  }

  /** Of the oldest, those that say nothing any more: one more is looked at than was made. */
  private forgetIdle(): void {
    let looks = 2;
    for (const [name, lane] of this.lanes) {
      if (looks-- === 0) return;
      const isIdle = lane.underWay.size === 0 && lane.waiting.size === 0;
      if (isIdle && this.parts.now() - lane.lastAt > LAST_DISTANCE_MS) this.lanes.delete(name);
    }
  }
}

function newLane(): Lane {
  return {
    ...{ underWay: new Map(), waiting: new Set(), queue: new FairQueue<Waiting>() },
    ...{ lastAt: Number.NEGATIVE_INFINITY, stopTimer: undefined },
  };
}

function distanceAfter(failures: number): number {
  return Math.min(LAST_DISTANCE_MS, FIRST_DISTANCE_MS * 2 ** (failures - FREE_FAILURES - 1));
}
