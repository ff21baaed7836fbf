// A session before its target has greeted: the deadline, what the browser sent meanwhile, what the target said so far.
// What always holds: it is bounded in time and bytes, and nothing of it is left when it has ended.
import { EARLY_BYTES, QUEUED_PIECES } from '../high-water.js';

/** What a session needs only until its target has greeted. */
export class SetUp {
  readonly early: Buffer[] = [];
  private readonly abort = new AbortController();
  private readonly deadline: NodeJS.Timeout;
  private earlyBytes = 0;
  private greeting: Buffer = Buffer.alloc(0);

  constructor(timeoutMs: number, onLate: () => void) {
    this.deadline = setTimeout(onLate, timeoutMs);
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  get heldBack(): boolean {
    return this.earlyBytes > EARLY_BYTES || this.early.length > QUEUED_PIECES;
  }

  /** @returns false: the browser has sent enough for now */
  keepEarly(bytes: Buffer): boolean {
    this.early.push(bytes);
    this.earlyBytes += bytes.length;
    return !this.heldBack;
  }

  /** All that the target has said so far, in memory of its own. */
  collect(bytes: Buffer): Buffer {
    this.greeting = Buffer.concat([this.greeting, bytes]);
    return this.greeting;
  }

  /** The target is there. */
  end(): void {
    clearTimeout(this.deadline);
  }

  /** Nobody waits for the target any more. */
  giveUp(): void {
    this.end();
    this.abort.abort();
  }
}
