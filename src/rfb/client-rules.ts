// What a browser may do on a console, and what follows from it for the clipboard.
// What always holds: view_only lets no clipboard through to the VM, whatever `clipboard` says.

import { type ClipboardMode, givesToVm, takesFromVm } from '../clipboard.js';

export interface FilterRules {
  readonly viewOnly: boolean;
  readonly clipboard: ClipboardMode;
}

/** Nothing is to be kept back: a session needs no filter. */
export function isTransparent({ viewOnly, clipboard }: FilterRules): boolean {
  return !viewOnly && clipboard === 'both';
}

export function mayGiveToVm({ viewOnly, clipboard }: FilterRules): boolean {
  return !viewOnly && givesToVm(clipboard);
}

export function mayTakeFromVm({ clipboard }: FilterRules): boolean {
  return takesFromVm(clipboard);
}

/**
 * Whether the server's messages have to be read as well (server-filter.ts): its clipboard is to be left out, or it is to be
 * heard whether it reads the longer pointer messages of those who may send some (client-pointers.ts).
 */
export function readsServer(rules: FilterRules): boolean {
  return !isTransparent(rules) && (!rules.viewOnly || !mayTakeFromVm(rules));
}

/**
 * Whether the Extended Clipboard may be agreed upon. A viewer must not ask through it, since all its clipboard messages
 * are dropped; and where nothing may come from the VM, a server that knows no other way then sends nothing at all (QEMU).
 */
export function seesExtendedClipboard(rules: FilterRules): boolean {
  return !rules.viewOnly && mayTakeFromVm(rules);
}
