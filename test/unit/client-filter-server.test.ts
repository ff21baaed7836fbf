// The server's messages where its clipboard must not reach the browser: ServerCutText is left out, and nothing else is
// touched, however the bytes are cut and whatever encodings the picture comes in.
import { describe, expect, it } from 'vitest';
import { RfbViolation } from '../../src/rfb/client-violation.ts';
import { ServerFilter } from '../../src/rfb/server-filter.ts';
import { PixelFormat } from '../../src/rfb/server-pixel-format.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { everySplit, join, pixelFormat24, randomSplit, u16, u32 } from '../support/rfb-messages.ts';

const megabyte = 1024 * 1024;
const name = Buffer.from('QEMU (one-7)');
const serverInit = join(u16(640, 480), pixelFormat24, u32(name.length), name);
const rectangle = (width: number, height: number, encoding: number, ...data: (Buffer | number[])[]) =>
  join(u16(1, 2, width, height), u32(encoding), ...data);
const update = (...rectangles: Buffer[]) => join([0, 0], u16(rectangles.length), ...rectangles);
const cutText = (text: Buffer) => join([3, 0, 0, 0], u32(text.length), text);
const extendedCutText = (text: Buffer) => join([3, 0, 0, 0], u32(-text.length), text);
/** A byte that would be a ServerCutText, were it read as the beginning of a message. */
const pixels = (count: number) => Buffer.alloc(count, 3);

/** What is left of a stream from ServerInit on, its pieces lying where a reader's memory has them. */
function kept(pieces: Buffer[], filter = new ServerFilter()): Buffer {
  const out: Buffer[] = [];
  for (const piece of pieces.filter(({ length }) => length > 0)) {
    const memory = join(Buffer.alloc(14, 0xee), piece, Buffer.alloc(5, 0xdd));
    const end = filter.keep(memory, 14, 14 + piece.length);
    expect(memory.subarray(0, 14).equals(Buffer.alloc(14, 0xee))).toBe(true);
    expect(memory.subarray(14 + piece.length).equals(Buffer.alloc(5, 0xdd))).toBe(true);
    out.push(memory.subarray(14, end));
  }
  return Buffer.concat(out);
}

const compact: [length: number, bytes: number[]][] = [
  [127, [0x7f]],
  [128, [0x80, 1]],
  [16_383, [0xff, 0x7f]],
  [16_384, [0x80, 0x80, 1]],
  [100_000, [0xa0, 0x8d, 6]],
  [0x3fffff, [0xff, 0xff, 0xff]],
];

