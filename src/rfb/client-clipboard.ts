// Which clipboard messages of a browser (ClientCutText, plain or Extended Clipboard) may go on to the VM.
// What always holds: where text must not reach the VM, only messages pass that cannot hold any: the length is that of
// the bare question, because a server that reads no further would take the rest for messages of their own.
import { bodyBytes, cutTextBytes } from './client-messages.js';
import { type FilterRules, mayGiveToVm, seesExtendedClipboard } from './client-rules.js';

/** The upper byte of an Extended Clipboard message's flags. */
const Action = { caps: 1, request: 2, peek: 4 } as const;

/** @param at where the message begins, its flags (if it has any) included in `bytes` */
export function mayCutTextPass(bytes: Buffer, at: number, rules: FilterRules): boolean {
  const isExtended = cutTextBytes(bytes, at) < 0;
  if (!isExtended) return mayGiveToVm(rules);
  if (!seesExtendedClipboard(rules)) return false;
  return mayGiveToVm(rules) || isQuestion(bytes, at);
}

/** Asks what the VM has, or tells which formats are understood; by itself this gives nothing to the VM. */
function isQuestion(bytes: Buffer, at: number): boolean {
  const action = bytes.readUInt8(at + 8);
  const rest = bodyBytes(bytes, at);
  // QEMU looks at every bit for itself, so a request that is a "provide" as well would be both.
  if (action === Action.request || action === Action.peek) return rest === 0;
  // "caps" names the other actions as bits, and servers that see it look at no other.
  return (action & Action.caps) !== 0 && rest === 4 * bitCount(bytes.readUInt16BE(at + 10));
}

function bitCount(bits: number): number {
  let count = 0;
  for (let left = bits; left !== 0; left &= left - 1) count++;
  return count;
}
