// What a browser may do on a console, and what follows from it for the clipboard.
// What always holds: view_only lets no clipboard through to the VM, whatever `clipboard` says.

/** Ways that text may take: `to_vm` from the browser to the VM alone, `from_vm` the other way alone. */
export const clipboardModes = ['both', 'to_vm', 'from_vm', 'off'] as const;
export type ClipboardMode = (typeof clipboardModes)[number];

export interface FilterRules {
  readonly viewOnly: boolean;
  readonly clipboard: ClipboardMode;
}

/** Nothing is to be kept back: a session needs no filter. */
export function isTransparent({ viewOnly, clipboard }: FilterRules): boolean {
  return !viewOnly && clipboard === 'both';
}

export function mayGiveToVm({ viewOnly, clipboard }: FilterRules): boolean {
  return !viewOnly && (clipboard === 'both' || clipboard === 'to_vm');
}

/** Where not, the server's messages have to be read as well (server-filter.ts). */
export function mayTakeFromVm({ clipboard }: FilterRules): boolean {
  return clipboard === 'both' || clipboard === 'from_vm';
}

/**
 * Whether the Extended Clipboard may be agreed upon. A viewer must not ask through it, since all its clipboard messages
 * are dropped; and where nothing may come from the VM, a server that knows no other way then sends nothing at all (QEMU).
 */
export function seesExtendedClipboard(rules: FilterRules): boolean {
  return !rules.viewOnly && mayTakeFromVm(rules);
}
