import { describe, expect, test } from 'vitest';
import { type Canvas, createCanvas, drawText, fillDisc, measureText } from '../../src/demo/canvas.ts';
import {
  createDesktop,
  movePointer,
  pressKey,
  receiveClipboard,
  releaseInput,
} from '../../src/demo/desktop.ts';
import { findGlyph, GLYPH_HEIGHT, GLYPH_WIDTH } from '../../src/demo/font.ts';
import { encodeUpdate, takeChanges, UNKNOWN_PIXEL } from '../../src/demo/framebuffer-update.ts';
import { PANELS, SCREEN_HEIGHT, SCREEN_WIDTH } from '../../src/demo/layout.ts';
import { createPicture } from '../../src/demo/picture.ts';
import { SERVER_FORMAT } from '../../src/demo/pixel-format.ts';

const printable = Array.from({ length: 94 }, (_value, index) => String.fromCharCode(0x21 + index));
const keysym = { return: 0xff0d, f1: 0xffbe, shift: 0xffe1, control: 0xffe3, altGr: 0xfe03, eAcute: 0xe9 };
const noon = new Date(2026, 10, 21, 12, 0, 0).getTime();

describe('the font', () => {
  test('has a glyph of its own for every printable ASCII character', () => {
    const hollowBox = findGlyph('\u{1f600}').join();
    const glyphs = printable.map((character) => findGlyph(character));
    expect(new Set([...glyphs.map(String), hollowBox]).size).toBe(printable.length + 1);
    for (const rows of glyphs) {
      expect(rows).toHaveLength(GLYPH_HEIGHT);
      expect(rows.every((row) => row >= 0 && row < 2 ** GLYPH_WIDTH)).toBe(true);
    }
  });

  test('leaves the space empty', () => {
    expect(findGlyph(' ').every((row) => row === 0)).toBe(true);
  });

  test('draws an upper-case F as one', () => {
    const canvas = createCanvas(GLYPH_WIDTH, 7);
    drawText(canvas, 0, 0, 'F', 1, { rgb: 1 });
    expect(asLines(canvas)).toEqual(['#####', '#....', '#....', '####.', '#....', '#....', '#....']);
    expect(measureText('FF', 2)).toBe(22);
  });
});

describe('the canvas', () => {
  test.each([
    [-30, -30],
    [1e9, 1e9],
    [3.5, -2.5],
  ])('takes shapes at %d,%d without touching what is outside', (x, y) => {
    const canvas = createCanvas(8, 8);
    fillDisc(canvas, x % 1e4, y % 1e4, 5, { rgb: 0xffffff });
    drawText(canvas, Math.round(x), Math.round(y), 'W', 3, { rgb: 0xffffff });
    expect(canvas.pixels).toHaveLength(64);
  });
});

describe('the picture', () => {
  test('moves, even where nobody does anything', () => {
    const desktop = createDesktop();
    expect(changedRows(desktop, noon, noon + 100)).toSatisfy(({ first, last }: Rows) => {
      return first >= PANELS.stage.y && last < PANELS.stage.y + PANELS.stage.height;
    });
    expect(changedRows(desktop, noon, noon + 1000).first).toBeLessThan(PANELS.stage.y);
  });

  test('shows typed keys, the pointer and the clipboard, each where it belongs', () => {
    const typed = createDesktop();
    pressKey(typed, 'h'.charCodeAt(0), true);
    expect(differingPanels(typed)).toEqual(['keyboard']);

    const pasted = createDesktop();
    receiveClipboard(pasted, 'some text');
    expect(differingPanels(pasted)).toEqual(['clipboard']);

    const pointed = createDesktop();
    movePointer(pointed, 639, 399, 0b11, noon);
    expect(differingPanels(pointed)).toContain('pointer');
  });

  test('takes any amount and any kind of input', () => {
    const desktop = createDesktop();
    const picture = createPicture();
    for (let count = 0; count < 5000; count++) {
      pressKey(desktop, (count * 2_654_435_761) >>> 0, true);
      movePointer(desktop, count % 640, count % 400, count % 256, noon);
    }
    receiveClipboard(desktop, 'x\u0000\u00ff'.repeat(30_000));
    picture.paint(desktop, noon);
    expect(desktop.typed.length).toBeLessThanOrEqual(200);
    expect(desktop.clipboard.length).toBeLessThanOrEqual(200);
  });
});