const table: [what: string, bytes: Buffer][] = [
  ['an update of nothing', update()],
  ['Raw', update(rectangle(3, 2, 0, pixels(24)))],
  ['Raw of no width', update(rectangle(0, 9, 0))],
  ['CopyRect', update(rectangle(3, 2, 1, pixels(4)))],
  ['RRE', update(rectangle(9, 9, 2, u32(2), pixels(4 + 2 * 12)))],
  ['Zlib', update(rectangle(9, 9, 6, u32(5), pixels(5)))],
  ['ZRLE', update(rectangle(9, 9, 16, u32(300), pixels(300)))],
  ['ZRLE of nothing', update(rectangle(9, 9, 16, u32(0)))],
  ['Tight, one colour', update(rectangle(9, 9, 7, [0x80], pixels(3)))],
  ['Tight, JPEG', update(rectangle(9, 9, 7, [0x90, 5], pixels(5)))],
  ['TightPNG', update(rectangle(9, 9, -260, [0xa0, 0x83, 1], pixels(131)))],
  ['Tight, few bytes as they are', update(rectangle(1, 3, 7, [0x00], pixels(9)))],
  ['Tight, twelve bytes packed', update(rectangle(1, 4, 7, [0x00, 6], pixels(6)))],
  ['Tight with reset streams', update(rectangle(9, 9, 7, [0x3f, 6], pixels(6)))],
  ['Tight, copied', update(rectangle(9, 9, 7, [0x40, 0, 6], pixels(6)))],
  ['Tight, gradient', update(rectangle(9, 9, 7, [0x70, 2, 6], pixels(6)))],
  ['Tight, two colours, packed', update(rectangle(17, 9, 7, [0x50, 1, 1], pixels(6), [6], pixels(6)))],
  ['Tight, two colours, as they are', update(rectangle(17, 3, 7, [0x50, 1, 1], pixels(6), pixels(9)))],
  ['Tight, one colour in a palette', update(rectangle(17, 3, 7, [0x50, 1, 0], pixels(3), pixels(9)))],
  ['Tight, three colours', update(rectangle(3, 3, 7, [0x60, 1, 2], pixels(9), pixels(9)))],
  ['Tight, 256 colours', update(rectangle(30, 30, 7, [0x60, 1, 255], pixels(768), [0x80, 1], pixels(128)))],
  ['Cursor', update(rectangle(9, 3, -239, pixels(9 * 3 * 4 + 2 * 3)))],
  ['no cursor', update(rectangle(0, 0, -239))],
  ["VMware's cursor with alpha", update(rectangle(2, 2, 0x574d5664, [1, 0], pixels(16)))],
  ["VMware's old cursor", update(rectangle(2, 2, 0x574d5664, [0, 0], pixels(32)))],
  ['DesktopSize', update(rectangle(800, 600, -223))],
  ['ExtendedDesktopSize', update(rectangle(800, 600, -308, [2, 0, 0, 0], pixels(32)))],
  ['DesktopName', update(rectangle(0, 0, -307, u32(4), pixels(4)))],
  ['LED state', update(rectangle(0, 0, -261, [3]))],
  ["QEMU's key events", update(rectangle(0, 0, -258))],
  ['ExtendedMouseButtons', update(rectangle(0, 0, -316))],
  ['an open end', join([0, 0], u16(0xffff), rectangle(1, 1, 0, pixels(4)), rectangle(0, 0, -224))],
  [
    'several',
    update(rectangle(1, 1, 0, pixels(4)), rectangle(1, 1, 16, u32(1), [3]), rectangle(2, 2, 1, u32(3))),
  ],
  ['SetColourMapEntries', join([1, 0], u16(0, 2), pixels(12))],
  ['Bell', Buffer.of(2)],
  ['EndOfContinuousUpdates', Buffer.of(150)],
  ['ServerFence', join([248, 0, 0, 0], u32(0), [4], pixels(4))],
  ['xvp', Buffer.of(250, 0, 1, 3)],
];

const secrets: [what: string, bytes: Buffer][] = [
  ['text', cutText(Buffer.from('from the VM'))],
  ['no text', cutText(Buffer.alloc(0))],
  ['extended text', extendedCutText(Buffer.from('\0\0\0\x01from the VM'))],
  ['two texts', join(cutText(Buffer.from('one')), cutText(Buffer.from('another')))],
];

describe('ServerCutText', () => {
  it.each(secrets)('(%s) is left out, cut anywhere, and its neighbours are not', (_what, secret) => {
    const stream = join(serverInit, secret, Buffer.of(2), secret, Buffer.of(2, 150), secret);
    const expected = join(serverInit, Buffer.of(2, 2, 150));
    for (const pieces of everySplit(stream))
      expect(kept(pieces).toString('hex')).toBe(expected.toString('hex'));
  });

  it.each(table)('is found after %s, which goes on as it came, cut anywhere', (_what, bytes) => {
    const secret = cutText(Buffer.from('secret'));
    const stream = join(serverInit, bytes, secret, bytes);
    const expected = join(serverInit, bytes, bytes);
    for (const pieces of everySplit(stream)) {
      const filter = new ServerFilter();
      const out = kept(pieces, filter);
      if (!out.equals(expected)) expect(out.toString('hex')).toBe(expected.toString('hex'));
      expect([filter.dropped, filter.isBetweenMessages]).toEqual([1, true]);
    }
  });

  it.each(compact)('is found after a Tight rectangle of %i packed bytes', (length, prefix) => {
    const picture = update(rectangle(900, 900, 7, [0x00], prefix, pixels(length)));
    const stream = join(serverInit, picture, cutText(Buffer.from('x')), Buffer.of(2));
    expect(kept([stream]).equals(join(serverInit, picture, Buffer.of(2)))).toBe(true);
  });

  it.each([256 * megabyte, 0x7fffffff, -0x10000001, -0x80000000])(
    'of %i bytes is counted and not kept',
    (length) => {
      const filter = new ServerFilter();
      kept([serverInit, join([3, 0, 0, 0], u32(length))], filter);
      const piece = Buffer.alloc(4 * megabyte);
      for (let left = Math.abs(length); left > 0; left -= piece.length) {
        expect(filter.isBetweenMessages).toBe(false);
        expect(filter.keep(piece, 0, Math.min(left, piece.length))).toBe(0);
      }
      expect(filter.isBetweenMessages).toBe(true);
      expect(kept([join(Buffer.of(2), cutText(pixels(3)))], filter)).toEqual(Buffer.of(2));
    },
  );
});

