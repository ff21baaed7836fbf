// Which tokens may have expired by now, without a look at all the others: they lie in buckets, one a second.
// What always holds: a token lies in one bucket, never in a later one than it needs; one whose time was extended
// stays where it is and is moved when its turn comes, so that an extension costs nothing.
import type { TokenHash } from '../token.js';

export class ExpiryOrder {
  private readonly buckets = new Map<number, Set<TokenHash>>();
  private readonly seconds = new Map<TokenHash, number>();
  /** No bucket is before this second. */
  private first = Number.POSITIVE_INFINITY;

  /** @param at milliseconds since 1970 */
  put(hash: TokenHash, at: number): void {
    const second = secondOf(at);
    const before = this.seconds.get(hash);
    if (before !== undefined && before <= second) return;
    this.delete(hash);
    const bucket = this.buckets.get(second);
    if (bucket === undefined) this.buckets.set(second, new Set([hash]));
    else bucket.add(hash);
    this.seconds.set(hash, second);
    this.first = Math.min(this.first, second);
  }

  delete(hash: TokenHash): void {
    const second = this.seconds.get(hash);
    if (second === undefined) return;
    this.seconds.delete(hash);
    const bucket = this.buckets.get(second);
    bucket?.delete(hash);
    if (bucket?.size === 0) this.buckets.delete(second);
  }

  /**
   * Takes out those whose time may have come; one whose time has not is to be put back.
   * @param limit so many at most, the rest the next time
   */
  takeDue(now: number, limit: number): readonly TokenHash[] {
    const present = secondOf(now);
    const due: TokenHash[] = [];
    for (const second of this.secondsUpTo(present)) {
      for (const hash of this.buckets.get(second) ?? []) {
        if (due.length === limit) return this.taken(due);
        due.push(hash);
      }
    }
    this.first = Math.max(this.first, present);
    return this.taken(due);
  }

  private taken(due: readonly TokenHash[]): readonly TokenHash[] {
    for (const hash of due) this.delete(hash);
    return due;
  }

  /** Second by second, or bucket by bucket after a long pause, whatever is less. */
  private secondsUpTo(present: number): readonly number[] {
    const count = present - this.first + 1;
    if (count <= 0) return [];
    if (count <= this.buckets.size) return Array.from({ length: count }, (_, index) => this.first + index);
    return [...this.buckets.keys()].filter((second) => second <= present).sort((a, b) => a - b);
  }
}

function secondOf(at: number): number {
  return Math.floor(at / 1000);
}
