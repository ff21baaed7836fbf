// The one computation of VNC Authentication, used by the demo's server to check and by its client to answer.
// What always holds: only the first eight bytes of a password count, as in every VNC implementation.
import { createCipheriv } from 'node:crypto';

const KEY_BYTES = 8;

/** The length of a challenge and of its response, in bytes (RFC 6143 section 7.2.2). */
export const CHALLENGE_BYTES = 16;

/**
 * Encrypts the server's 16 byte challenge with the password: DES in ECB mode (RFC 6143 section 7.2.2).
 * @returns 16 bytes
 * @throws RangeError for a challenge of another length
 */
export function respondToChallenge(password: string, challenge: Buffer): Buffer {
  if (challenge.length !== CHALLENGE_BYTES) throw new RangeError('a VNC challenge has 16 bytes');
  const key = desKey(password);
  // Single DES is gone from OpenSSL 3's default provider; triple DES with the same key thrice equals it.
  const cipher = createCipheriv('des-ede3-ecb', Buffer.concat([key, key, key]), null);
  cipher.setAutoPadding(false);
  return Buffer.concat([cipher.update(challenge), cipher.final()]);
}

/** VNC reads a key's bits in the other direction than DES does, byte by byte. */
function desKey(password: string): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  Buffer.from(password, 'utf8').copy(key, 0, 0, KEY_BYTES);
  return key.map(reverseBits) as Buffer;
}

function reverseBits(byte: number): number {
  let reversed = 0;
  for (let bit = 0; bit < 8; bit++) {
    if (byte & (1 << bit)) reversed |= 0x80 >> bit;
  }
  return reversed;
}
