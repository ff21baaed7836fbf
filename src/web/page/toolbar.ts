// The bar above the picture: whose console this is, how it does, and the buttons.
// It collapses to a handle; the shortcut and the handle bring it back.
import { byId, keepFocus } from './elements.js';
import { prepareFullScreen, toggleFullScreen } from './full-screen.js';

/** How the console does; also the page's look, by `body[data-state]`. */
export type ConsoleState = 'idle' | 'connecting' | 'connected' | 'ended';

/** What the buttons do. */
export interface ToolbarActions {
  sendCtrlAltDel(): void;
  paste(): void;
  viewOnly(on: boolean): void;
  reconnect(): void;
  leave(): void;
}

const stateWords: Readonly<Record<ConsoleState, string>> = {
  idle: '',
  connecting: 'Connecting…',
  connected: 'Connected',
  ended: 'Not connected',
};

export class Toolbar {
  readonly #root = byId('toolbar', HTMLElement);
  readonly #expand = byId('expand', HTMLButtonElement);
  readonly #name = byId('name', HTMLElement);
  readonly #stateText = byId('state', HTMLElement);
  readonly #viewOnly = byId('view-only', HTMLButtonElement);
  readonly #reconnect = byId('reconnect', HTMLButtonElement);
  readonly #whenConnected = ['ctrl-alt-del', 'keys', 'touch-keyboard', 'paste'].map((id) =>
    byId(id, HTMLButtonElement),
  );
  #state: ConsoleState = 'idle';
  #isViewOnly = false;

  constructor(actions: ToolbarActions) {
    const press = (id: string, run: () => void): void =>
      byId(id, HTMLButtonElement).addEventListener('click', run);
    press('ctrl-alt-del', () => actions.sendCtrlAltDel());
    press('paste', () => actions.paste());
    press('reconnect', () => actions.reconnect());
    press('full-screen', () => void toggleFullScreen());
    press('collapse', () => this.#collapse(true));
    this.#expand.addEventListener('click', (event) => {
      this.#collapse(false);
      // Pressed by keyboard: it stays in the bar.
      if (event.detail === 0) this.focus();
    });
    // A mouse leaves the keyboard with the machine.
    for (const element of [this.#root, this.#expand]) keepFocus(element);
    press('view-only', () => {
      this.#isViewOnly = !this.#isViewOnly;
      actions.viewOnly(this.#isViewOnly);
      this.#show();
    });
    prepareFullScreen();
    this.#root.addEventListener('keydown', (event) => this.#navigate(event, actions));
    this.#show();
  }

  get viewOnly(): boolean {
    return this.#isViewOnly;
  }

  /** Shows a new state; `canReconnect` where there is a link to reconnect with. */
  show(state: ConsoleState, canReconnect: boolean): void {
    this.#state = state;
    this.#reconnect.disabled = !canReconnect || state === 'connecting';
    this.#show();
  }

  /** Names the console, here and in the window's title. */
  rename(name: string): void {
    this.#name.textContent = name || 'Console';
    this.#name.title = name;
    document.title = name ? `${name} – Console` : 'Console';
  }

  /** Brings the bar back and gives it the keyboard. */
  focus(): void {
    this.#collapse(false);
    this.#buttons()[0]?.focus();
  }

  #show(): void {
    document.body.dataset['state'] = this.#state;
    const isWatching = this.#state === 'connected' && this.#isViewOnly;
    this.#stateText.textContent = isWatching ? 'View only' : stateWords[this.#state];
    this.#viewOnly.setAttribute('aria-pressed', String(this.#isViewOnly));
    for (const button of this.#whenConnected)
      button.disabled = this.#state !== 'connected' || this.#isViewOnly;
  }

  #collapse(on: boolean): void {
    const hadFocus = this.#root.matches(':focus-within');
    this.#root.hidden = on;
    this.#expand.hidden = !on;
    if (on && hadFocus) this.#expand.focus();
  }

  #buttons(): HTMLButtonElement[] {
    return [...this.#root.querySelectorAll('button')].filter(
      (button) => !button.disabled && button.offsetWidth > 0,
    );
  }

  // Arrow keys walk along the bar, as in every toolbar; Escape goes back to the machine.
  #navigate(event: KeyboardEvent, actions: ToolbarActions): void {
    const buttons = this.#buttons();
    const here = buttons.findIndex((button) => button.matches(':focus'));
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: here + 1,
      ArrowLeft: here - 1,
      Home: 0,
      End: -1,
    };
    const next = steps[event.key];
    if (next !== undefined) buttons.at(next % buttons.length)?.focus();
    else if (event.key === 'Escape') actions.leave();
    else return;
    event.preventDefault();
  }
}