describe('where the clipboard may pass', () => {
  it.each([...table, ...secrets])('%s goes on, cut anywhere', (_what, bytes) => {
    const stream = join(serverInit, bytes, Buffer.of(2));
    for (const pieces of everySplit(stream)) {
      const filter = new ServerFilter({ passesCutText: true });
      expect(kept(pieces, filter).equals(stream)).toBe(true);
      expect([filter.dropped, filter.isBetweenMessages]).toEqual([0, true]);
    }
  });
});

it('it is told that the server reads longer pointer messages, where it says so and nowhere else', () => {
  const said = rectangle(0, 0, -316);
  // In a picture and in a text it means nothing.
  const before = join(serverInit, update(rectangle(2, 2, 0, said, pixels(4))), cutText(update(said)));
  for (const pieces of everySplit(join(before, update(rectangle(0, 0, -258), said)))) {
    let [bytes, told] = [0, 0];
    const filter = new ServerFilter({ passesCutText: true, longPointersRead: () => told++ });
    for (const piece of pieces) {
      kept([piece], filter);
      bytes += piece.length;
      if (bytes <= before.length) expect(told).toBe(0);
    }
    expect(told).toBe(1);
  }
});

describe('pixels', () => {
  const sixteen = join([16, 16, 0, 1], u16(31, 63, 31), [11, 5, 0, 0, 0, 0]);
  const picture = (bytes: number) =>
    update(rectangle(3, 2, 0, pixels(6 * bytes)), rectangle(1, 1, 1, u32(3)));

  it('are as wide as ServerInit says', () => {
    const init = join(u16(640, 480), sixteen, u32(0));
    const stream = join(init, picture(2), cutText(pixels(3)));
    expect(kept([stream]).equals(join(init, picture(2)))).toBe(true);
  });

  it.each(['before', 'after'])('are as wide as the browser says, %s ServerInit has come', (when) => {
    const filter = new ServerFilter();
    if (when === 'before') filter.setPixelFormat(new PixelFormat(sixteen));
    kept([serverInit], filter);
    if (when === 'after') filter.setPixelFormat(new PixelFormat(sixteen));
    expect(kept([join(picture(2), cutText(pixels(3)))], filter).equals(picture(2))).toBe(true);
  });

  const odd = [0, 1, 15, 24, 64, 255];
  const oddFormat = (bits: number) => join([bits, bits, 1, 9], u16(1, 2, 3), [99, 98, 97, 0xff, 0xfe, 0xfd]);
  const initOf = (format: Buffer, name = Buffer.alloc(0)) =>
    join(u16(0, 0xffff), format, u32(name.length), name);
  /** Rectangles whose length depends on no pixel. */
  const unpixelled = update(
    rectangle(3, 2, 1, u32(3)),
    rectangle(9, 9, 16, u32(5), pixels(5)),
    rectangle(9, 9, 6, u32(5), pixels(5)),
    rectangle(2, 2, 0x574d5664, [1, 0], pixels(16)),
    rectangle(0, 0, -239),
    rectangle(0, 7, 0),
    rectangle(0, 0, -307, u32(4), pixels(4)),
    rectangle(800, 600, -223),
    rectangle(0, 0, -308, [0, 0, 0, 0]),
  );

  it('of a colour map are measured where they have 8 bits, and nowhere else', () => {
    const map = (bits: number) => join([bits, 8, 0, 0], pixelFormat24.subarray(4));
    const pixel = (bytes: number) => update(rectangle(1, 1, 0, pixels(bytes)));
    const stream = join(initOf(map(8)), pixel(1), cutText(pixels(3)));
    expect(kept([stream])).toEqual(join(initOf(map(8)), pixel(1)));
    for (const bits of [16, 32]) {
      const told = `a picture in a colour map of ${bits} bits`;
      expect(() => kept([join(initOf(map(bits)), pixel(1))])).toThrow(told);
      const filter = new ServerFilter();
      kept([serverInit], filter);
      filter.setPixelFormat(new PixelFormat(map(bits)));
      expect(() => kept([pixel(bits / 8)], filter)).toThrow(told);
    }
  });

  it.each(odd)('of %i bits are no matter where the browser sets another format', (bits) => {
    for (const first of ['browser', 'server']) {
      const filter = new ServerFilter();
      if (first === 'browser') filter.setPixelFormat(new PixelFormat(sixteen));
      kept([initOf(oddFormat(bits))], filter);
      if (first === 'server') filter.setPixelFormat(new PixelFormat(sixteen));
      expect(kept([join(picture(2), cutText(pixels(3)))], filter).equals(picture(2))).toBe(true);
    }
  });

  it.each(odd)('of %i bits are no matter where nothing is measured by them', (bits) => {
    const stream = join(initOf(oddFormat(bits)), unpixelled, cutText(pixels(3)), unpixelled);
    const expected = join(initOf(oddFormat(bits)), unpixelled, unpixelled);
    for (const pieces of everySplit(stream)) expect(kept(pieces).equals(expected)).toBe(true);
  });

  it.each(odd)('of %i bits end the session when one has to be measured, whoever set them', (bits) => {
    const counting = [
      rectangle(1, 1, 0),
      rectangle(9, 9, 2, u32(1)),
      rectangle(1, 1, -239),
      rectangle(1, 1, 0x574d5664, [0, 0]),
    ];
    for (const one of counting) {
      const told = `a picture in a pixel format of ${bits} bits`;
      expect(() => kept([join(initOf(oddFormat(bits)), update(one))])).toThrow(told);
      const filter = new ServerFilter();
      kept([serverInit], filter);
      filter.setPixelFormat(new PixelFormat(oddFormat(bits)));
      expect(() => kept([update(one)], filter)).toThrow(told);
    }
  });
});

