// The length of a rectangle in Tight or TightPNG encoding (rfbproto), part by part.
// What always holds: a pixel has three bytes; Tight is offered in no other case (client-encodings.ts).
import { RfbViolation } from './client-violation.js';

/** What is to be read next: `head` bytes to look at, then `read` is asked with them; or `skip` bytes of no interest. */
export type Step =
  | { readonly head: number; readonly read: (bytes: Buffer, at: number) => Step }
  | { readonly skip: number };

const PIXEL_BYTES = 3;
/** Shorter data is not compressed, and has no length in front. */
const UNCOMPRESSED_BELOW = 12;

const Method = { explicitFilter: 0x4, fill: 8, jpeg: 9, png: 10 } as const;
const Filter = { copy: 0, palette: 1, gradient: 2 } as const;

/** @throws RfbViolation, as every step of it */
export function tightSteps(width: number, height: number): Step {
  return { head: 1, read: (bytes, at) => ofMethod(bytes.readUInt8(at) >> 4, width, height) };
}

function ofMethod(method: number, width: number, height: number): Step {
  if (method === Method.fill) return { skip: PIXEL_BYTES };
  if (method === Method.jpeg || method === Method.png) return compactLength();
  if (method > Method.png) throw new RfbViolation(`a Tight rectangle of unknown kind (${method})`);
  const plain = () => data(width * height * PIXEL_BYTES);
  if ((method & Method.explicitFilter) === 0) return plain();
  return {
    head: 1,
    read: (bytes, at) => {
      const filter = bytes.readUInt8(at);
      if (filter === Filter.copy || filter === Filter.gradient) return plain();
      if (filter === Filter.palette) return palette(width, height);
      throw new RfbViolation(`a Tight rectangle with an unknown filter (${filter})`);
    },
  };
}

function palette(width: number, height: number): Step {
  return {
    head: 1,
    read: (bytes, at) => {
      const colours = bytes.readUInt8(at) + 1;
      const indexBytes = colours <= 2 ? Math.ceil(width / 8) * height : width * height;
      return { head: colours * PIXEL_BYTES, read: () => data(indexBytes) };
    },
  };
}

function data(length: number): Step {
  return length < UNCOMPRESSED_BELOW ? { skip: length } : compactLength();
}

/** Seven bits a byte, the lowest first, three bytes at most; the third has eight. */
function compactLength(shift = 0, length = 0): Step {
  return {
    head: 1,
    read: (bytes, at) => {
      const byte = bytes.readUInt8(at);
      if (shift === 14) return { skip: length | (byte << 14) };
      const sum = length | ((byte & 0x7f) << shift);
      return byte & 0x80 ? compactLength(shift + 7, sum) : { skip: sum };
    },
  };
}
