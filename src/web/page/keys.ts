// The keys that a browser or a phone cannot send by itself, by name: X11 keysym and the place on the keyboard.
// The code lets a server that takes scan codes (QEMU) act on the key whatever its layout.

/** One key: X11 keysym (keysymdef.h) and DOM `KeyboardEvent.code`. */
export interface Key {
  readonly keysym: number;
  readonly code: string;
}

/** Presses or releases one key. */
export type SendKey = (key: Key, down: boolean) => void;

/** A button: its keys go down in order and come up in reverse. */
export interface Chord {
  readonly label: string;
  readonly spoken?: string;
  readonly keys: readonly Key[];
}

const key = (keysym: number, code: string): Key => ({ keysym, code });

export const control = key(0xffe3, 'ControlLeft');
export const alt = key(0xffe9, 'AltLeft');
export const shift = key(0xffe1, 'ShiftLeft');
export const superKey = key(0xffeb, 'MetaLeft');
export const enter = key(0xff0d, 'Enter');
export const tab = key(0xff09, 'Tab');
export const backspace = key(0xff08, 'Backspace');
const escapeKey = key(0xff1b, 'Escape');
const del = key(0xffff, 'Delete');
const functionKey = (number: number): Key => key(0xffbd + number, `F${number}`);

export const ctrlAltDel: Chord = { label: 'Ctrl+Alt+Del', keys: [control, alt, del] };

/** Keys that stay down until the next key was sent. */
export const modifiers: readonly (Chord & { readonly keys: readonly [Key] })[] = [
  { label: 'Ctrl', keys: [control] },
  { label: 'Alt', keys: [alt] },
  { label: 'Shift', keys: [shift] },
  { label: 'Super', keys: [superKey] },
];

/** The buttons of the keys panel, group by group. */
export const chordGroups: readonly { readonly name: string; readonly chords: readonly Chord[] }[] = [
  {
    name: 'Combinations',
    chords: [
      ctrlAltDel,
      { label: 'Alt+Tab', keys: [alt, tab] },
      { label: 'Alt+F4', keys: [alt, functionKey(4)] },
      { label: 'Ctrl+W', keys: [control, key(0x77, 'KeyW')] },
      { label: 'Super', spoken: 'Super or Windows key', keys: [superKey] },
      {
        label: 'Ctrl+Alt+F2',
        spoken: 'Ctrl+Alt+F2, a text console of Linux',
        keys: [control, alt, functionKey(2)],
      },
    ],
  },
  {
    name: 'Single keys',
    chords: [
      { label: 'Esc', spoken: 'Escape', keys: [escapeKey] },
      { label: 'Tab', keys: [tab] },
      { label: 'Del', spoken: 'Delete', keys: [del] },
      { label: 'Ins', spoken: 'Insert', keys: [key(0xff63, 'Insert')] },
      { label: 'Home', keys: [key(0xff50, 'Home')] },
      { label: 'End', keys: [key(0xff57, 'End')] },
      { label: 'PgUp', spoken: 'Page up', keys: [key(0xff55, 'PageUp')] },
      { label: 'PgDn', spoken: 'Page down', keys: [key(0xff56, 'PageDown')] },
      { label: '←', spoken: 'Arrow left', keys: [key(0xff51, 'ArrowLeft')] },
      { label: '↑', spoken: 'Arrow up', keys: [key(0xff52, 'ArrowUp')] },
      { label: '↓', spoken: 'Arrow down', keys: [key(0xff54, 'ArrowDown')] },
      { label: '→', spoken: 'Arrow right', keys: [key(0xff53, 'ArrowRight')] },
    ],
  },
  {
    name: 'Function keys',
    chords: Array.from({ length: 12 }, (_, index) => ({
      label: `F${index + 1}`,
      keys: [functionKey(index + 1)],
    })),
  },
];

/** Named keys that a phone's keyboard reports as such, by `KeyboardEvent.key`. */
export const namedKeys: ReadonlyMap<string, Key> = new Map(
  [
    enter,
    tab,
    backspace,
    ...chordGroups.flatMap((group) =>
      group.chords.flatMap((chord) => (chord.keys.length === 1 ? chord.keys : [])),
    ),
  ].map((named) => [named.code, named]),
);

/** Sends a chord: down in order, up in reverse. */
export function sendChord(send: SendKey, keys: readonly Key[]): void {
  for (const each of keys) send(each, true);
  for (const each of [...keys].reverse()) send(each, false);
}
