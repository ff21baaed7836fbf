// Paints the demo's desktop: what stands still once, then for every frame what lives.
// What always holds: a frame depends on nothing but the desktop and the time, and touches only its own canvas.
import {
  type Canvas,
  createCanvas,
  drawText,
  fillDisc,
  fillPanel,
  fillRectangle,
  mixColours,
} from './canvas.js';
import type { Desktop } from './desktop.js';
import { paintClipboard, paintKeyboard, paintPointer, paintPointerPanel } from './input-view.js';
import { COLOURS, PANELS, SCREEN_HEIGHT, SCREEN_WIDTH } from './layout.js';

/** The painter of one desktop. */
export interface Picture {
  readonly canvas: Canvas;
  /** Paints the desktop as it looks at `nowMs`, milliseconds since 1970. */
  paint(desktop: Desktop, nowMs: number): void;
}

const COMETS = [COLOURS.teal, COLOURS.violet, COLOURS.coral];
const TAIL_DISCS = 32;
const TAIL_STEP_MS = 22;
const HEAD_RADIUS = 11;

export function createPicture(): Picture {
  const canvas = createCanvas(SCREEN_WIDTH, SCREEN_HEIGHT);
  const backdrop = paintBackdrop();
  return {
    canvas,
    paint(desktop, nowMs) {
      canvas.pixels.set(backdrop.pixels);
      paintHeader(canvas, desktop, nowMs);
      paintComets(canvas, nowMs);
      paintKeyboard(canvas, desktop, nowMs);
      paintPointerPanel(canvas, desktop, nowMs);
      paintClipboard(canvas, desktop);
      paintPointer(canvas, desktop);
    },
  };
}

function paintBackdrop(): Canvas {
  const canvas = createCanvas(SCREEN_WIDTH, SCREEN_HEIGHT);
  for (let y = 0; y < SCREEN_HEIGHT; y++) {
    const rgb = mixColours(COLOURS.skyTop, COLOURS.skyBottom, y / SCREEN_HEIGHT);
    fillRectangle(canvas, 0, y, SCREEN_WIDTH, 1, { rgb });
  }
  for (const { x, y, width, height, title } of Object.values(PANELS)) {
    fillPanel(canvas, x, y, width, height, 10, { rgb: COLOURS.white, cover: 0.14 });
    fillPanel(canvas, x + 1, y + 1, width - 2, height - 2, 9, { rgb: COLOURS.panel });
    drawText(canvas, x + 14, y + 12, title, 1, { rgb: COLOURS.muted });
  }
  drawText(canvas, 24, 20, 'vnctoken', 5, { rgb: COLOURS.white });
  return canvas;
}

function paintHeader(canvas: Canvas, desktop: Desktop, nowMs: number): void {
  const viewers = desktop.viewerCount === 1 ? '1 viewer' : `${desktop.viewerCount} viewers`;
  drawText(canvas, 26, 66, `demo console, ${viewers}`, 2, { rgb: COLOURS.muted });
  const now = new Date(nowMs);
  const clock = [now.getHours(), now.getMinutes(), now.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
  drawText(canvas, 616 - 47 * 4, 24, clock, 4, { rgb: COLOURS.teal });
  drawText(canvas, 616 - 15 * 12 + 2, 66, now.toDateString(), 2, { rgb: COLOURS.muted });
}

/** Three comets on one closed curve, a third of its period apart, each with a fading tail. */
function paintComets(canvas: Canvas, nowMs: number): void {
  COMETS.forEach((rgb, comet) => {
    for (let disc = TAIL_DISCS - 1; disc >= 0; disc--) {
      const { x, y } = placeOnCurve(nowMs - disc * TAIL_STEP_MS, comet / COMETS.length);
      const fresh = 1 - disc / TAIL_DISCS;
      fillDisc(canvas, x, y, HEAD_RADIUS * (0.35 + 0.65 * fresh), {
        rgb,
        cover: disc === 0 ? 1 : 0.22 * fresh,
      });
    }
    const head = placeOnCurve(nowMs, comet / COMETS.length);
    fillDisc(canvas, head.x - 3, head.y - 3, 3, { rgb: COLOURS.white, cover: 0.7 });
  });
}

function placeOnCurve(timeMs: number, phase: number): { x: number; y: number } {
  const { x, y, width, height } = PANELS.stage;
  const angle = 2 * Math.PI * (timeMs / 9000 + phase);
  return {
    x: x + width / 2 + (width / 2 - 40) * Math.sin(angle),
    y: y + height / 2 + (height / 2 - 20) * Math.sin(2 * angle + timeMs / 7000),
  };
}
