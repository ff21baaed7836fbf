// The service's own session, from a file like OpenNebula's one_auth: `user:password` in one line.
// What always holds: only we and root can read the file, and no problem with it quotes what is in it.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { causeOf, StartError } from '../errors.js';
import type { SessionString } from './session-string.js';

/** A line; a login token of OpenNebula has 64 characters. */
const MAX_BYTES = 4096;
/** Whatever group and others may do. */
const NOT_OURS = 0o077;
const MODE = 0o777;
const ROOT = 0;

/**
 * Reads the file, every time anew. A trailing line break is cut; the password may have colons.
 * @throws StartError naming `service_auth`
 */
export function readServiceAuth(path: string): SessionString {
  const problem = (what: string) => new StartError(`service_auth: ${path} ${what}`);
  const text = decode(readOwn(path, problem))?.replace(/\r?\n$/, '');
  if (text === undefined) throw problem('is not UTF-8');
  if (/\p{Cc}/u.test(text)) throw problem('has more than one line, or control characters');
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) throw problem('does not have the form user:password');
  return text as SessionString;
}

/** What is looked at is what is read: the open file, not its name. */
function readOwn(path: string, problem: (what: string) => StartError): Buffer {
  let file: number;
  try {
    // A pipe in its place must not stop the service.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw problem(`cannot be read: ${causeOf(error)}`);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw problem('is not a file');
    if (stat.uid !== ROOT && stat.uid !== process.geteuid?.()) {
      throw problem(`belongs to user ${stat.uid}; it must be ours or root's`);
    }
    if ((stat.mode & NOT_OURS) !== 0) {
      const mode = (stat.mode & MODE).toString(8).padStart(4, '0');
      throw problem(`has mode ${mode}; group and others must not have access (chmod 600)`);
    }
    return readStart(file, problem);
  } finally {
    closeSync(file);
  }
}

function readStart(file: number, problem: (what: string) => StartError): Buffer {
  const buffer = Buffer.alloc(MAX_BYTES + 1);
  let length: number;
  try {
    length = readSync(file, buffer, 0, buffer.length, 0);
  } catch (error) {
    throw problem(`cannot be read: ${causeOf(error)}`);
  }
  if (length > MAX_BYTES) throw problem(`has more than ${MAX_BYTES} bytes`);
  return buffer.subarray(0, length);
}

function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