describe('a name', () => {
  it.each([0, 1, 65_535, 65_536, 300_000])('of %i bytes goes on as it comes', (length) => {
    const init = join(u16(1, 1), pixelFormat24, u32(length), pixels(length));
    const filter = new ServerFilter();
    expect(kept([join(init, cutText(pixels(3)), Buffer.of(2))], filter)).toEqual(join(init, Buffer.of(2)));
  });

  it('of the greatest length is not kept, nor is anything in it taken for a message', () => {
    const filter = new ServerFilter();
    kept([join(u16(1, 1), pixelFormat24, u32(0xffffffff))], filter);
    const piece = Buffer.alloc(16 * megabyte, 3);
    for (let left = 0xffffffff; left > 0; left -= piece.length) {
      const length = Math.min(left, piece.length);
      expect(filter.keep(piece, 0, length)).toBe(length);
    }
    expect(filter.isBetweenMessages).toBe(true);
    expect(filter.keep(cutText(Buffer.alloc(0)), 0, 8)).toBe(0);
  });
});

describe('what cannot be measured ends the session', () => {
  it.each([
    ['an encoding that was not offered', update(rectangle(1, 1, 5)), 'an encoding that was not offered (5)'],
    ['an encoding of the future', update(rectangle(1, 1, -9999)), 'an encoding that was not offered (-9999)'],
    ['an unknown message', Buffer.of(4), 'the server sent an unknown message (type 4)'],
    [
      'an unknown kind of Tight',
      update(rectangle(1, 1, 7, [0xb0])),
      'a Tight rectangle of unknown kind (11)',
    ],
    ['an unknown filter of Tight', update(rectangle(1, 1, 7, [0x40, 3])), 'with an unknown filter (3)'],
  ])('%s', (_what, bytes, reason) => {
    for (const pieces of everySplit(join(serverInit, bytes))) {
      const act = () => kept(pieces);
      expect(act).toThrow(RfbViolation);
      expect(act).toThrow(reason);
    }
  });
});

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

it(`random streams lose their ServerCutText and nothing else (SEED=${seed})`, () => {
  const random: Random = seededRandom(seed);
  for (let round = 0; round < 500; round++) {
    const parts = Array.from({ length: random(30) }, (): [Buffer, boolean] =>
      random(4) === 0
        ? [secrets[random(secrets.length)]?.[1] ?? Buffer.alloc(0), false]
        : [table[random(table.length)]?.[1] ?? Buffer.alloc(0), true],
    );
    const stream = join(serverInit, ...parts.map(([bytes]) => bytes));
    const expected = join(serverInit, ...parts.filter(([, stays]) => stays).map(([bytes]) => bytes));
    const out = kept(randomSplit(stream, random, [1, 5, 100, 4000][random(4)] ?? 1));
    expect(out.equals(expected), `round ${round}`).toBe(true);
  }
});
