// Content-Encoding as portals send it. What always holds: a body is read as plain only where the header names nothing
// that would have changed its bytes; a coding that is not known stays in the header, and is refused.
import { listMembers } from '../http-request.js';

/** No coding: its own word, and what is meant for other headers (charsets whose bytes XML has anyway, MIME's transfer encodings). */
const PLAIN = new Set([
  ...['identity', 'none', 'utf-8', 'utf8', 'us-ascii', 'ascii'],
  ...['7bit', '8bit', 'binary'],
]);

/** RFC 9110 section 8.4.1.3. */
const SAME = new Map([['x-gzip', 'gzip']]);

/** @returns the coding in small letters, several as they came; `identity` where the body is as it was written */
export function contentCoding(header: string | undefined): string {
  const codings = listMembers(header)
    .map((member) => member.toLowerCase())
    .filter((coding) => !PLAIN.has(coding));
  return codings.length === 0 ? 'identity' : codings.map((coding) => SAME.get(coding) ?? coding).join(', ');
}
