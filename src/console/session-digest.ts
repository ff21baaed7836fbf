// A session string as a key to remember something by. What always holds: it cannot be told from the key, not even by
// trying passwords, for the key to the keys is of this process alone and is nowhere else.
import { createHmac, randomBytes } from 'node:crypto';
import type { SessionString } from '../oned/session-string.js';

const key = randomBytes(32);

/** HMAC-SHA-256 (RFC 2104), base64. */
export function sessionDigest(session: SessionString): string {
  return createHmac('sha256', key).update(session).digest('base64');
}
