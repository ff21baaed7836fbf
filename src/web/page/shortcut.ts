// Ctrl+Alt+Shift: the way between the machine and the toolbar without a mouse, on any keyboard.
// The key that completes it is never sent. AltGr is no Alt here, or nobody could type a Polish Ł.

/** The part of a KeyboardEvent that counts. */
export interface KeyPress {
  readonly code: string;
  readonly ctrlKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
}

const parts: ReadonlyMap<string, 'ctrl' | 'alt' | 'shift'> = new Map([
  ['ControlLeft', 'ctrl'],
  ['ControlRight', 'ctrl'],
  ['AltLeft', 'alt'],
  ['ShiftLeft', 'shift'],
  ['ShiftRight', 'shift'],
]);

export class Shortcut {
  readonly #down = new Set<string>();

  /** Takes a key press; true where it completes the shortcut. */
  press(event: KeyPress): boolean {
    this.#forgetMissed(event);
    const part = parts.get(event.code);
    if (part === undefined) {
      // AltGr on Windows is Ctrl and the right Alt at once.
      if (event.code === 'AltRight') this.#down.clear();
      return false;
    }
    this.#down.add(part);
    if (this.#down.size < 3) return false;
    this.#down.clear();
    return true;
  }

  release(event: KeyPress): void {
    const part = parts.get(event.code);
    if (part !== undefined) this.#down.delete(part);
  }

  // Releases that happened while another window had the keyboard never reached us.
  #forgetMissed(event: KeyPress): void {
    if (!event.ctrlKey) this.#down.delete('ctrl');
    if (!event.altKey) this.#down.delete('alt');
    if (!event.shiftKey) this.#down.delete('shift');
  }
}
