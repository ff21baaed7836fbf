// The service's own session, from a file like OpenNebula's one_auth: `user:password` in one line.
// What always holds: only we and root can read the file, and no problem with it quotes what is in it.
import { StartError } from '../errors.js';
import { readSecretFile } from '../secret-file.js';
import type { SessionString } from './session-string.js';

/** A line; a login token of OpenNebula has 64 characters. */
const MAX_BYTES = 4096;

/**
 * Reads the file, every time anew. A trailing line break is cut; the password may have colons.
 * @throws StartError naming `service_auth`
 */
export function readServiceAuth(path: string): SessionString {
  const problem = (what: string) => new StartError(`service_auth: ${path} ${what}`);
  const text = decode(readSecretFile(path, 'service_auth', MAX_BYTES))?.replace(/\r?\n$/, '');
  if (text === undefined) throw problem('is not UTF-8');
  if (/\p{Cc}/u.test(text)) throw problem('has more than one line, or control characters');
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) throw problem('does not have the form user:password');
  return text as SessionString;
}

function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
