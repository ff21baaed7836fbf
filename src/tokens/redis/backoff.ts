// How long to leave a server alone that could not be reached.
// What always holds: the pauses grow, have an upper bound, and are not the same on all hosts.

const FIRST_MS = 50;
const LONGEST_MS = 2000;

export class RedisBackoff {
  private failures = 0;
  private until = 0;

  /** Milliseconds until the next attempt; zero or less: now. */
  get left(): number {
    return this.until - performance.now();
  }

  failed(): void {
    const pause = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.failures++, 10));
    this.until = performance.now() + pause * (0.5 + Math.random() / 2);
  }

  succeeded(): void {
    this.failures = 0;
    this.until = 0;
  }
}
