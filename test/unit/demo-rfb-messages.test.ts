import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ByteReader, READ_MAX_BYTES, StreamEndedError } from '../../src/demo/byte-reader.ts';
import {
  createPixelPacker,
  type PixelFormat,
  parsePixelFormat,
  SERVER_FORMAT,
  serializePixelFormat,
} from '../../src/demo/pixel-format.ts';
import { ProtocolError } from '../../src/demo/rfb-error.ts';
import {
  type ClientMessage,
  CUT_TEXT_KEPT_BYTES,
  CUT_TEXT_MAX_BYTES,
  ENCODINGS_MAX,
  readClientMessage,
} from '../../src/demo/rfb-messages.ts';
import { u16, u32 } from '../support/rfb-messages.ts';

const updateRequest = bytes(3, 1, u16(10), u16(20), u16(30), u16(40));
const keyPress = bytes(4, 1, 0, 0, u32(0xff0d));
const pointerMove = bytes(5, 0b101, u16(639), u16(399));
const encodings = bytes(2, 0, u16(3), u32(0), u32(1), u32(0xffffff21));
const setFormat = bytes(0, 0, 0, 0, serializePixelFormat(SERVER_FORMAT));

const conversation = Buffer.concat([
  setFormat,
  encodings,
  updateRequest,
  keyPress,
  pointerMove,
  cutText(3, 'a\xe9z'),
  cutText(-6, 'hidden'),
  cutText(CUT_TEXT_KEPT_BYTES + 70_000, 'x'.repeat(CUT_TEXT_KEPT_BYTES + 70_000)),
  updateRequest,
]);

const expected: ClientMessage[] = [
  { type: 'set-pixel-format', format: SERVER_FORMAT },
  { type: 'ignored' },
  { type: 'update-request', incremental: true, area: { x: 10, y: 20, width: 30, height: 40 } },
  { type: 'key', down: true, keysym: 0xff0d },
  { type: 'pointer', buttons: 0b101, x: 639, y: 399 },
  { type: 'cut-text', text: 'a\xe9z' },
  { type: 'ignored' },
  { type: 'cut-text', text: 'x'.repeat(CUT_TEXT_KEPT_BYTES) },
  { type: 'update-request', incremental: true, area: { x: 10, y: 20, width: 30, height: 40 } },
];

describe('what a viewer sends', () => {
  test.each([1, 2, 3, 4, 5])('means the same however it is cut into packets (%i)', async (seed) => {
    const stream = new PassThrough();
    const reader = new ByteReader(stream);
    const sending = sendInPieces(stream, conversation, seed);
    for (const message of expected) expect(await readClientMessage(reader)).toEqual(message);
    await sending;
  });

  test('means the same byte by byte', async () => {
    const stream = new PassThrough();
    const reader = new ByteReader(stream);
    for (const byte of conversation.subarray(0, 200)) stream.write(Buffer.from([byte]));
    for (const message of expected.slice(0, 7)) expect(await readClientMessage(reader)).toEqual(message);
  });

  test.each([
    ['a message type that does not exist', bytes(1)],
    ['a message of an extension that was not offered', bytes(255, 0)],
    ['too many encodings', bytes(2, 0, u16(ENCODINGS_MAX + 1))],
    ['a clipboard that is too long', bytes(6, 0, 0, 0, u32(CUT_TEXT_MAX_BYTES + 1))],
    ['an extended clipboard that is too long', bytes(6, 0, 0, 0, u32(0x80000000))],
    ['a colour map', bytes(0, 0, 0, 0, withByte(serializePixelFormat(SERVER_FORMAT), 3, 0))],
  ])('ends the connection where it is %s', async (_what, message) => {
    const stream = new PassThrough();
    stream.write(message);
    await expect(readClientMessage(new ByteReader(stream))).rejects.toThrow(ProtocolError);
  });

  test('may stop at any byte', async () => {
    for (let length = 0; length < 60; length++) {
      const stream = new PassThrough();
      stream.end(conversation.subarray(0, length));
      const reader = new ByteReader(stream);
      await expect(readUntilTheEnd(reader)).rejects.toThrow(StreamEndedError);
    }
  });

  test('may be any bytes', async () => {
    for (let round = 0; round < 300; round++) {
      const noise = Buffer.from(randomNumbers(round + 1, 200));
      // A type that exists gets further than most.
      noise[0] = [0, 2, 3, 4, 5, 6][round % 6] ?? 0;
      const stream = new PassThrough();
      const sending = sendInPieces(stream, noise, round + 1).then(() => stream.end());
      const error = await readUntilTheEnd(new ByteReader(stream)).catch((reason: unknown) => reason);
      expect(error instanceof ProtocolError || error instanceof StreamEndedError).toBe(true);
      await sending;
    }
  });
});

