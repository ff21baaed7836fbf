// The question before an open console makes room for another: whoever has a hand on this window, not only the portal,
// can put a link into its address.
// What always holds: without a yes nothing changes; keys that were meant for the machine answer nothing.
import { announce, byId } from './elements.js';

/** What is typed when the question appears belongs to the machine. */
const readingMs = 1_000;
/** After a no nobody is asked again for so long. */
const quietMs = 30_000;

export class SwitchDialog {
  readonly #dialog = byId('switch-dialog', HTMLDialogElement);
  readonly #open = byId('switch-open', HTMLButtonElement);
  readonly #closed: () => void;
  #yes: (() => void) | undefined;
  #quietUntil = 0;
  #reading: number | undefined;

  /** @param closed after either answer, for the keyboard to go where it was */
  constructor(closed: () => void) {
    this.#closed = closed;
    byId('switch-stay', HTMLButtonElement).addEventListener('click', () => this.#dialog.close());
    this.#open.addEventListener('click', () => {
      const yes = this.#yes;
      this.#yes = undefined;
      this.#dialog.close();
      yes?.();
    });
    // Escape and both buttons end here.
    this.#dialog.addEventListener('close', () => {
      window.clearTimeout(this.#reading);
      if (this.#yes !== undefined) this.#quietUntil = performance.now() + quietMs;
      this.#yes = undefined;
      this.#closed();
    });
  }

  /** Asks once at a time: a link that comes while the question is open, or soon after a no, is dropped. */
  ask(yes: () => void): void {
    if (this.#dialog.open || performance.now() < this.#quietUntil) return;
    this.#yes = yes;
    this.#open.disabled = true;
    this.#reading = window.setTimeout(() => {
      this.#open.disabled = false;
    }, readingMs);
    this.#dialog.showModal();
    // The dialog itself and no button, which the next key would press.
    this.#dialog.focus({ preventScroll: true });
    announce('A link to another console came to this window. Open it?');
  }
}
