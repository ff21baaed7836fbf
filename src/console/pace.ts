// The thread of the control plane, shared by who asks: whoever asks more than the others has what they leave of it.
// What always holds: while one asks too much the loop has idle time, so that what others bring is done at once; who waits
// here has fair turns and goes on in the end; somebody who is alone is not slowed down.
import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import { GatewayError } from '../errors.js';
import { FairQueue, type Turn } from '../oned/fair-queue.js';
import { type Waiter, waitForTurn } from '../waiter.js';
import { SlidingCounter } from './counters.js';

/** Of all together. */
const ALL = '';
/** Calls in a second that are never too many, and that while the loop is busy. */
const LIGHT = 50;
const LIGHT_WHILE_BUSY = 10;
const SECOND_MS = 1000;
/** Somebody who asked within that time may ask again, and should find the loop idle. */
const LATELY_MS = 60_000;
const MAX_LATELY = 10_000;
const MAX_WAITING = 1000;
/** How often it is seen whether there is time for one who waits. */
const TICK_MS = 2;
/** Of the thread's time: beyond that, those who wait go on waiting. */
const BUSY = 0.5;
/** How long a look at the loop counts beside newer ones. */
const REMEMBERED_MS = 20;
/** One of those who wait goes after that, however busy the loop is. */
const LONGEST_MS = 250;
/** Of oned's replies that were taken for somebody so many are never too many: hundreds of VMs, or three of the largest. */
const LIGHT_BYTES = 12 * 1024 * 1024;
/** Known only when they have come, so they count for longer. */
const BYTES_MS = 10_000;

export interface PaceParts {
  /** Milliseconds of a clock that is never set. */
  readonly now?: () => number;
  readonly utilization?: () => Pick<EventLoopUtilization, 'active' | 'idle'>;
  readonly later?: (ms: number, run: () => void) => void;
  readonly maxWaiting?: number;
}

export class Pace {
  private readonly parts: Required<PaceParts>;
  private readonly queue = new FairQueue<Waiter>();
  /** Those of them who begin with the same key. */
  private readonly waiting = new Map<string, number>();
  private readonly calls = new SlidingCounter(SECOND_MS);
  private readonly bytes = new SlidingCounter(BYTES_MS);
  /** Who has asked within a minute, and when last; the one who did longest ago is first. */
  private readonly lately = new Map<string, number>();
  private busy = 0;
  private seen: Pick<EventLoopUtilization, 'active' | 'idle'> = { active: 0, idle: 0 };
  private lastAt = Number.NEGATIVE_INFINITY;
  private ticking = false;

  constructor(parts: PaceParts = {}) {
    this.parts = {
      now: () => performance.now(),
      utilization: () => performance.eventLoopUtilization(),
      later: laterByClock,
      maxWaiting: MAX_WAITING,
      ...parts,
    };
  }

  /**
   * Settles when there is time for somebody: at once, unless he asks more than the others.
   * @throws GatewayError `over-limit` where too many wait, and none has more waiting; `caller-gone` when the signal fires
   */
  async pass(turn: Turn, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw new GatewayError('caller-gone');
    const [key] = turn;
    this.look();
    if (this.waiting.has(key) || this.isTooMuch(key)) await this.wait(turn, signal);
    this.count(key);
  }

  /** What somebody's calls have cost, beyond being calls: bytes that were taken for them. */
  charge([key]: Turn, bytes: number): void {
    addTo(this.bytes, key, this.parts.now(), bytes);
  }

  private wait(turn: Turn, signal: AbortSignal | undefined): Promise<void> {
    const [key] = turn;
    return waitForTurn(
      {},
      {
        signal,
        enter: (waiting) => {
          this.waiting.set(key, (this.waiting.get(key) ?? 0) + 1);
          this.queue.add(turn, waiting);
          this.makeRoom();
          this.begin();
        },
        leave: (waiting) => {
          this.queue.remove(turn, waiting);
          return new GatewayError('caller-gone');
        },
        settled: () => {
          const left = (this.waiting.get(key) ?? 0) - 1;
          if (left > 0) this.waiting.set(key, left);
          else this.waiting.delete(key);
        },
      },
    );
  }

  private makeRoom(): void {
    const { maxWaiting } = this.parts;
    if (this.queue.size <= maxWaiting) return;
    const detail = `more than ${maxWaiting} calls wait for those of others`;
    this.queue.takeFromLargest()?.refuse(new GatewayError('over-limit', { detail }));
  }

  private begin(): void {
    if (this.ticking) return;
    this.ticking = true;
    this.parts.later(TICK_MS, () => this.tick());
  }

  private tick(): void {
    this.look();
    const now = this.parts.now();
    const hasTime = this.busy < BUSY || now - this.lastAt >= LONGEST_MS;
    const next =
      this.queue.take((key) => !this.isTooMuch(key)) ?? (hasTime ? this.queue.take(() => true) : undefined);
    if (next !== undefined) this.lastAt = now;
    next?.go();
    this.ticking = this.queue.size > 0;
    if (this.ticking) this.parts.later(TICK_MS, () => this.tick());
  }

  private look(): void {
    const present = this.parts.utilization();
    const active = present.active - this.seen.active;
    const total = active + present.idle - this.seen.idle;
    if (total < TICK_MS) return;
    this.seen = present;
    this.busy += (active / total - this.busy) * (1 - Math.exp(-total / REMEMBERED_MS));
  }

  /** More than the others on average, of all who have asked in a minute: calls that were let in or wait, or bytes. */
  private isTooMuch(key: string): boolean {
    const light = this.busy < BUSY ? LIGHT : LIGHT_WHILE_BUSY;
    return (
      this.isMost(this.calls, key, light, this.waiting.get(key), this.queue.size) ||
      this.isMost(this.bytes, key, LIGHT_BYTES)
    );
  }

  private isMost(counter: SlidingCounter, key: string, light: number, own = 0, all = 0): boolean {
    const now = this.parts.now();
    const count = counter.count(key, now) + own;
    return count > light && count > (counter.count(ALL, now) + all) / Math.max(1, this.lately.size);
  }

  private count(key: string): void {
    const now = this.parts.now();
    addTo(this.calls, key, now);
    this.lately.delete(key);
    this.lately.set(key, now);
    for (const [oldest, at] of this.lately) {
      if (this.lately.size <= MAX_LATELY && now - at < LATELY_MS) break;
      this.lately.delete(oldest);
    }
  }
}

function laterByClock(ms: number, run: () => void): void {
  setTimeout(run, ms);
}

function addTo(counter: SlidingCounter, key: string, now: number, amount = 1): void {
  counter.add(key, now, amount);
  counter.add(ALL, now, amount);
}
