// Messages of a browser as noVNC 1.7 writes them, and bytes cut into pieces in all the ways that a network may.
import type { Random } from './random.ts';

export const u16 = (...values: number[]) =>
  Buffer.from(values.flatMap((value) => [(value >> 8) & 0xff, value & 0xff]));
export const u32 = (...values: number[]) =>
  Buffer.concat(values.map((value) => u16(value >>> 16, value & 0xffff)));
export const join = (...parts: (Buffer | number[])[]) =>
  Buffer.concat(parts.map((part) => (Buffer.isBuffer(part) ? part : Buffer.from(part))));

/** As noVNC asks for it: 32 bits, depth 24, little-endian, a byte for each colour. */
export const pixelFormat24 = join([32, 24, 0, 1], u16(255, 255, 255), [0, 8, 16, 0, 0, 0]);

export const extendedClipboard = 0xc0a1e5ce | 0;
export const extendedMouseButtons = -316;
export const xvpEncoding = -309;
/** noVNC 1.7's list at full depth. */
export const novncEncodings = [
  ...[
    1,
    50,
    7,
    -260,
    16,
    21,
    5,
    2,
    6,
    0,
    -26,
    -254,
    -223,
    -224,
    -258,
    -261,
    -308,
    xvpEncoding,
    -312,
    -313,
    -307,
  ],
  ...[extendedClipboard, extendedMouseButtons, 0x574d5664, -239],
];

export const caps = 1 << 24;
export const request = 1 << 25;
export const peek = 1 << 26;
export const notify = 1 << 27;
export const provide = 1 << 28;
export const textFormat = 1;

export const message = {
  setPixelFormat: (format = pixelFormat24) => join([0, 0, 0, 0], format),
  setEncodings: (encodings = novncEncodings) => join([2, 0], u16(encodings.length), u32(...encodings)),
  updateRequest: () => join([3, 1], u16(0, 0, 640, 480)),
  key: (keysym = 0x61) => join([4, 1, 0, 0], u32(keysym)),
  pointer: (mask = 1) => join([5, mask], u16(300, 200)),
  extendedPointer: (mask = 0x100) => join([5, (mask & 0x7f) | 0x80], u16(300, 200), [mask >> 7]),
  cutText: (text: Buffer) => join([6, 0, 0, 0], u32(text.length), text),
  extendedCutText: (flags: number, rest = Buffer.alloc(0)) =>
    join([6, 0, 0, 0], u32(-(4 + rest.length)), u32(flags), rest),
  continuousUpdates: () => join([150, 1], u16(0, 0, 640, 480)),
  fence: (payload: Buffer) => join([248, 0, 0, 0], u32(1), [payload.length], payload),
  xvp: (operation = 2) => Buffer.of(250, 0, 1, operation),
  setDesktopSize: (screens = 1) =>
    join([251, 0], u16(800, 600), [screens, 0], ...Array.from({ length: screens }, () => u32(1, 0, 800, 0))),
  qemuKey: (keysym = 0x62) => join([255, 0], u16(1), u32(keysym, 48)),
  qemuAudio: (operation: 0 | 1) => join([255, 1], u16(operation)),
  qemuAudioFormat: () => join([255, 1], u16(2), [3, 2], u32(44_100)),
};

/** Two pieces, cut at every byte, and all bytes one by one. */
export function* everySplit(bytes: Buffer): Generator<Buffer[]> {
  for (let at = 0; at <= bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)];
  yield Array.from(bytes, (_byte, at) => bytes.subarray(at, at + 1));
}

export function randomSplit(bytes: Buffer, random: Random, longest: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + random(longest);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}
