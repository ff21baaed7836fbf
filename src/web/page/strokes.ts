// Text as key strokes, for pasting and for a phone's keyboard.
// Shift is sent by us: QEMU takes the keysym for a place on the keyboard and leaves the state of Shift to the
// viewer, so that a lone "A" would arrive as "a".
import { enter, type Key, type SendKey, sendChord, shift, tab } from './keys.js';

/** The keysym of a code point; noVNC's table in the page. */
export type KeysymLookup = (codePoint: number) => number;

/** The keys of one character, in the order in which they go down. */
export type Stroke = readonly Key[];

const shifted = /[A-Z~!@#$%^&*()_+{}|:"<>?]/;

/** The stroke of one character; undefined for control characters, which no key types. */
export function strokeOf(character: string, lookup: KeysymLookup): Stroke | undefined {
  if (character === '\n') return [enter];
  if (character === '\t') return [tab];
  const codePoint = character.codePointAt(0);
  if (codePoint === undefined || /\p{Cc}/u.test(character)) return undefined;
  const key: Key = { keysym: lookup(codePoint), code: '' };
  return shifted.test(character) ? [shift, key] : [key];
}

/** The strokes of a text. Line ends of all systems are one Enter; accents are joined to their letters. */
export function strokesOf(text: string, lookup: KeysymLookup): Stroke[] {
  const characters = [...text.replace(/\r\n?/g, '\n').normalize('NFC')];
  return characters.map((each) => strokeOf(each, lookup)).filter((stroke) => stroke !== undefined);
}

// A USB keyboard in QEMU reports one change every 10 ms or so, and forgets what does not fit its queue.
const msPerKey = 20;

/** How the strokes are sent: `wait` is the clock, `progress` is told how many are through. */
export interface Typing {
  readonly signal: AbortSignal;
  wait(ms: number): Promise<void>;
  progress(sent: number): void;
}

/** Types at a pace that virtual keyboards keep up with. True when all went, false when it was stopped. */
export async function typeStrokes(
  strokes: readonly Stroke[],
  send: SendKey,
  typing: Typing,
): Promise<boolean> {
  let sent = 0;
  for (const stroke of strokes) {
    if (typing.signal.aborted) return false;
    sendChord(send, stroke);
    sent += 1;
    typing.progress(sent);
    await typing.wait(msPerKey * stroke.length);
  }
  return !typing.signal.aborted;
}
