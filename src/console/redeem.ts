// Redeem: from what a browser presents to the grant that it stands for. What always holds: unknown, expired and
// forged tokens are one and the same refusal; a store that cannot answer is never taken for a refusal.
import { causeOf, GatewayError } from '../errors.js';
import type { Grant } from '../tokens/grant.js';
import type { TokenStore } from '../tokens/store.js';
import type { TokenHash } from '../tokens/token.js';

/** By the token's hash: the token itself need not travel between processes. */
export type RedeemToken = (hash: TokenHash) => Promise<Grant>;

/** @returns a function that throws GatewayError `token-not-valid` or `store-unavailable` */
export function createRedeem(store: Pick<TokenStore, 'claim'>): RedeemToken {
  return async (hash) => {
    let grant: Grant | undefined;
    try {
      grant = await store.claim(hash);
    } catch (error) {
      throw new GatewayError('store-unavailable', { detail: `the token store: ${causeOf(error)}` });
    }
    if (grant === undefined)
      throw new GatewayError('token-not-valid', { detail: 'unknown or expired token' });
    return grant;
  };
}
