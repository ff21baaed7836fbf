// Which ways text may take between a browser and a VM: the words of the setting, of a call's option and of a grant.

/** `to_vm`: from the browser to the VM alone; `from_vm`: the other way alone. */
export const clipboardModes = ['both', 'to_vm', 'from_vm', 'off'] as const;
export type ClipboardMode = (typeof clipboardModes)[number];

export function givesToVm(mode: ClipboardMode): boolean {
  return mode === 'both' || mode === 'to_vm';
}

export function takesFromVm(mode: ClipboardMode): boolean {
  return mode === 'both' || mode === 'from_vm';
}

/** The ways that both of them allow. */
export function narrowClipboard(one: ClipboardMode, other: ClipboardMode): ClipboardMode {
  const toVm = givesToVm(one) && givesToVm(other);
  const fromVm = takesFromVm(one) && takesFromVm(other);
  if (toVm) return fromVm ? 'both' : 'to_vm';
  return fromVm ? 'from_vm' : 'off';
}
