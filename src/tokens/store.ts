// The interface of everything that keeps grants by token. What always holds: a miss is undefined, a store that
// cannot answer throws; the first is a refusal, the second is "unavailable". There is no default target.
import type { Grant } from './grant.js';
import type { Token, TokenHash } from './token.js';

export interface TokenStore {
  /** Makes the store ready, with what it already holds. @throws StartError naming the setting */
  open(): Promise<void>;
  /**
   * Keeps a grant until it expires.
   * @throws GatewayError `store-failed` when it cannot be kept, and then nothing of it is left; `over-limit`
   */
  put(token: Token, grant: Grant): Promise<void>;
  /** The grant of a token that is still valid, which from now on counts as used; undefined for any other. */
  claim(hash: TokenHash): Promise<Grant | undefined>;
  /** Ends background work and waits for what is being written. What is stored stays. */
  close(): Promise<void>;
}
