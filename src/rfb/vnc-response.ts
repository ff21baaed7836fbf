// VNC authentication's answer to a challenge (RFC 6143 section 7.2.2).
// What always holds: only the first eight bytes of a password count, and no server learns the password from the answer.
import { createCipheriv } from 'node:crypto';

const KEY_BYTES = 8;

/** Of a challenge, and of its answer. */
export const CHALLENGE_BYTES = 16;

/** @param challenge 16 bytes of the target's choice @returns the 16 bytes that it wants to see */
export function answerChallenge(challenge: Buffer, password: string): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  // As libvirt hands it to QEMU: UTF-8, even where that cuts a character in two.
  Buffer.from(password, 'utf8').copy(key);
  for (const [index, byte] of key.entries()) key[index] = mirror(byte);
  // Single DES is gone from OpenSSL 3; triple DES with one key three times is the same.
  const cipher = createCipheriv('des-ede3-ecb', Buffer.concat([key, key, key]), null);
  cipher.setAutoPadding(false);
  return Buffer.concat([cipher.update(challenge), cipher.final()]);
}

/** VNC takes the key's bits from the other end of every byte than DES does. */
function mirror(byte: number): number {
  let mirrored = 0;
  for (let rest = byte, bits = 0; bits < 8; bits++, rest >>= 1) mirrored = (mirrored << 1) | (rest & 1);
  return mirrored;
}
