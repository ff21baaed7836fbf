// The dialog for text that is to be typed into the machine.
// One text at a time, of a bounded length, at a pace a virtual keyboard keeps up with; it can be stopped.
import { announce, byId } from './elements.js';
import type { SendKey } from './keys.js';
import { type KeysymLookup, strokesOf, typeStrokes } from './strokes.js';

/** More than this is a file, for which a keyboard is the wrong way. */
const maxStrokes = 5000;

export class PasteDialog {
  readonly #dialog = byId('paste-dialog', HTMLDialogElement);
  readonly #text = byId('paste-text', HTMLTextAreaElement);
  readonly #count = byId('paste-count', HTMLElement);
  readonly #progress = byId('paste-progress', HTMLProgressElement);
  readonly #send = byId('paste-send', HTMLButtonElement);
  readonly #lookup: KeysymLookup;
  readonly #sendKey: SendKey;
  #typing: AbortController | undefined;

  constructor(lookup: KeysymLookup, sendKey: SendKey, closed: () => void) {
    this.#lookup = lookup;
    this.#sendKey = sendKey;
    this.#text.addEventListener('input', () => this.#showCount());
    byId('paste-cancel', HTMLButtonElement).addEventListener('click', () => this.close());
    byId('paste-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#type();
    });
    // Escape and close() both end here.
    this.#dialog.addEventListener('close', () => {
      this.#typing?.abort();
      this.#text.value = '';
      closed();
    });
  }

  get isOpen(): boolean {
    return this.#dialog.open;
  }

  open(): void {
    if (this.#dialog.open) return;
    this.#progress.hidden = true;
    this.#text.readOnly = false;
    this.#dialog.showModal();
    this.#text.focus();
    this.#showCount();
  }

  /** Closes it and stops the typing. */
  close(): void {
    this.#dialog.close();
  }

  #showCount(): void {
    const length = strokesOf(this.#text.value, this.#lookup).length;
    const tooLong = length > maxStrokes;
    this.#count.textContent = tooLong
      ? `${length} characters; at most ${maxStrokes} can be typed at once`
      : `${length} ${length === 1 ? 'character' : 'characters'}`;
    this.#count.classList.toggle('wrong', tooLong);
    this.#send.disabled = length === 0 || tooLong;
  }

  async #type(): Promise<void> {
    const strokes = strokesOf(this.#text.value, this.#lookup);
    if (strokes.length === 0 || strokes.length > maxStrokes) return;
    const typing = new AbortController();
    this.#typing = typing;
    this.#send.disabled = true;
    this.#text.readOnly = true;
    this.#progress.hidden = false;
    this.#progress.max = strokes.length;
    announce('Typing');
    const done = await typeStrokes(strokes, this.#sendKey, {
      signal: typing.signal,
      wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      progress: (sent) => {
        this.#progress.value = sent;
      },
    });
    announce(done ? 'Text typed' : 'Typing stopped');
    if (done) this.close();
  }
}
