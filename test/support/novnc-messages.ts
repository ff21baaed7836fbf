// Counts what a browser sent by the names that noVNC 1.7 has for it (core/rfb.js, RFB.messages), with the lengths that the
// service itself goes by: were one wrong, the counts would not be noVNC's own.
import { bodyBytes, headBytes } from '../../src/rfb/client-messages.ts';
import { extendedMouseButtons, u32 } from './rfb-messages.ts';

export type Counts = Record<string, number>;

/** By the names that noVNC has for them. */
const names: Record<number, string> = {
  0: 'pixelFormat',
  2: 'clientEncodings',
  3: 'fbUpdateRequest',
  4: 'keyEvent',
  5: 'pointerEvent',
  6: 'clientCutText',
  150: 'enableContinuousUpdates',
  248: 'clientFence',
  250: 'xvpOp',
  251: 'setDesktopSize',
  255: 'QEMUExtendedKeyEvent',
};
const actions: Record<number, string> = {
  2: 'extendedClipboardRequest',
  8: 'extendedClipboardNotify',
  16: 'extendedClipboardProvide',
};

/** What a browser sent from ClientInit on, by kind. @throws where it is not all messages */
export function countMessages(sent: Buffer): Counts {
  const counts: Counts = {};
  const add = (name: string | undefined) => {
    counts[name ?? '?'] = (counts[name ?? '?'] ?? 0) + 1;
  };
  let extendedPointers = false;
  for (let at = 1; at < sent.length; ) {
    const head = headBytes(sent, at, sent.length - at, extendedPointers);
    const type = sent.readUInt8(at);
    add(type === 5 && head === 7 ? 'extendedPointerEvent' : names[type]);
    if (type === 2) extendedPointers = sent.subarray(at, at + head).includes(u32(extendedMouseButtons));
    if (type === 6 && head === 12) {
      const action = sent.readUInt8(at + 8);
      add(action & 1 ? 'extendedClipboardCaps' : actions[action]);
    }
    at += head + bodyBytes(sent, at);
  }
  return counts;
}
