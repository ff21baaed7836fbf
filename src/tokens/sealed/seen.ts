// Which sealed tokens this host has met. A sealed token brings its own grant, so a store that forgot it would take a
// used or ended one for a new one.
// What always holds: a token is remembered for as long as it could be taken for a new one, whatever became of it.
import { ExpiryOrder } from '../memory/expiry-order.js';
import type { TokenHash } from '../token.js';

/** Tokens that one look for expired ones takes out. */
const SWEEP_BATCH = 5000;

export class SealedSeen {
  private readonly expiries = new Map<TokenHash, number>();
  private readonly order = new ExpiryOrder();

  get size(): number {
    return this.expiries.size;
  }

  has(hash: TokenHash): boolean {
    return this.expiries.has(hash);
  }

  /** @param expiresAt milliseconds since 1970; from then on nobody can take it for a new one */
  add(hash: TokenHash, expiresAt: number): void {
    this.expiries.set(hash, expiresAt);
    this.order.put(hash, expiresAt);
  }

  removeExpired(now: number): void {
    for (const hash of this.order.takeDue(now, SWEEP_BATCH)) {
      const expiresAt = this.expiries.get(hash) ?? now;
      if (expiresAt > now) this.order.put(hash, expiresAt);
      else this.expiries.delete(hash);
    }
  }
}
