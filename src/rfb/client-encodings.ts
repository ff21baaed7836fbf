// What a browser offers in SetEncodings, cut down to what its rules leave: what is not offered a server does not use.
// What always holds: nothing is added or moved, a list of which nothing is cut goes on as it came, and none is longer than
// every server reads.
import { type FilterRules, readsServer, seesExtendedClipboard } from './client-rules.js';

/** Encodings and pseudo-encodings by their number, a signed one of 32 bits. */
export const Encoding = {
  raw: 0,
  copyRect: 1,
  rre: 2,
  zlib: 6,
  tight: 7,
  zrle: 16,
  tightPng: -260,
  desktopSize: -223,
  lastRect: -224,
  cursor: -239,
  qemuKey: -258,
  ledState: -261,
  desktopName: -307,
  extendedDesktopSize: -308,
  xvp: -309,
  fence: -312,
  continuousUpdates: -313,
  extendedMouseButtons: -316,
  vmwareCursor: 0x574d5664,
  extendedClipboard: 0xc0a1e5ce | 0,
} as const;

/** wayvnc 0.5 reads no more of them, and takes the rest for messages. noVNC 1.7 names some 25. */
export const OFFERS_MAX = 32;

/** Those whose rectangles server-rectangles.ts can measure, and pseudo-encodings whose messages it knows. */
const measurable: ReadonlySet<number> = new Set([
  ...[Encoding.raw, Encoding.copyRect, Encoding.rre, Encoding.zlib, Encoding.zrle],
  ...[Encoding.desktopSize, Encoding.lastRect, Encoding.cursor, Encoding.vmwareCursor, Encoding.qemuKey],
  ...[Encoding.ledState, Encoding.desktopName, Encoding.extendedDesktopSize, Encoding.xvp],
  ...[Encoding.fence, Encoding.continuousUpdates, Encoding.extendedMouseButtons],
]);

/** Measurable only where a pixel of theirs has three bytes beyond doubt. */
const ofThreeBytes: ReadonlySet<number> = new Set([Encoding.tight, Encoding.tightPng]);

/** The JPEG quality and compression levels: they change no form. */
const isLevel = (encoding: number) =>
  (encoding >= -32 && encoding <= -23) || (encoding >= -256 && encoding <= -247);

/**
 * @param hasTrueColour24 whether the browser has set 32 bits a pixel with a byte for each colour
 * @returns whether an encoding that the browser names goes on to the server
 */
export function mayOffer(encoding: number, rules: FilterRules, hasTrueColour24: boolean): boolean {
  switch (encoding) {
    case Encoding.extendedClipboard:
      return seesExtendedClipboard(rules);
    case Encoding.xvp:
      return !rules.viewOnly;
    default:
      if (!readsServer(rules)) return true;
      if (ofThreeBytes.has(encoding)) return hasTrueColour24;
      return measurable.has(encoding) || isLevel(encoding);
  }
}

/** A whole SetEncodings message, read. */
export function listedEncodings(message: Buffer): number[] {
  const count = message.readUInt16BE(2);
  return Array.from({ length: count }, (_value, index) => message.readInt32BE(4 + 4 * index));
}

/** @returns a whole SetEncodings message of these */
export function setEncodings(encodings: readonly number[]): Buffer {
  const message = Buffer.alloc(4 + 4 * encodings.length);
  message.writeUInt8(2, 0);
  message.writeUInt16BE(encodings.length, 2);
  for (const [index, encoding] of encodings.entries()) message.writeInt32BE(encoding, 4 + 4 * index);
  return message;
}
