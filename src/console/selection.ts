// Which tokens, and sessions on them, somebody means. What always holds: all that is given has to fit; what is not given
// fits all.
import type { Selection } from '../tokens/bus.js';
import { type Grant, UNKNOWN_UID } from '../tokens/grant.js';
import { fingerprint as fingerprintOf, type TokenHash } from '../tokens/token.js';
import { isOfZone } from '../tokens/zone.js';

/** What a token, or a session on one, is chosen by. */
export interface Choosable {
  readonly hash: TokenHash;
  readonly grant: Grant;
}

export function isSelected(
  { zone, fingerprint, vmId, uid, user }: Selection,
  { hash, grant }: Choosable,
): boolean {
  return (
    (zone === undefined || isOfZone(grant.zone, { alone: false, ...zone })) &&
    (fingerprint === undefined || fingerprintOf(hash) === fingerprint) &&
    (vmId === undefined || grant.vmId === vmId) &&
    (uid === undefined || grant.uid === uid) &&
    (user === undefined || isCalled(grant, user))
  );
}

/** Digits are an id as well, as in OpenNebula's own commands; one that is not known has none. */
function isCalled({ uid, user }: Grant, said: string): boolean {
  return user === said || (uid !== UNKNOWN_UID && String(uid) === said);
}
