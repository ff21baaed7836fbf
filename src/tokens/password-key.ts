// The key that VNC passwords are sealed with: in a file of our own that the first start makes, or in one that is named in
// the configuration, where several hosts serve the same tokens. A line: 32 bytes in base64url.
// What always holds: nobody but us and root can read the file; it is never replaced, and never there half; a key's bytes
// are in no message.
import { createSecretKey, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { causeOf, StartError } from '../errors.js';
import { findSecretFile, readSecretFile } from '../secret-file.js';
import type { PasswordKey } from './password-seal.js';

/** In our own folder, `vnctoken/` under the state folder. */
const FILE_NAME = 'password-key';
/** What it is called in errors: no setting names it. */
const OWN = 'the password key';
const KEY_BYTES = 32;
/** 43 characters and a line break; what is more is no key, and told as such. */
const MAX_FILE_BYTES = 4096;
const LINE = /^([A-Za-z0-9_-]{43})\r?\n?$/;
/** Another process that starts may be quicker (EEXIST), or sweep our temporary file away as a forgotten one (ENOENT). */
const MAX_ATTEMPTS = 5;

/** The key in a folder of ours, where there is one. @throws StartError naming the file */
export function findPasswordKey(folder: string): PasswordKey | undefined {
  const path = join(folder, FILE_NAME);
  const content = findSecretFile(path, OWN, MAX_FILE_BYTES);
  return content && parseKey(content, OWN, path);
}

/**
 * The key of this host, which is made where there is none. Of processes that start at once all get the same.
 * @param folder our own folder, which must be there
 * @throws StartError naming the file
 */
export function ownPasswordKey(folder: string): PasswordKey {
  const path = join(folder, FILE_NAME);
  let cause = '';
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const key = findPasswordKey(folder);
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
  return parseKey(readSecretFile(path, setting, MAX_FILE_BYTES), setting, path);
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

function parseKey(content: Buffer, setting: string, path: string): PasswordKey {
  const text = LINE.exec(content.toString('latin1'))?.[1] ?? '';
  const bytes = Buffer.from(text, 'base64url');
  content.fill(0);
  if (bytes.length !== KEY_BYTES || bytes.toString('base64url') !== text) {
    throw new StartError(`${setting}: ${path} does not hold a key: one line of 32 bytes in base64url`);
  }
  const key = createSecretKey(bytes) as PasswordKey;
  bytes.fill(0);
  return key;
}
