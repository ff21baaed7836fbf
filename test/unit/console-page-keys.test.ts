// The keys that the console page sends: characters as strokes, chords, held modifiers, the shortcut.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  chordGroups,
  ctrlAltDel,
  type Key,
  modifiers,
  namedKeys,
  sendChord,
} from '../../src/web/page/keys.ts';
import { HeldModifiers } from '../../src/web/page/modifiers.ts';
import { type KeyPress, Shortcut } from '../../src/web/page/shortcut.ts';
import { type KeysymLookup, strokesOf, typeStrokes } from '../../src/web/page/strokes.ts';
import { textChange } from '../../src/web/page/text-change.ts';

// The very table that the page uses.
const core = dirname(createRequire(import.meta.url).resolve('@novnc/novnc'));
const table: unknown = await import(pathToFileURL(join(core, 'input/keysymdef.js')).href);
const { default: keysyms } = table as { default: { lookup: KeysymLookup } };
const lookup: KeysymLookup = (codePoint) => keysyms.lookup(codePoint);

const shift = 0xffe1;

function recorder() {
  const sent: string[] = [];
  const send = (key: Key, down: boolean) => void sent.push(`${down ? '+' : '-'}${key.keysym.toString(16)}`);
  return { sent, send };
}

describe('text as key strokes', () => {
  it.each([
    ['a lower case letter', 'a', [[0x61]]],
    ['an upper case letter with Shift', 'A', [[shift, 0x41]]],
    ['digits and signs as on a US keyboard', '1!', [[0x31], [shift, 0x21]]],
    ['Latin-1 by itself', 'ü', [[0xfc]]],
    ['accents joined to their letters', 'u\u0308', [[0xfc]]],
    ['the euro sign by its own keysym', '€', [[0x20ac]]],
    ['Greek by its own keysyms', 'Ω', [[0x7d9]]],
    ['whatever has no keysym by its code point', '漢😀', [[0x1006f22], [0x101f600]]],
    ['a line end as Enter', 'a\nb', [[0x61], [0xff0d], [0x62]]],
    ['a DOS line end as one Enter', '\r\n', [[0xff0d]]],
    ['an old Mac line end as Enter', '\r', [[0xff0d]]],
    ['a tab as Tab', '\t', [[0xff09]]],
    ['no other control characters', '\u0000\u001b[\u007f\u0085', [[0x5b]]],
    ['nothing for nothing', '', []],
  ])('%s', (_title, text, keysymsOfStrokes) => {
    expect(strokesOf(text, lookup).map((stroke) => stroke.map((key) => key.keysym))).toEqual(
      keysymsOfStrokes,
    );
  });

  it('goes out at a pace, keys down in order and up in reverse', async () => {
    const { sent, send } = recorder();
    const waits: number[] = [];
    const progress: number[] = [];
    const done = await typeStrokes(strokesOf('aB', lookup), send, {
      signal: new AbortController().signal,
      wait: async (ms) => void waits.push(ms),
      progress: (count) => void progress.push(count),
    });
    expect(done).toBe(true);
    expect(sent).toEqual(['+61', '-61', '+ffe1', '+42', '-42', '-ffe1']);
    expect(waits).toEqual([20, 40]);
    expect(progress).toEqual([1, 2]);
  });

  it('stops between two characters, with no key left down', async () => {
    const { sent, send } = recorder();
    const typing = new AbortController();
    const done = await typeStrokes(strokesOf('ABC', lookup), send, {
      signal: typing.signal,
      wait: async () => typing.abort(),
      progress: () => {},
    });
    expect(done).toBe(false);
    expect(sent).toEqual(['+ffe1', '+41', '-41', '-ffe1']);
  });
});

