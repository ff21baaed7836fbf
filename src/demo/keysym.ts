// What a key is called on the demo's screen: X11 keysyms, as RFB sends them (RFC 6143 section 7.5.4).
// What always holds: every 32 bit number has a short printable name.

/** Keys that change what others mean, by keysym. Left and right share a name. */
const MODIFIERS: Readonly<Record<number, string>> = {
  65505: 'Shift',
  65506: 'Shift',
  65507: 'Ctrl',
  65508: 'Ctrl',
  65511: 'Meta',
  65512: 'Meta',
  65513: 'Alt',
  65514: 'Alt',
  65515: 'Super',
  65516: 'Super',
  65027: 'AltGr',
};

const NAMED: Readonly<Record<number, string>> = {
  32: 'Space',
  65056: 'Tab',
  65288: 'Backspace',
  65289: 'Tab',
  65293: 'Return',
  65299: 'Pause',
  65300: 'ScrollLock',
  65301: 'SysRq',
  65307: 'Esc',
  65360: 'Home',
  65361: 'Left',
  65362: 'Up',
  65363: 'Right',
  65364: 'Down',
  65365: 'PageUp',
  65366: 'PageDown',
  65367: 'End',
  65377: 'Print',
  65379: 'Insert',
  65383: 'Menu',
  65407: 'NumLock',
  65421: 'KP Enter',
  65509: 'CapsLock',
  65535: 'Delete',
};

const F1 = 65470;
const F24 = 65493;
/** Keysyms from here on are Unicode characters, plus this number. */
const UNICODE = 0x1000000;

/** The modifier's name, or undefined for any other key. */
export function findModifier(keysym: number): string | undefined {
  return MODIFIERS[keysym];
}

/** The printable ASCII character that the key types, or undefined. */
export function findCharacter(keysym: number): string | undefined {
  return keysym >= 32 && keysym < 127 ? String.fromCharCode(keysym) : undefined;
}

/** The key's name: `Return`, `F1`, `U+00E9`, or its number in hexadecimal. */
export function nameKey(keysym: number): string {
  const name = NAMED[keysym];
  if (name !== undefined) return name;
  if (keysym >= F1 && keysym <= F24) return `F${keysym - F1 + 1}`;
  const codePoint = keysym >= UNICODE ? keysym - UNICODE : keysym;
  // Latin-1 keysyms are their own code points.
  if (codePoint <= 0xff || (keysym >= UNICODE && codePoint <= 0x10ffff)) {
    return `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`;
  }
  return `0x${keysym.toString(16)}`;
}