describe('typed keys', () => {
  test.each([
    ['a character', [[0x61, true]], ['a']],
    [
      'a capital with Shift',
      [
        [keysym.shift, true],
        [0x41, true],
      ],
      ['A'],
    ],
    [
      'a named key',
      [
        [keysym.return, true],
        [keysym.f1, true],
      ],
      ['Return', 'F1'],
    ],
    [
      'a combination',
      [
        [keysym.control, true],
        [0x63, true],
        [keysym.control, false],
      ],
      ['Ctrl+c'],
    ],
    [
      'Shift with a named key',
      [
        [keysym.shift, true],
        [keysym.f1, true],
      ],
      ['Shift+F1'],
    ],
    [
      'a modifier alone',
      [
        [keysym.control, true],
        [keysym.control, false],
      ],
      ['Ctrl'],
    ],
    [
      'AltGr in a character',
      [
        [keysym.altGr, true],
        [0x40, true],
        [keysym.altGr, false],
      ],
      ['@'],
    ],
    [
      'Ctrl with the space bar',
      [
        [keysym.control, true],
        [0x20, true],
      ],
      ['Ctrl+Space'],
    ],
    ['a letter beyond ASCII', [[keysym.eAcute, true]], ['U+00E9']],
    ['a letter by its Unicode keysym', [[0x10020ac, true]], ['U+20AC']],
    ['a key nobody knows', [[0xfffffff0, true]], ['0xfffffff0']],
    ['nothing for a release', [[0x61, false]], []],
  ] as [string, [number, boolean][], string[]][])('show %s', (_what, events, labels) => {
    const desktop = createDesktop();
    for (const [symbol, down] of events) pressKey(desktop, symbol, down);
    expect(desktop.typed.map(({ label }) => label)).toEqual(labels);
  });

  test('are let go of when their viewer leaves', () => {
    const desktop = createDesktop();
    pressKey(desktop, keysym.shift, true);
    movePointer(desktop, 1, 1, 1, noon);
    releaseInput(desktop);
    expect(desktop.heldModifiers.size).toBe(0);
    expect(desktop.pointer?.buttons).toBe(0);
  });
});

describe('an update', () => {
  const everything = { x: 0, y: 0, width: 100, height: 50 };

  test('is everything, as one rectangle, for a viewer that has nothing', () => {
    const known = new Uint32Array(5000).fill(UNKNOWN_PIXEL);
    expect(takeChanges(createCanvas(100, 50), known, everything)).toEqual([everything]);
  });

  test('has nothing for a viewer that has everything', () => {
    expect(takeChanges(createCanvas(100, 50), new Uint32Array(5000), everything)).toEqual([]);
  });

  test('has only the squares in which something changed, and only of the area asked for', () => {
    const canvas = createCanvas(100, 50);
    canvas.pixels[20 * 100 + 40] = 1;
    canvas.pixels[0] = 1;
    const known = new Uint32Array(5000);
    expect(takeChanges(canvas, known, { x: 30, y: 10, width: 70, height: 40 })).toEqual([
      { x: 30, y: 10, width: 16, height: 16 },
    ]);
    expect(takeChanges(canvas, known, everything)).toEqual([{ x: 0, y: 0, width: 16, height: 16 }]);
  });

  test('turns what the viewer had into the picture, whatever changed', () => {
    const canvas = createCanvas(100, 50);
    const known = new Uint32Array(5000);
    const screen = new Uint32Array(5000);
    let seed = 1;
    for (let round = 0; round < 50; round++) {
      for (let change = 0; change < round; change++) {
        seed = (seed * 48_271) % 2_147_483_647;
        canvas.pixels[seed % 5000] = seed & 0xffffff;
      }
      const rectangles = takeChanges(canvas, known, everything);
      applyUpdate(encodeUpdate(canvas, rectangles, SERVER_FORMAT), screen, 100);
      expect(Buffer.from(screen.buffer).equals(Buffer.from(canvas.pixels.buffer))).toBe(true);
    }
  });
});

interface Rows {
  first: number;
  last: number;
}

function changedRows(desktop: ReturnType<typeof createDesktop>, beforeMs: number, afterMs: number): Rows {
  const picture = createPicture();
  picture.paint(desktop, beforeMs);
  const before = picture.canvas.pixels.slice();
  picture.paint(desktop, afterMs);
  const changed = [...before.keys()].filter((at) => before[at] !== picture.canvas.pixels[at]);
  const rows = changed.map((at) => Math.floor(at / SCREEN_WIDTH));
  return { first: rows[0] ?? SCREEN_HEIGHT, last: rows.at(-1) ?? -1 };
}

/** The panels in which that desktop looks different from an untouched one at the same time. */
function differingPanels(desktop: ReturnType<typeof createDesktop>): string[] {
  const untouched = createPicture();
  untouched.paint(createDesktop(), noon);
  const picture = createPicture();
  picture.paint(desktop, noon);
  return Object.entries(PANELS).flatMap(([name, { x, y, width, height }]) =>
    takeChanges(picture.canvas, untouched.canvas.pixels.slice(), { x, y, width, height }).length > 0
      ? [name]
      : [],
  );
}

function asLines({ pixels, width, height }: Canvas): string[] {
  return Array.from({ length: height }, (_value, y) =>
    [...pixels.slice(y * width, (y + 1) * width)].map((pixel) => (pixel === 0 ? '.' : '#')).join(''),
  );
}

/** A viewer's side of a FramebufferUpdate in 32 bits, little-endian. */
function applyUpdate(message: Buffer, screen: Uint32Array, stride: number): void {
  let offset = 4;
  for (let count = message.readUInt16BE(2); count > 0; count--) {
    const [x = 0, y = 0, width = 0, height = 0] = [0, 2, 4, 6].map((at) => message.readUInt16BE(offset + at));
    expect(message.readInt32BE(offset + 8)).toBe(0);
    offset += 12;
    for (let row = y; row < y + height; row++) {
      for (let column = x; column < x + width; column++) {
        screen[row * stride + column] = message.readUInt32LE(offset);
        offset += 4;
      }
    }
  }
  expect(offset).toBe(message.length);
}
