// A small software canvas for the demo's picture: rectangles, discs and text on an array of colours.
// What always holds: nothing is drawn outside the array, whatever the coordinates are.
import { findGlyph, GLYPH_WIDTH } from './font.js';

/** Pixels as 0xRRGGBB, row by row from the top left. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint32Array;
}

/** A colour 0xRRGGBB and how much it covers, 0 to 1. */
export interface Paint {
  readonly rgb: number;
  readonly cover?: number;
}

/** From one character to the next, in unscaled pixels. */
export const ADVANCE = GLYPH_WIDTH + 1;

export function createCanvas(width: number, height: number): Canvas {
  return { width, height, pixels: new Uint32Array(width * height) };
}

/** Lays a colour over one pixel; cover 1 replaces it. */
export function blendPixel(canvas: Canvas, x: number, y: number, { rgb, cover = 1 }: Paint): void {
  if (x < 0 || y < 0 || x >= canvas.width || y >= canvas.height || cover <= 0) return;
  const at = y * canvas.width + x;
  canvas.pixels[at] = cover >= 1 ? rgb : mixColours(canvas.pixels[at] ?? 0, rgb, cover);
}

/** The colour `share` of the way (0 to 1) from one colour to another. */
export function mixColours(from: number, to: number, share: number): number {
  const mix = (shift: number) => {
    const a = (from >>> shift) & 255;
    const b = (to >>> shift) & 255;
    return Math.round(a + (b - a) * share) << shift;
  };
  return mix(16) | mix(8) | mix(0);
}

export function fillRectangle(
  canvas: Canvas,
  left: number,
  top: number,
  width: number,
  height: number,
  paint: Paint,
): void {
  for (let y = Math.max(0, top); y < Math.min(canvas.height, top + height); y++) {
    for (let x = Math.max(0, left); x < Math.min(canvas.width, left + width); x++)
      blendPixel(canvas, x, y, paint);
  }
}

/** A rectangle with round corners and smooth edges. */
export function fillPanel(
  canvas: Canvas,
  left: number,
  top: number,
  width: number,
  height: number,
  radius: number,
  { rgb, cover = 1 }: Paint,
): void {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      // How far the pixel's centre is into a corner's square; zero along the straight edges.
      const inX = Math.max(radius - x - 0.5, x + 0.5 - (width - radius), 0);
      const inY = Math.max(radius - y - 0.5, y + 0.5 - (height - radius), 0);
      const inside = clampShare(radius + 0.5 - Math.hypot(inX, inY));
      blendPixel(canvas, left + x, top + y, { rgb, cover: cover * inside });
    }
  }
}

/** A disc with a smooth edge; the centre and the radius may be fractions. */
export function fillDisc(
  canvas: Canvas,
  centreX: number,
  centreY: number,
  radius: number,
  paint: Paint,
): void {
  drawRing(canvas, centreX, centreY, 0, radius, paint);
}

/** What lies between two circles of one centre, with smooth edges. */
export function drawRing(
  canvas: Canvas,
  centreX: number,
  centreY: number,
  innerRadius: number,
  outerRadius: number,
  { rgb, cover = 1 }: Paint,
): void {
  for (let y = Math.floor(centreY - outerRadius); y <= Math.ceil(centreY + outerRadius); y++) {
    for (let x = Math.floor(centreX - outerRadius); x <= Math.ceil(centreX + outerRadius); x++) {
      const distance = Math.hypot(x - centreX, y - centreY);
      const outside = clampShare(outerRadius + 0.5 - distance);
      const hole = innerRadius > 0 ? clampShare(innerRadius + 0.5 - distance) : 0;
      blendPixel(canvas, x, y, { rgb, cover: cover * (outside - hole) });
    }
  }
}

/** Text with its top left corner at a point, every font pixel `scale` pixels wide and high. */
export function drawText(
  canvas: Canvas,
  left: number,
  top: number,
  text: string,
  scale: number,
  paint: Paint,
): void {
  let x = left;
  for (const character of text) {
    findGlyph(character).forEach((row, line) => {
      for (let column = 0; column < GLYPH_WIDTH; column++) {
        if ((row & (1 << (GLYPH_WIDTH - 1 - column))) === 0) continue;
        fillRectangle(canvas, x + column * scale, top + line * scale, scale, scale, paint);
      }
    });
    x += ADVANCE * scale;
  }
}

/** The width of a text in pixels, without the gap after its last character. */
export function measureText(text: string, scale: number): number {
  return Math.max(0, [...text].length * ADVANCE - 1) * scale;
}

function clampShare(value: number): number {
  return Math.min(1, Math.max(0, value));
}
