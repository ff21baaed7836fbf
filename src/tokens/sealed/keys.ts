// The keys of sealed tokens, from the file that `sealed_keys` names: a line each, `<key id> <32 bytes in base64url>`.
// What always holds: nobody but us and root can read the file, a key's bytes are in no message, and once in use they
// cannot be had back from the key.
import { webcrypto } from 'node:crypto';
import { StartError } from '../../errors.js';
import { readSecretFile } from '../../secret-file.js';

export interface SealKey {
  /** Stands in the header of every token that it sealed. No secret. */
  readonly id: string;
  readonly key: webcrypto.CryptoKey;
}

export interface SealKeys {
  /** The first of the file. */
  readonly sealing: SealKey;
  /** All of them, by id. */
  readonly opening: ReadonlyMap<string, webcrypto.CryptoKey>;
  /** Opens nothing; for tokens with an unknown key id, so that they take as long as others. */
  readonly decoy: webcrypto.CryptoKey;
}

/** What the file says: never empty, the sealing one first. Secret. */
export type KeyBytes = ReadonlyMap<string, Uint8Array>;

/** What a key id may be; it goes into JSON as it is. */
export const KEY_ID = '[A-Za-z0-9._-]{1,32}';

const KEY_LENGTH = 32;
const MAX_KEYS = 16;
const MAX_FILE_BYTES = 65_536;
const LINE = new RegExp(`^(?<id>${KEY_ID})\\s+(?<key>[A-Za-z0-9_-]{43})$`);

/** @throws StartError that names `sealed_keys`, the file and, where it is about one, the line */
export function readSealedKeys(path: string): KeyBytes {
  const lines = readSecretFile(path, 'sealed_keys', MAX_FILE_BYTES)
    .toString('utf8')
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim());
  const keys = new Map<string, Buffer>();
  for (const [index, line] of lines.entries()) {
    if (line !== '') addKey(keys, line, `sealed_keys: ${path} line ${index + 1}`);
  }
  if (keys.size === 0) throw new StartError(`sealed_keys: ${path} holds no key`);
  return keys;
}

export async function importKeys(keys: KeyBytes): Promise<SealKeys> {
  const imported = await Promise.all([...keys].map(importKey));
  const sealing = imported[0];
  if (sealing === undefined) throw new TypeError('no keys');
  return {
    sealing,
    opening: new Map(imported.map(({ id, key }) => [id, key])),
    decoy: await webcrypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['decrypt']),
  };
}

async function importKey([id, bytes]: [string, Uint8Array]): Promise<SealKey> {
  const key = await webcrypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt']);
  return { id, key };
}

function addKey(keys: Map<string, Buffer>, line: string, where: string): void {
  const { id = '', key = '' } = LINE.exec(line)?.groups ?? {};
  const bytes = Buffer.from(key, 'base64url');
  if (bytes.length !== KEY_LENGTH || bytes.toString('base64url') !== key) {
    throw new StartError(`${where}: expected a key id (letters, digits, . _ -) and 32 bytes in base64url`);
  }
  if (keys.has(id)) throw new StartError(`${where}: this key id is there already`);
  // Whoever rolls a key and copies the old one by mistake would retire nothing.
  if ([...keys.values()].some((other) => other.equals(bytes))) {
    throw new StartError(`${where}: this key is there already, under another id`);
  }
  if (keys.size === MAX_KEYS) throw new StartError(`${where}: more than ${MAX_KEYS} keys`);
  keys.set(id, bytes);
}