describe('reading bytes', () => {
  test('is bounded', async () => {
    const reader = new ByteReader(new PassThrough());
    await expect(reader.read(READ_MAX_BYTES + 1)).rejects.toThrow(RangeError);
    await expect(reader.read(-1)).rejects.toThrow(RangeError);
  });

  test('ends when the stream is destroyed, before or while it waits', async () => {
    const stream = new PassThrough();
    const reader = new ByteReader(stream);
    const waiting = reader.read(1);
    stream.destroy(new Error('reset'));
    await expect(waiting).rejects.toThrow(StreamEndedError);
    await expect(reader.read(1)).rejects.toThrow(StreamEndedError);
  });

  test('takes from the stream only what it is asked for', async () => {
    const stream = new PassThrough({ highWaterMark: 16 });
    const reader = new ByteReader(stream);
    stream.write(Buffer.alloc(16));
    await reader.read(4);
    expect(stream.readableLength).toBe(12);
    expect(stream.write(Buffer.alloc(16))).toBe(false);
  });
});

describe('a pixel format', () => {
  const rgb565: PixelFormat = {
    ...SERVER_FORMAT,
    bitsPerPixel: 16,
    depth: 16,
    ...shape(31, 63, 31, 11, 5, 0),
  };
  const bgr233: PixelFormat = { ...SERVER_FORMAT, bitsPerPixel: 8, depth: 8, ...shape(7, 7, 3, 0, 3, 6) };

  test.each([
    ['32 bits', SERVER_FORMAT, 0x3366cc, 0x3366cc],
    [
      '32 bits the other way round',
      { ...SERVER_FORMAT, ...shape(255, 255, 255, 0, 8, 16) },
      0x3366cc,
      0xcc6633,
    ],
    [
      '32 bits with red on top',
      { ...SERVER_FORMAT, ...shape(255, 255, 255, 24, 16, 8) },
      0xff66cc,
      0xff66cc00,
    ],
    ['16 bits', rgb565, 0xff0000, 0xf800],
    ['16 bits, white', rgb565, 0xffffff, 0xffff],
    ['8 bits', bgr233, 0x00ffff, 0b11_111_000],
  ])('of %s is read back as it was written, and packs a colour', (_what, format, colour, packed) => {
    expect(parsePixelFormat(serializePixelFormat(format))).toEqual(format);
    expect(createPixelPacker(format)(colour)).toBe(packed);
  });

  test.each([
    ['a size that pixels do not have', { ...SERVER_FORMAT, bitsPerPixel: 24 as 32 }],
    ['a channel wider than the pixel', { ...bgr233, redMax: 256 }],
    ['a channel shifted out of the pixel', { ...rgb565, redShift: 12 }],
    ['a shift beyond anything', { ...SERVER_FORMAT, blueShift: 255 }],
  ])('with %s is refused', (_what, format) => {
    expect(parsePixelFormat(serializePixelFormat(format))).toBeUndefined();
  });
});

function shape(...values: [number, number, number, number, number, number]) {
  const [redMax, greenMax, blueMax, redShift, greenShift, blueShift] = values;
  return { redMax, greenMax, blueMax, redShift, greenShift, blueShift };
}

function cutText(length: number, text: string): Buffer {
  return bytes(6, 0, 0, 0, u32(length >>> 0), Buffer.from(text, 'latin1'));
}

function bytes(...parts: (number | Buffer)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.from([part]) : part)));
}

function withByte(buffer: Buffer, at: number, value: number): Buffer {
  buffer[at] = value;
  return buffer;
}

async function readUntilTheEnd(reader: ByteReader): Promise<never> {
  for (;;) await readClientMessage(reader);
}

/** Writes in pieces of pseudo-random length, giving the reader its turn between them. */
async function sendInPieces(stream: PassThrough, data: Buffer, seed: number): Promise<void> {
  let at = 0;
  for (const random of randomNumbers(seed, 1000)) {
    const length = 1 + (random % (random % 3 === 0 ? 5 : 40_000));
    stream.write(data.subarray(at, at + length));
    at += length;
    if (at >= data.length) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The same numbers for the same seed, so that a failure can be repeated. */
function randomNumbers(seed: number, count: number): number[] {
  const numbers = [seed];
  while (numbers.length < count) numbers.push(((numbers.at(-1) ?? 1) * 48_271) % 2_147_483_647);
  return numbers;
}
