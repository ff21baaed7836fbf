// From two pictures to the message that turns one into the other: changed rectangles, sent Raw.
// What always holds: a pixel that did not change outside a changed tile is not sent, and the message's size is
// bounded by the screen's.
import type { Canvas } from './canvas.js';
import { createPixelPacker, type PixelFormat } from './pixel-format.js';
import type { Rectangle } from './rfb-messages.js';

/** Changes are found in squares of this side, in pixels. */
const TILE = 16;

/** Stands in a viewer's copy for "never sent"; no colour has this number. */
export const UNKNOWN_PIXEL = 0xffffffff;

/**
 * Finds what of `area` differs between the picture and what a viewer has, as few rectangles as is cheap.
 * Copies what it found into `known`.
 */
export function takeChanges(picture: Canvas, known: Uint32Array, area: Rectangle): Rectangle[] {
  const found: Rectangle[] = [];
  let rowAbove: Rectangle[] = [];
  for (let y = area.y; y < area.y + area.height; y += TILE) {
    const row = takeRow(picture, known, area, y);
    // What has the same left and right edge as something right above only makes that taller.
    rowAbove = row.map((run) => {
      const above = rowAbove.find(({ x, width }) => x === run.x && width === run.width);
      if (above === undefined) {
        found.push(run);
        return run;
      }
      const taller = { ...above, height: above.height + run.height };
      found[found.indexOf(above)] = taller;
      return taller;
    });
  }
  return found;
}

/** The changed tiles of one row of tiles, neighbours joined. */
function takeRow(picture: Canvas, known: Uint32Array, area: Rectangle, y: number): Rectangle[] {
  const runs: Rectangle[] = [];
  const height = Math.min(TILE, area.y + area.height - y);
  for (let x = area.x; x < area.x + area.width; x += TILE) {
    const width = Math.min(TILE, area.x + area.width - x);
    if (!takeTile(picture, known, { x, y, width, height })) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.x + last.width === x) {
      runs[runs.length - 1] = { ...last, width: last.width + width };
    } else runs.push({ x, y, width, height });
  }
  return runs;
}

function takeTile({ width: stride, pixels }: Canvas, known: Uint32Array, tile: Rectangle): boolean {
  let changed = false;
  for (let y = tile.y; y < tile.y + tile.height; y++) {
    for (let at = y * stride + tile.x; at < y * stride + tile.x + tile.width; at++) {
      if (known[at] === pixels[at]) continue;
      known[at] = pixels[at] ?? 0;
      changed = true;
    }
  }
  return changed;
}

/** A FramebufferUpdate with Raw rectangles (RFC 6143 sections 7.6.1 and 7.7.1) in the viewer's format. */
export function encodeUpdate(picture: Canvas, rectangles: readonly Rectangle[], format: PixelFormat): Buffer {
  const pixelBytes = format.bitsPerPixel / 8;
  const size = rectangles.reduce((sum, { width, height }) => sum + 12 + width * height * pixelBytes, 4);
  const message = Buffer.alloc(size);
  const pack = createPixelPacker(format);
  message.writeUInt16BE(rectangles.length, 2);
  let offset = 4;
  for (const { x, y, width, height } of rectangles) {
    offset = message.writeUInt16BE(x, offset);
    offset = message.writeUInt16BE(y, offset);
    offset = message.writeUInt16BE(width, offset);
    offset = message.writeUInt16BE(height, offset) + 4; // the encoding's number is 0, Raw
    for (let row = y; row < y + height; row++) {
      for (let at = row * picture.width + x; at < row * picture.width + x + width; at++) {
        const value = pack(picture.pixels[at] ?? 0);
        offset = format.bigEndian
          ? message.writeUIntBE(value, offset, pixelBytes)
          : message.writeUIntLE(value, offset, pixelBytes);
      }
    }
  }
  return message;
}
