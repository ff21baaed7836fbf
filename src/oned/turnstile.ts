// At most so many at a time; the rest wait, each with a way to stop waiting, and have fair turns; background work behind
// them all, but never without an end.
// What always holds: a place is given back exactly once, and one who gave up never gets one; as long as anybody else has
// asked lately, whoever holds as many places as are free gets no further one, so that there is always one for who comes.
import { GatewayError } from '../errors.js';
import { type Waiter, waitForTurn } from '../waiter.js';
import { FairQueue, type Turn } from './fair-queue.js';

/** Callers who may wait; whoever comes on top would not get a turn within any sensible deadline. */
const MAX_WAITING = 1000;
/** Somebody who asked within that time may ask again, and should find a place. */
const LATELY_MS = 60_000;
/** So many callers may go before background work that waits. */
const MAX_OVERTAKING = 16;
/** Whose calls have no name of their own: the service's. */
const NOBODY: Turn = [''];

export interface Priority {
  /** Nobody waits for the answer: behind all who do, and never in the last free place. */
  readonly background?: boolean;
  /** Whose turn it is; those who are told apart go round. */
  readonly by?: Turn | undefined;
}

interface Waiting extends Waiter {
  readonly turn: Turn;
}

export class Turnstile {
  private readonly places: () => number;
  private readonly maxWaiting: number;
  private readonly now: () => number;
  private inside = 0;
  private readonly callers = new FairQueue<Waiting>();
  /** Has a queue of its own, so that it cannot take callers' places in theirs. */
  private readonly background = new FairQueue<Waiting>();
  /** Places that callers hold, by the first key of their turns. */
  private readonly held = new Map<string, number>();
  /** The last two who asked, and when: enough to know whether anybody but a given one did. */
  private readonly lately = new Map<string, number>();
  private overtaking = 0;

  /**
   * @param places asked at every turn, so that it may change while running
   * @param now milliseconds of a clock that is never set
   */
  constructor(places: () => number, maxWaiting = MAX_WAITING, now = () => performance.now()) {
    this.places = places;
    this.maxWaiting = maxWaiting;
    this.now = now;
  }

  /**
   * Runs `work` when there is a place.
   * @throws GatewayError `over-limit` where too many wait, and none has more calls waiting; the signal's reason when it
   * fires first
   */
  async pass<T>(
    signal: AbortSignal,
    work: () => Promise<T>,
    { background = false, by = NOBODY }: Priority = {},
  ): Promise<T> {
    const [key] = by;
    await this.enter(background ? this.background : this.callers, by, signal);
    try {
      return await work();
    } finally {
      this.inside--;
      if (!background) this.hold(key, -1);
      this.admit();
    }
  }

  private enter(queue: FairQueue<Waiting>, turn: Turn, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.see(queue === this.background ? NOBODY[0] : turn[0]);
    return waitForTurn(
      { turn },
      {
        signal,
        enter: (waiting) => {
          queue.add(turn, waiting);
          this.admit();
          this.makeRoom(queue);
        },
        leave: (waiting) => {
          queue.remove(turn, waiting);
          // He may have been all that stood before background work.
          this.admit();
          return signal.reason;
        },
      },
    );
  }

  /** Whoever has most calls waiting loses the last of them. */
  private makeRoom(queue: FairQueue<Waiting>): void {
    if (queue.size <= this.maxWaiting) return;
    const detail = `more than ${this.maxWaiting} calls wait for oned`;
    queue.takeFromLargest()?.refuse(new GatewayError('over-limit', { detail }));
  }

  private admit(): void {
    while (this.admitLate() || this.admitCaller() || this.admitBackground());
  }

  /** Background work that was overtaken often enough: without it nobody's rights would be looked at in a long rush. */
  private admitLate(): boolean {
    return this.overtaking >= MAX_OVERTAKING && this.admitBackground();
  }

  private admitCaller(): boolean {
    const free = this.places() - this.inside;
    if (free <= 0) return false;
    const waiting = this.callers.take((key) => {
      const held = this.held.get(key) ?? 0;
      return held === 0 || held < free || !this.hasSeenOthers(key);
    });
    if (waiting === undefined) return false;
    if (this.background.size > 0) this.overtaking++;
    this.hold(waiting.turn[0], 1);
    this.inside++;
    waiting.go();
    return true;
  }

  private admitBackground(): boolean {
    // Of one place, there is none to keep free: then it has it while nobody else wants it.
    if (this.inside >= Math.max(1, this.places() - 1)) return false;
    const waiting = this.background.take(() => true);
    if (waiting === undefined) return false;
    this.overtaking = 0;
    this.inside++;
    waiting.go();
    return true;
  }

  private hold(key: string, change: 1 | -1): void {
    const held = (this.held.get(key) ?? 0) + change;
    if (held > 0) this.held.set(key, held);
    else this.held.delete(key);
  }

  private see(key: string): void {
    this.lately.delete(key);
    this.lately.set(key, this.now());
    const [oldest] = this.lately.keys();
    if (this.lately.size > 2 && oldest !== undefined) this.lately.delete(oldest);
  }

  private hasSeenOthers(key: string): boolean {
    const since = this.now() - LATELY_MS;
    for (const [other, at] of this.lately) if (other !== key && at > since) return true;
    return false;
  }
}
