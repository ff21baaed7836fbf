// The panel of keys: combinations a browser keeps, keys a phone lacks, and modifiers that stay down.
// Its buttons leave the focus where it is, so that one can go on typing.
import { byId, keepFocus, makeButton } from './elements.js';
import { type Chord, chordGroups, modifiers } from './keys.js';
import type { HeldModifiers } from './modifiers.js';

export class KeysPanel {
  readonly #root = byId('keys-panel', HTMLElement);
  readonly #opener = byId('keys', HTMLButtonElement);
  readonly #modifierButtons: readonly {
    readonly chord: (typeof modifiers)[number];
    readonly button: HTMLButtonElement;
  }[];

  constructor(held: HeldModifiers, press: (chord: Chord) => void) {
    this.#modifierButtons = modifiers.map((chord) => ({
      chord,
      button: makeButton(chord.label, 'key', () => held.toggle(chord.keys[0])),
    }));
    this.#addGroup(
      'Hold for the next key',
      this.#modifierButtons.map(({ button }) => button),
    );
    for (const { name, chords } of chordGroups) {
      this.#addGroup(
        name,
        chords.map((chord) => this.#makeKey(chord, press)),
      );
    }
    keepFocus(this.#root);
    this.#opener.addEventListener('click', (event) => {
      this.toggle();
      // Pressed by keyboard: the way on is into the panel.
      if (event.detail === 0 && !this.#root.hidden) this.#root.querySelector('button')?.focus();
    });
    this.#root.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      this.toggle(false);
      this.#opener.focus();
      event.stopPropagation();
    });
    this.showHeld(held);
  }

  toggle(open = this.#root.hidden): void {
    this.#root.hidden = !open;
    this.#opener.setAttribute('aria-expanded', String(open));
  }

  showHeld(held: HeldModifiers): void {
    for (const { chord, button } of this.#modifierButtons) {
      button.setAttribute('aria-pressed', String(held.isHeld(chord.keys[0])));
    }
  }

  #makeKey(chord: Chord, press: (chord: Chord) => void): HTMLButtonElement {
    const button = makeButton(chord.label, chord.keys.length > 2 ? 'key long' : 'key', () => press(chord));
    if (chord.spoken) {
      button.setAttribute('aria-label', chord.spoken);
      button.title = chord.spoken;
    }
    return button;
  }

  #addGroup(name: string, buttons: readonly HTMLButtonElement[]): void {
    const group = document.createElement('div');
    group.className = 'keys';
    group.role = 'group';
    group.ariaLabel = name;
    const heading = document.createElement('h3');
    heading.textContent = name;
    group.append(heading, ...buttons);
    this.#root.append(group);
  }
}
