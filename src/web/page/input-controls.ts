// Everything that sends keys besides noVNC's own grab: panel, paste, phone keyboard, shortcut, view only.
// Whenever the keyboard leaves the screen, no key stays down in the machine.
import { announce, byId } from './elements.js';
import { type Chord, ctrlAltDel, type SendKey, sendChord } from './keys.js';
import { KeysPanel } from './keys-panel.js';
import { HeldModifiers } from './modifiers.js';
import keysyms from './novnc/core/input/keysymdef.js';
import { PasteDialog } from './paste.js';
import type { Session } from './session.js';
import { Shortcut } from './shortcut.js';
import type { Toolbar } from './toolbar.js';
import { TouchInput } from './touch-input.js';

const toastMs = 6000;
const modifierNames = new Set(['Control', 'Alt', 'Shift', 'Meta', 'AltGraph']);
const lookup = (codePoint: number): number => keysyms.lookup(codePoint);

export class InputControls {
  readonly #screen: HTMLElement;
  readonly #session: () => Session | undefined;
  readonly #held: HeldModifiers;
  readonly #panel: KeysPanel;
  readonly #paste: PasteDialog;
  readonly #touch: TouchInput;
  readonly #toast = byId('toast', HTMLElement);
  #viewOnly = false;
  #wasHinted = false;

  constructor(screen: HTMLElement, session: () => Session | undefined) {
    this.#screen = screen;
    this.#session = session;
    const send: SendKey = (key, down) => session()?.sendKey(key.keysym, key.code, down);
    this.#held = new HeldModifiers(send, () => this.#panel.showHeld(this.#held));
    this.#panel = new KeysPanel(this.#held, (chord) => this.#press(chord));
    this.#paste = new PasteDialog(lookup, send, () => session()?.focus());
    this.#touch = new TouchInput(
      lookup,
      send,
      () => this.#held.release(),
      (on) => {
        const live = session();
        if (live) live.focusOnTouch = !on;
      },
    );
  }

  /** Starts the shortcut and what else follows the focus. */
  listen(toolbar: Toolbar): void {
    const shortcut = new Shortcut();
    window.addEventListener(
      'keydown',
      (event) => {
        if (!shortcut.press(event) || this.#paste.isOpen) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        if (!this.#session()?.connected || this.#screen.contains(document.activeElement)) toolbar.focus();
        else this.#session()?.focus();
      },
      { capture: true },
    );
    window.addEventListener('keyup', (event) => shortcut.release(event), { capture: true });
    this.#screen.addEventListener('focusout', () => this.#releaseGrabbed());
    this.#screen.addEventListener('keydown', (event) => this.#afterGrabbed(event), { capture: true });
    this.#screen.addEventListener('pointerdown', () => this.#panel.toggle(false));
    if (/mac/i.test(navigator.platform))
      byId('shortcut-name', HTMLElement).textContent = 'Control+Option+Shift';
  }

  sendCtrlAltDel(): void {
    this.#press(ctrlAltDel);
    announce('Ctrl+Alt+Del sent');
  }

  paste(): void {
    this.#held.release();
    this.#panel.toggle(false);
    this.#paste.open();
  }

  setViewOnly(on: boolean): void {
    // noVNC sends nothing any more once this is set, not even the release of a key.
    this.#held.release();
    this.#releaseGrabbed();
    this.#touch.hide();
    this.#panel.toggle(false);
    this.#viewOnly = on;
    const session = this.#session();
    if (session) session.viewOnly = on;
    announce(on ? 'View only' : 'Keys and mouse go to the machine');
    if (!on) session?.focus();
  }

  /** A console came up: it gets the keyboard, unless the embedding page has it. */
  connected(): void {
    const session = this.#session();
    if (!session) return;
    session.viewOnly = this.#viewOnly;
    const canvas = this.#screen.querySelector('canvas');
    canvas?.setAttribute('role', 'application');
    canvas?.setAttribute('aria-label', 'Screen of the machine');
    if (canvas) canvas.tabIndex = 0;
    if (window.top === window || document.hasFocus()) session.focus();
    announce('Connected');
    this.#hint();
  }

  /** The console is gone, and all that was under way with it. */
  disconnected(): void {
    this.#held.release();
    this.#panel.toggle(false);
    this.#touch.hide();
    this.#paste.close();
    this.#toast.hidden = true;
  }

  #press(chord: Chord): void {
    sendChord((key, down) => this.#session()?.sendKey(key.keysym, key.code, down), chord.keys);
    this.#held.release();
  }

  // noVNC releases what is down when the window loses the keyboard, but not when only the screen does.
  #releaseGrabbed(): void {
    window.dispatchEvent(new Event('blur'));
  }

  // noVNC lets no key event through, so this looks at it before, and acts once noVNC has sent the key.
  #afterGrabbed(event: KeyboardEvent): void {
    if (modifierNames.has(event.key)) return;
    window.setTimeout(() => this.#held.release(), 0);
  }

  #hint(): void {
    if (this.#wasHinted || matchMedia('(hover: none)').matches) return;
    this.#wasHinted = true;
    const name = byId('shortcut-name', HTMLElement).textContent;
    this.#toast.textContent = `${name} moves between the machine and the toolbar`;
    this.#toast.hidden = false;
    window.setTimeout(() => {
      this.#toast.hidden = true;
    }, toastMs);
  }
}
