// The part of the demo's picture that shows a viewer's own input: keys, pointer, clipboard.
// What always holds: however much was typed or pasted, only what fits its panel is drawn.
import {
  ADVANCE,
  type Canvas,
  drawRing,
  drawText,
  fillDisc,
  fillPanel,
  fillRectangle,
  measureText,
} from './canvas.js';
import type { Desktop, TypedKey } from './desktop.js';
import { COLOURS, PANELS, SCREEN_HEIGHT, SCREEN_WIDTH } from './layout.js';

const SCALE = 2;
const LINE_HEIGHT = 24;
const LINES = 3;
const MARGIN = 14;
const MODIFIERS = ['Shift', 'Ctrl', 'Alt', 'AltGr', 'Super'];
const BUTTONS = ['L', 'M', 'R', '^', 'v'];
const BLINK_MS = 1000;

/** The modifiers that are held, and the last lines of what was typed with a cursor behind it. */
export function paintKeyboard(canvas: Canvas, desktop: Desktop, nowMs: number): void {
  const { x, y, width } = PANELS.keyboard;
  let right = x + width - MARGIN;
  for (const modifier of MODIFIERS.toReversed()) {
    const held = desktop.heldModifiers.has(modifier);
    const pillWidth = measureText(modifier, 1) + 14;
    right -= pillWidth + 6;
    fillPanel(canvas, right + 6, y + 8, pillWidth, 16, 5, { rgb: held ? COLOURS.amber : COLOURS.key });
    drawText(canvas, right + 13, y + 12, modifier, 1, { rgb: held ? COLOURS.panel : COLOURS.muted });
  }

  const left = x + MARGIN;
  const top = y + 36;
  if (desktop.typed.length === 0) {
    drawText(canvas, left + 14, top, 'type something', SCALE, { rgb: COLOURS.muted, cover: 0.6 });
  }
  const lines = wrapKeys(desktop.typed, width - 2 * MARGIN - ADVANCE * SCALE).slice(-LINES);
  lines.forEach((line, index) => {
    for (const { key, offset } of line.keys) paintKey(canvas, left + offset, top + index * LINE_HEIGHT, key);
  });
  if (nowMs % BLINK_MS < BLINK_MS / 2) {
    const lastLine = Math.max(0, lines.length - 1);
    const cursorX = left + (lines.at(-1)?.width ?? 0);
    fillRectangle(canvas, cursorX, top + lastLine * LINE_HEIGHT - 2, 2, 20, { rgb: COLOURS.teal });
  }
}

interface Line {
  keys: { key: TypedKey; offset: number }[];
  width: number;
}

function wrapKeys(keys: readonly TypedKey[], maxWidth: number): Line[] {
  const lines: Line[] = [{ keys: [], width: 0 }];
  for (const key of keys) {
    const keyWidth = key.named ? measureText(key.label, SCALE) + 20 : ADVANCE * SCALE;
    let line = lines.at(-1) as Line;
    if (line.width + keyWidth > maxWidth) {
      line = { keys: [], width: 0 };
      lines.push(line);
    }
    line.keys.push({ key, offset: line.width });
    line.width += keyWidth;
  }
  return lines;
}

function paintKey(canvas: Canvas, x: number, y: number, key: TypedKey): void {
  if (key.named) {
    fillPanel(canvas, x + 2, y - 4, measureText(key.label, SCALE) + 14, 22, 5, { rgb: COLOURS.key });
    drawText(canvas, x + 9, y, key.label, SCALE, { rgb: COLOURS.amber });
  } else drawText(canvas, x, y, key.label, SCALE, { rgb: COLOURS.white });
}

/** The pointer's coordinates and its buttons, the wheel's two directions included. */
export function paintPointerPanel(canvas: Canvas, { pointer, litUntilMs }: Desktop, nowMs: number): void {
  const { x, y } = PANELS.pointer;
  const place = pointer === undefined ? 'move it here' : `x ${pointer.x}  y ${pointer.y}`;
  const cover = pointer === undefined ? 0.6 : 1;
  drawText(canvas, x + MARGIN, y + 36, place, SCALE, { rgb: pointer ? COLOURS.white : COLOURS.muted, cover });
  BUTTONS.forEach((label, button) => {
    const held = ((pointer?.buttons ?? 0) & (1 << button)) !== 0;
    const lit = held || nowMs < (litUntilMs[button] ?? 0);
    const left = x + MARGIN + button * 36;
    fillPanel(canvas, left, y + 68, 30, 30, 7, { rgb: lit ? COLOURS.amber : COLOURS.key });
    drawText(canvas, left + 11, y + 76, label, SCALE, { rgb: lit ? COLOURS.panel : COLOURS.muted });
  });
}

/** The first line of the clipboard, as much as there is room for. */
export function paintClipboard(canvas: Canvas, { clipboard }: Desktop): void {
  const { x, y, width } = PANELS.clipboard;
  const left = x + 84;
  const room = Math.floor((x + width - MARGIN - left) / (ADVANCE * SCALE));
  const line = clipboard.split(/[\r\n]/, 1)[0] ?? '';
  const shown = line.length > room ? `${line.slice(0, room - 3)}...` : line;
  drawText(canvas, left, y + 9, shown, SCALE, { rgb: COLOURS.white });
}

/** A cross-hair over the whole screen; its centre fills while a button is held. */
export function paintPointer(canvas: Canvas, { pointer }: Desktop): void {
  if (pointer === undefined) return;
  const { x, y, buttons } = pointer;
  const rgb = buttons === 0 ? COLOURS.teal : COLOURS.amber;
  fillRectangle(canvas, 0, y, SCREEN_WIDTH, 1, { rgb, cover: 0.35 });
  fillRectangle(canvas, x, 0, 1, SCREEN_HEIGHT, { rgb, cover: 0.35 });
  drawRing(canvas, x, y, 7, 9, { rgb });
  fillDisc(canvas, x, y, buttons === 0 ? 1.5 : 5, { rgb });
}
