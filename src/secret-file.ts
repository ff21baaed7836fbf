// Reads a file that holds a secret: keys, passphrases, the service's own session.
// What always holds: nobody but us and root can read or write it, what is looked at is what is read, a size is bounded,
// and no problem quotes what is in it.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { causeOf, StartError } from './errors.js';

/** Whatever group and others may do. */
const NOT_OURS = 0o077;
const MODE = 0o777;
const ROOT = 0;

/**
 * @param setting what names the file, for errors: `sealed_keys`, `targets[2].key_file`
 * @throws StartError in one line that names setting and file
 */
export function readSecretFile(path: string, setting: string, maxBytes: number): Buffer {
  const bytes = findSecretFile(path, setting, maxBytes);
  if (bytes === undefined) throw new StartError(`${setting}: cannot read ${path}: ENOENT`);
  return bytes;
}

/** The same, for a file that need not be there. @returns undefined where it is not */
export function findSecretFile(path: string, setting: string, maxBytes: number): Buffer | undefined {
  let file: number | undefined;
  try {
    // Without waiting: a named pipe would keep the service from starting.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const problem = problemOf(file);
    if (problem !== undefined) throw new StartError(`${setting}: ${path} ${problem}`);
    const bytes = readStart(file, maxBytes + 1);
    if (bytes.length <= maxBytes) return bytes;
    bytes.fill(0);
    throw new StartError(`${setting}: ${path} is larger than ${maxBytes} bytes`);
  } catch (error) {
    if (error instanceof StartError) throw error;
    const cause = causeOf(error);
    if (cause === 'ENOENT') return undefined;
    throw new StartError(`${setting}: cannot read ${path}: ${cause}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Of the open file, so that it is the very one that is read. */
function problemOf(file: number): string | undefined {
  const stat = fstatSync(file);
  if (!stat.isFile()) return 'is not a file';
  if (stat.uid !== ROOT && stat.uid !== process.geteuid?.()) {
    return `belongs to user ${stat.uid}; it must be ours or root's`;
  }
  if ((stat.mode & NOT_OURS) === 0) return undefined;
  const mode = (stat.mode & MODE).toString(8).padStart(4, '0');
  return `has mode ${mode}; group and others must not have access (chmod 600)`;
}

/** What its size was said to be does not count. */
function readStart(file: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let length = 0;
  for (let read = -1; read !== 0 && length < bytes; length += read) {
    read = readSync(file, buffer, length, bytes - length, length);
  }
  return buffer.subarray(0, length);
}
