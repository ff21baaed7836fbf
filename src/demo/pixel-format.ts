// How a viewer wants its pixels: parsed from its SetPixelFormat, then used for every frame that it is sent.
// What always holds: a format that got through parsing fits its pixel size, so encoding cannot go out of range.

/** A true-colour pixel format (RFC 6143 section 7.4). Shifts in bits, maxima as the largest value of a channel. */
export interface PixelFormat {
  readonly bitsPerPixel: 8 | 16 | 32;
  readonly depth: number;
  readonly bigEndian: boolean;
  readonly redMax: number;
  readonly greenMax: number;
  readonly blueMax: number;
  readonly redShift: number;
  readonly greenShift: number;
  readonly blueShift: number;
}

/** The length of PIXEL_FORMAT on the wire, in bytes. */
export const PIXEL_FORMAT_BYTES = 16;

/** What the demo's server begins with: 0x00RRGGBB, little-endian. */
export const SERVER_FORMAT: PixelFormat = {
  bitsPerPixel: 32,
  depth: 24,
  bigEndian: false,
  redMax: 255,
  greenMax: 255,
  blueMax: 255,
  redShift: 16,
  greenShift: 8,
  blueShift: 0,
};

/**
 * Reads a PIXEL_FORMAT of 16 bytes.
 * @returns undefined for a colour map, for sizes other than 8, 16 and 32 bits, and for channels that do not fit
 */
export function parsePixelFormat(bytes: Buffer): PixelFormat | undefined {
  const bitsPerPixel = bytes.readUInt8(0);
  const trueColour = bytes.readUInt8(3) !== 0;
  if (!trueColour || (bitsPerPixel !== 8 && bitsPerPixel !== 16 && bitsPerPixel !== 32)) return undefined;
  const format: PixelFormat = {
    bitsPerPixel,
    depth: bytes.readUInt8(1),
    bigEndian: bytes.readUInt8(2) !== 0,
    redMax: bytes.readUInt16BE(4),
    greenMax: bytes.readUInt16BE(6),
    blueMax: bytes.readUInt16BE(8),
    redShift: bytes.readUInt8(10),
    greenShift: bytes.readUInt8(11),
    blueShift: bytes.readUInt8(12),
  };
  const fits = (max: number, shift: number) => max * 2 ** shift < 2 ** bitsPerPixel;
  return fits(format.redMax, format.redShift) &&
    fits(format.greenMax, format.greenShift) &&
    fits(format.blueMax, format.blueShift)
    ? format
    : undefined;
}

/** Writes a PIXEL_FORMAT of 16 bytes, its padding included. */
export function serializePixelFormat(format: PixelFormat): Buffer {
  const bytes = Buffer.alloc(PIXEL_FORMAT_BYTES);
  bytes.writeUInt8(format.bitsPerPixel, 0);
  bytes.writeUInt8(format.depth, 1);
  bytes.writeUInt8(format.bigEndian ? 1 : 0, 2);
  bytes.writeUInt8(1, 3);
  bytes.writeUInt16BE(format.redMax, 4);
  bytes.writeUInt16BE(format.greenMax, 6);
  bytes.writeUInt16BE(format.blueMax, 8);
  bytes.writeUInt8(format.redShift, 10);
  bytes.writeUInt8(format.greenShift, 11);
  bytes.writeUInt8(format.blueShift, 12);
  return bytes;
}

/** Makes the function that turns 0xRRGGBB into that format's number; the work per pixel is three look-ups. */
export function createPixelPacker(format: PixelFormat): (rgb: number) => number {
  const red = channelTable(format.redMax, format.redShift);
  const green = channelTable(format.greenMax, format.greenShift);
  const blue = channelTable(format.blueMax, format.blueShift);
  return (rgb) =>
    ((red[(rgb >>> 16) & 255] ?? 0) | (green[(rgb >>> 8) & 255] ?? 0) | (blue[rgb & 255] ?? 0)) >>> 0;
}

function channelTable(max: number, shift: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, value) => Math.round((value * max) / 255) * 2 ** shift);
}
