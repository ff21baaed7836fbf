// Private keys as OpenSSL writes them (PKCS#8, RFC 5958, and what else Node reads), made into the forms that the SSH library
// reads. What always holds: nothing of a key stands in an error, and a key that is encrypted is decrypted or refused.
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { causeOf } from '../errors.js';

export type KeyProblem = 'needs-passphrase' | 'wrong-passphrase' | 'unusable';

/** In bytes: what PROTOCOL.key of OpenSSH pads an unencrypted key to. */
const BLOCK_BYTES = 8;
const LINE_CHARS = 70;

/** @returns PEM that the library reads, of RSA, ECDSA or Ed25519; or why not */
export function convertKey(
  text: Buffer,
  passphrase: string | undefined,
): { readonly pem: string } | KeyProblem {
  const key = read(text, passphrase);
  if (typeof key === 'string') return key;
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return { pem: String(key.export({ type: 'pkcs1', format: 'pem' })) };
    case 'ec':
      return { pem: String(key.export({ type: 'sec1', format: 'pem' })) };
    case 'ed25519':
      return { pem: openSshKey(key) };
    default:
      return 'unusable';
  }
}

function read(text: Buffer, passphrase: string | undefined): KeyObject | KeyProblem {
  try {
    return createPrivateKey({
      key: text,
      format: 'pem',
      ...(passphrase === undefined ? {} : { passphrase }),
    });
  } catch (error) {
    if (!/^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(text.toString('latin1'))) return 'unusable';
    if (passphrase === undefined) return 'needs-passphrase';
    // A wrong one makes noise of the key, in which OpenSSL may stumble anywhere.
    return causeOf(error).includes('UNSUPPORTED') ? 'unusable' : 'wrong-passphrase';
  }
}

/** PROTOCOL.key of OpenSSH: Ed25519 has no older form that the library knows. */
function openSshKey(key: KeyObject): string {
  const { x = '', d = '' } = key.export({ format: 'jwk' });
  const [publicKey, seed] = [Buffer.from(x, 'base64url'), Buffer.from(d, 'base64url')];
  const type = string('ssh-ed25519');
  const check = Buffer.alloc(8);
  const comment = string('');
  const secret = Buffer.concat([
    ...[check, type, string(publicKey), string(Buffer.concat([seed, publicKey])), comment],
  ]);
  const missing = (BLOCK_BYTES - (secret.length % BLOCK_BYTES)) % BLOCK_BYTES;
  const padding = Buffer.from(Array.from({ length: missing }, (_none, index) => index + 1));
  const none = string('none');
  const count = Buffer.from([0, 0, 0, 1]);
  const whole = Buffer.concat([
    ...[Buffer.from('openssh-key-v1\0'), none, none, string('')],
    ...[count, string(Buffer.concat([type, string(publicKey)])), string(Buffer.concat([secret, padding]))],
  ]);
  const lines = whole.toString('base64').match(new RegExp(`.{1,${LINE_CHARS}}`, 'g')) ?? [];
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

/** A string of SSH (RFC 4251 section 5): its length, and its bytes. */
function string(content: Buffer | string): Buffer {
  const bytes = Buffer.from(content as Buffer);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
