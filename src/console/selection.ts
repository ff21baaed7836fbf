// Which tokens, and sessions on them, somebody means. What always holds: all that is given has to fit; what is not given
// fits all.
import type { Selection } from '../tokens/bus.js';
import type { Grant } from '../tokens/grant.js';
import { fingerprint as fingerprintOf, type TokenHash } from '../tokens/token.js';

/** What a token, or a session on one, is chosen by. */
export interface Choosable {
  readonly hash: TokenHash;
  readonly grant: Grant;
}

export function isSelected({ fingerprint, vmId, user }: Selection, { hash, grant }: Choosable): boolean {
  return (
    (fingerprint === undefined || fingerprintOf(hash) === fingerprint) &&
    (vmId === undefined || grant.vmId === vmId) &&
    (user === undefined || grant.user === user)
  );
}
