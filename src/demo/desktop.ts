// What has happened on the demo's desktop: the state between the viewers' input and the picture.
// What always holds: all viewers share it, and it does not grow, however much they send.
import { findCharacter, findModifier, nameKey } from './keysym.js';

/** A typed key: a character, or a named key or combination, which the picture frames. */
export interface TypedKey {
  readonly label: string;
  readonly named: boolean;
}

/** Everything that the picture shows. Times in milliseconds of the clock that the functions are given. */
export interface Desktop {
  viewerCount: number;
  typed: TypedKey[];
  readonly heldModifiers: Set<string>;
  pointer: { x: number; y: number; buttons: number } | undefined;
  /** Until when each of the eight buttons is shown as pressed, so that a short click can be seen. */
  readonly litUntilMs: number[];
  clipboard: string;
  /** A modifier that went down and has not been used with another key. */
  loneModifier: string | undefined;
}

/** More than the picture has room for. */
const TYPED_MAX = 200;
const CLIPBOARD_SHOWN_MAX = 200;
const CLICK_SHOWN_MS = 250;
const BUTTONS = 8;

export function createDesktop(): Desktop {
  return {
    viewerCount: 0,
    typed: [],
    heldModifiers: new Set(),
    pointer: undefined,
    litUntilMs: Array.from({ length: BUTTONS }, () => 0),
    clipboard: '',
    loneModifier: undefined,
  };
}

/** Takes a key that went down or up; key repeats are keys again. */
export function pressKey(desktop: Desktop, keysym: number, down: boolean): void {
  const modifier = findModifier(keysym);
  if (modifier !== undefined) {
    pressModifier(desktop, modifier, down);
    return;
  }
  if (!down) return;
  desktop.loneModifier = undefined;
  const character = findCharacter(keysym);
  // Shift and AltGr are in the character already.
  const combined = [...desktop.heldModifiers].filter((name) => name !== 'Shift' && name !== 'AltGr');
  if (character !== undefined && combined.length === 0) addTyped(desktop, { label: character, named: false });
  else {
    const held = character === undefined ? [...desktop.heldModifiers] : combined;
    const key = character === undefined || character === ' ' ? nameKey(keysym) : character;
    addTyped(desktop, { label: [...held, key].join('+'), named: true });
  }
}

/** Takes the pointer's place and its buttons, bit 0 the left one. */
export function movePointer(desktop: Desktop, x: number, y: number, buttons: number, nowMs: number): void {
  const before = desktop.pointer?.buttons ?? 0;
  for (let button = 0; button < BUTTONS; button++) {
    const bit = 1 << button;
    if ((buttons & bit) !== 0 && (before & bit) === 0) desktop.litUntilMs[button] = nowMs + CLICK_SHOWN_MS;
  }
  desktop.pointer = { x, y, buttons };
}

/** Takes a viewer's clipboard. */
export function receiveClipboard(desktop: Desktop, text: string): void {
  desktop.clipboard = text.slice(0, CLIPBOARD_SHOWN_MAX);
}

/** Lets go of what a viewer that left may have held down. */
export function releaseInput(desktop: Desktop): void {
  desktop.heldModifiers.clear();
  desktop.loneModifier = undefined;
  if (desktop.pointer !== undefined) desktop.pointer.buttons = 0;
}

function pressModifier(desktop: Desktop, modifier: string, down: boolean): void {
  if (down) {
    desktop.loneModifier = desktop.heldModifiers.size === 0 ? modifier : undefined;
    desktop.heldModifiers.add(modifier);
    return;
  }
  desktop.heldModifiers.delete(modifier);
  if (desktop.loneModifier === modifier) addTyped(desktop, { label: modifier, named: true });
  desktop.loneModifier = undefined;
}

function addTyped(desktop: Desktop, key: TypedKey): void {
  desktop.typed.push(key);
  if (desktop.typed.length > TYPED_MAX) desktop.typed = desktop.typed.slice(-TYPED_MAX / 2);
}
