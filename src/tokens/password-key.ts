// The key that VNC passwords are sealed with: in a file of our own that the first start makes, or in one that is named in
// the configuration, where several hosts serve the same tokens. A line: 32 bytes in base64url.
// What always holds: nobody but us and root can read the file; it is never replaced, and never there half; a key's bytes
// are in no message.
import { createSecretKey, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { causeOf, StartError } from '../errors.js';
import type { PasswordKey } from './password-seal.js';

/** In our own folder, `vnctoken/` under the state folder. */
const FILE_NAME = 'password-key';
/** What it is called in errors: no setting names it. */
const OWN = 'the password key';
const KEY_BYTES = 32;
/** 43 characters and a line break, with some room for an editor's. */
const MAX_FILE_BYTES = 64;
const LINE = /^([A-Za-z0-9_-]{43})\r?\n?$/;
/** Everything for group and others, and execution. */
const FORBIDDEN_MODE = 0o177;
/** Another process that starts may be quicker (EEXIST), or sweep our temporary file away as a forgotten one (ENOENT). */
const MAX_ATTEMPTS = 5;

/**
 * The key of this host, which is made where there is none. Of processes that start at once all get the same.
 * @param folder our own folder, which must be there
 * @throws StartError naming the file
 */
export function ownPasswordKey(folder: string): PasswordKey {
  const path = join(folder, FILE_NAME);
  let cause = '';
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const key = readKey(path, OWN, 'may be missing');
    if (key !== undefined) return key;
    cause = makeKey(folder, path);
    if (cause !== 'EEXIST' && cause !== 'ENOENT' && cause !== '') break;
  }
  throw new StartError(`${OWN}: cannot write ${path}: ${cause}`);
}

/**
 * The key in a file that somebody else made.
 * @param setting the name of what names the file, for errors
 * @throws StartError naming setting and file
 */
export function readPasswordKey(path: string, setting: string): PasswordKey {
  const key = readKey(path, setting, 'must be there');
  if (key === undefined) throw new StartError(`${setting}: cannot read ${path}: ENOENT`);
  return key;
}

/**
 * Whole and safely on disk before it has its name; a name that is there already stays what it is.
 * @returns what went wrong, or nothing
 */
function makeKey(folder: string, path: string): string {
  const temporary = join(folder, `.tmp-${randomBytes(12).toString('hex')}-key`);
  try {
    const file = openSync(temporary, 'wx', 0o600);
    try {
      writeFileSync(file, `${randomBytes(KEY_BYTES).toString('base64url')}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // Not rename, which would replace the key of another process that was quicker.
    linkSync(temporary, path);
    return '';
  } catch (error) {
    return causeOf(error);
  } finally {
    removeIfThere(temporary);
  }
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is swept away at the next start.
  }
}

type Presence = 'may be missing' | 'must be there';

function readKey(path: string, setting: string, presence: Presence): PasswordKey | undefined {
  const problem = (what: string) => new StartError(`${setting}: ${path} ${what}`);
  let file: number;
  try {
    // Without waiting: a named pipe would keep the service from starting.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const cause = causeOf(error);
    if (cause === 'ENOENT' && presence === 'may be missing') return undefined;
    throw new StartError(`${setting}: cannot read ${path}: ${cause}`);
  }
  try {
    checkPrivate(file, problem);
    return parseKey(readStart(file, problem), problem);
  } finally {
    closeSync(file);
  }
}

/** Of the open file, so that it is the very one that is read. */
function checkPrivate(file: number, problem: (what: string) => StartError): void {
  const stat = fstatSync(file);
  if (!stat.isFile()) throw problem('is not a file');
  if ((stat.mode & FORBIDDEN_MODE) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
    throw problem(`has mode ${mode}; it must be 0600 or stricter`);
  }
  if (stat.uid !== 0 && stat.uid !== process.geteuid?.()) {
    throw problem("belongs to somebody else; it must be ours or root's");
  }
}

function readStart(file: number, problem: (what: string) => StartError): Buffer {
  const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
  try {
    return buffer.subarray(0, readSync(file, buffer, 0, buffer.length, 0));
  } catch (error) {
    throw problem(`cannot be read: ${causeOf(error)}`);
  }
}

function parseKey(content: Buffer, problem: (what: string) => StartError): PasswordKey {
  const text = LINE.exec(content.toString('latin1'))?.[1] ?? '';
  const bytes = Buffer.from(text, 'base64url');
  content.fill(0);
  if (bytes.length !== KEY_BYTES || bytes.toString('base64url') !== text) {
    throw problem('does not hold a key: one line of 32 bytes in base64url');
  }
  const key = createSecretKey(bytes) as PasswordKey;
  bytes.fill(0);
  return key;
}
