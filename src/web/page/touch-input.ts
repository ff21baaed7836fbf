// A phone's own keyboard: it writes into a hidden text field, and each change of the field becomes key strokes.
// The field always holds some padding, so that there is something for Backspace to delete.
import { byId } from './elements.js';
import { backspace, namedKeys, type SendKey, sendChord } from './keys.js';
import { type KeysymLookup, strokeOf, strokesOf } from './strokes.js';
import { textChange } from './text-change.js';

const padding = ' '.repeat(64);
const maxLength = 256;

export class TouchInput {
  readonly #field = byId('touch-input', HTMLTextAreaElement);
  readonly #button = byId('touch-keyboard', HTMLButtonElement);
  readonly #lookup: KeysymLookup;
  readonly #sendKey: SendKey;
  readonly #sent: () => void;
  #before = padding;

  /** `sent` is called after each key, `toggled` when the keyboard comes or goes. */
  constructor(lookup: KeysymLookup, sendKey: SendKey, sent: () => void, toggled: (on: boolean) => void) {
    this.#lookup = lookup;
    this.#sendKey = sendKey;
    this.#sent = sent;
    this.#button.addEventListener('click', () => this.#toggle());
    this.#field.addEventListener('input', (event) => this.#changed(event));
    this.#field.addEventListener('compositionend', () => this.#tidy());
    this.#field.addEventListener('keydown', (event) => this.#pressed(event));
    this.#field.addEventListener('focus', () => {
      this.#pad();
      this.#button.setAttribute('aria-pressed', 'true');
      toggled(true);
    });
    this.#field.addEventListener('blur', () => {
      this.#button.setAttribute('aria-pressed', 'false');
      toggled(false);
    });
  }

  hide(): void {
    this.#field.blur();
  }

  #toggle(): void {
    if (document.activeElement === this.#field) this.#field.blur();
    else this.#field.focus({ preventScroll: true });
  }

  #pressed(event: KeyboardEvent): void {
    if (event.isComposing) return;
    const key = namedKeys.get(event.key);
    const isCombination = (event.ctrlKey || event.altKey) && [...event.key].length === 1;
    const stroke = key ? [key] : isCombination ? strokeOf(event.key, this.#lookup) : undefined;
    if (!stroke) return;
    event.preventDefault();
    sendChord(this.#sendKey, stroke);
    this.#sent();
  }

  #changed(event: Event): void {
    const after = this.#field.value;
    const { deleted, inserted } = textChange(this.#before, after);
    this.#before = after;
    for (let count = 0; count < deleted; count += 1) sendChord(this.#sendKey, [backspace]);
    for (const stroke of strokesOf(inserted, this.#lookup)) {
      sendChord(this.#sendKey, stroke);
      this.#sent();
    }
    if (!(event instanceof InputEvent && event.isComposing)) this.#tidy();
  }

  // Not while a word is being composed: the phone would lose it.
  #tidy(): void {
    if (this.#before.length < padding.length / 2 || this.#before.length > maxLength) this.#pad();
  }

  #pad(): void {
    this.#field.value = padding;
    this.#before = padding;
    this.#field.setSelectionRange(padding.length, padding.length);
  }
}