describe('the keys panel', () => {
  it('sends Ctrl+Alt+Del as three keys down and three up', () => {
    const { sent, send } = recorder();
    sendChord(send, ctrlAltDel.keys);
    expect(sent).toEqual(['+ffe3', '+ffe9', '+ffff', '-ffff', '-ffe9', '-ffe3']);
  });

  it('has the function keys and all that a browser keeps', () => {
    const chords = new Map(chordGroups.flatMap((group) => group.chords.map((chord) => [chord.label, chord])));
    expect(chords.get('F1')?.keys[0]).toEqual({ keysym: 0xffbe, code: 'F1' });
    expect(chords.get('F12')?.keys[0]).toEqual({ keysym: 0xffc9, code: 'F12' });
    for (const label of ['Ctrl+Alt+Del', 'Alt+Tab', 'Alt+F4', 'Ctrl+W', 'Super', 'Esc', 'Tab', '←', '→']) {
      expect(chords.has(label), label).toBe(true);
    }
    for (const name of ['Enter', 'Tab', 'Backspace', 'Escape', 'ArrowUp', 'F5'])
      expect(namedKeys.has(name), name).toBe(true);
  });

  it('holds modifiers until the next key', () => {
    const { sent, send } = recorder();
    let changes = 0;
    const held = new HeldModifiers(send, () => {
      changes += 1;
    });
    const [control, alt] = modifiers.map(({ keys }) => keys[0]);
    if (!control || !alt) throw new Error('there are four modifiers');
    held.toggle(control);
    held.toggle(alt);
    held.toggle(alt);
    expect([held.isHeld(control), held.isHeld(alt)]).toEqual([true, false]);
    held.release();
    held.release();
    expect(sent).toEqual(['+ffe3', '+ffe9', '-ffe9', '-ffe3']);
    expect(changes).toBe(4);
  });
});

describe('the shortcut to the toolbar', () => {
  const flags = (codes: readonly string[]) => ({
    ctrlKey: codes.some((code) => code.startsWith('Control')),
    altKey: codes.some((code) => code.startsWith('Alt')),
    shiftKey: codes.some((code) => code.startsWith('Shift')),
  });
  const pressAll = (shortcut: Shortcut, codes: readonly string[]) =>
    codes.map((code, index): boolean => {
      const event: KeyPress = { code, ...flags(codes.slice(0, index + 1)) };
      return shortcut.press(event);
    });

  it.each([
    [['ControlLeft', 'AltLeft', 'ShiftLeft']],
    [['ShiftRight', 'AltLeft', 'ControlRight']],
    [['AltLeft', 'ControlLeft', 'ControlLeft', 'ShiftLeft']],
  ])('is complete with the last of %j', (codes) => {
    const results = pressAll(new Shortcut(), codes);
    expect(results.at(-1)).toBe(true);
    expect(results.slice(0, -1)).not.toContain(true);
  });

  it.each([
    [['ControlLeft', 'AltLeft', 'Delete']],
    [['ControlLeft', 'ShiftLeft', 'KeyC']],
    // AltGr on Windows comes as Ctrl and the right Alt.
    [['ControlLeft', 'AltRight', 'ShiftLeft', 'KeyL']],
    [['ShiftLeft', 'ControlLeft', 'AltRight']],
  ])('is not %j', (codes) => {
    expect(pressAll(new Shortcut(), codes)).not.toContain(true);
  });

  it('counts no key that was released, here or unseen in another window', () => {
    const shortcut = new Shortcut();
    pressAll(shortcut, ['ControlLeft', 'AltLeft']);
    shortcut.release({ code: 'AltLeft', ctrlKey: true, altKey: false, shiftKey: false });
    expect(shortcut.press({ code: 'ShiftLeft', ctrlKey: true, altKey: false, shiftKey: true })).toBe(false);
    pressAll(shortcut, ['ControlLeft', 'AltLeft']);
    expect(shortcut.press({ code: 'ShiftLeft', ctrlKey: false, altKey: false, shiftKey: true })).toBe(false);
  });
});

describe('a phone’s keyboard', () => {
  it.each([
    ['a character more', '   ', '   a', { deleted: 0, inserted: 'a' }],
    ['a character less', '   ', '  ', { deleted: 1, inserted: '' }],
    ['a word put in place of another', '   teh', '   the ', { deleted: 2, inserted: 'he ' }],
    ['a space turned into a full stop', '   a ', '   a. ', { deleted: 1, inserted: '. ' }],
    ['an emoji is one character', '  😀', '  ', { deleted: 1, inserted: '' }],
    ['nothing', '  a', '  a', { deleted: 0, inserted: '' }],
  ])('%s', (_title, before, after, change) => {
    expect(textChange(before, after)).toEqual(change);
  });
});
