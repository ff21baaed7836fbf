// A VNC password at rest: sealed with the service's own key (AES-256-GCM) and bound to the grant that it belongs to.
// What always holds: every sealing draws a nonce of its own; how long a password is does not show; whatever is wrong with
// a sealed one, the error is the same and quotes nothing.
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';
import { GatewayError } from '../errors.js';

/** Seals and opens passwords: 32 bytes that only the service has. */
export type PasswordKey = KeyObject & { readonly brand: 'PasswordKey' };

/** In UTF-8; VNC authentication looks at eight bytes, others take more. */
const MAX_PASSWORD_BYTES = 1024;
const LENGTH_BYTES = 2;
/** A padded length shows nothing of a usual password's own. */
const PADDING_BYTES = 64;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = 'aes-256-gcm';
/** Of this form; another one some day has another prefix. */
const PREFIX = 'v2.';
/** The same, bound to less. */
const FORMER_PREFIX = 'v1.';
const MAX_SEALED_BYTES = NONCE_BYTES + MAX_PASSWORD_BYTES + PADDING_BYTES + TAG_BYTES;

/**
 * @param boundTo what the password belongs to, so that it opens nowhere else. No secret.
 * @returns `v2.` and base64url
 * @throws GatewayError `store-failed` where the password is too long
 */
export function sealPassword(key: PasswordKey, password: string, boundTo: string): string {
  const plain = padded(password);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(additionalData(boundTo));
  const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  plain.fill(0);
  return PREFIX + sealed.toString('base64url');
}

/**
 * @param boundTo as it was when sealed
 * @param formerly what the version before bound it to
 * @throws GatewayError `internal`, always with the same words
 */
export function openPassword(key: PasswordKey, sealed: string, boundTo: string, formerly = boundTo): string {
  const bytes = decode(sealed);
  if (bytes === undefined) throw cannotOpen();
  const plain = decrypt(key, bytes, sealed.startsWith(FORMER_PREFIX) ? formerly : boundTo);
  const length = plain.readUInt16BE(0);
  const password = plain.toString('utf8', LENGTH_BYTES, LENGTH_BYTES + length);
  plain.fill(0);
  return password;
}

function decrypt(key: PasswordKey, bytes: Buffer, boundTo: string): Buffer {
  try {
    const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(additionalData(boundTo));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    const plain = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
    decipher.final();
    return plain;
  } catch {
    throw cannotOpen();
  }
}

/** @returns undefined where the text is not exactly what we could have written */
function decode(sealed: string): Buffer | undefined {
  const isOurs = sealed.startsWith(PREFIX) || sealed.startsWith(FORMER_PREFIX);
  if (!isOurs || sealed.length > PREFIX.length + MAX_SEALED_BYTES * 2) return undefined;
  const text = sealed.slice(PREFIX.length);
  const bytes = Buffer.from(text, 'base64url');
  // Base64url has spare bits and is read leniently: a second spelling is not ours.
  if (bytes.toString('base64url') !== text) return undefined;
  const padding = bytes.length - NONCE_BYTES - TAG_BYTES;
  return padding > 0 && padding % PADDING_BYTES === 0 ? bytes : undefined;
}

function padded(password: string): Buffer {
  const length = Buffer.byteLength(password);
  if (length > MAX_PASSWORD_BYTES) {
    throw new GatewayError('store-failed', {
      detail: `the VNC password has more than ${MAX_PASSWORD_BYTES} bytes`,
    });
  }
  const blocks = Math.ceil((LENGTH_BYTES + length) / PADDING_BYTES);
  const plain = Buffer.alloc(blocks * PADDING_BYTES);
  plain.writeUInt16BE(length, 0);
  plain.write(password, LENGTH_BYTES);
  return plain;
}

/** Names the use as well: the key can be given another one without the two being mixed up. */
function additionalData(boundTo: string): Buffer {
  return Buffer.from(`vnctoken password\0${boundTo}`);
}

function cannotOpen(): GatewayError {
  return new GatewayError('internal', { detail: 'the sealed VNC password cannot be opened' });
}
