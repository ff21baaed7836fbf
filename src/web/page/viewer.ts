// The page's middle: at most one session at a time, and what the person sees and can do about it.
// The link stays in this object only; a refusal or a new link replaces it.
import type { Address, Link } from './address.js';
import { socketUrl } from './address.js';
import { Card } from './card.js';
import { type Ending, explain, printable } from './endings.js';
import { InputControls } from './input-controls.js';
import { type Retry, RetryPlan } from './retry.js';
import { type CredentialName, Session } from './session.js';
import { SwitchDialog } from './switch-dialog.js';
import { type ConsoleState, Toolbar } from './toolbar.js';

type Values = Partial<Record<CredentialName, string>>;

export class Viewer {
  readonly #screen: HTMLElement;
  readonly #card = new Card();
  readonly #retry = new RetryPlan();
  readonly #input: InputControls;
  readonly #toolbar: Toolbar;
  readonly #switch = new SwitchDialog(() => this.#session?.focus());
  #session: Session | undefined;
  #link: Link | undefined;
  // What the person typed; it goes with the link.
  #typed: Values = {};
  #connectedAt = 0;
  #countdown: number | undefined;

  constructor(screen: HTMLElement) {
    this.#screen = screen;
    this.#input = new InputControls(screen, () => this.#session);
    this.#toolbar = new Toolbar({
      sendCtrlAltDel: () => this.#input.sendCtrlAltDel(),
      paste: () => this.#input.paste(),
      viewOnly: (on) => this.#input.setViewOnly(on),
      reconnect: () => this.#begin(),
      leave: () => this.#session?.focus(),
    });
    this.#input.listen(this.#toolbar);
  }

  /**
   * Another address came to the page, perhaps from somebody who has no business here: in place of a console that is
   * open, or on its way, it is shown only if the person says so.
   */
  offer(address: Address): void {
    const isBusy = this.#session !== undefined || this.#countdown !== undefined;
    if (!isBusy) this.open(address);
    else if (address.kind === 'link') this.#switch.ask(() => this.open(address));
  }

  /** Shows what an address asks for, in place of what was there. */
  open(address: Address): void {
    this.#typed = {};
    this.#link = address.kind === 'link' ? address.link : undefined;
    this.#toolbar.rename('');
    if (this.#link) this.#begin();
    else
      this.#tell(
        address.kind === 'damaged'
          ? { kind: 'damaged-link' }
          : { kind: wasReloaded() ? 'reloaded' : 'no-link' },
      );
  }

  #begin(): void {
    this.#retry.reset();
    this.#connect();
  }

  #connect(): void {
    this.#drop();
    const link = this.#link;
    if (!link) return;
    this.#state('connecting');
    this.#card.show({ look: 'busy', title: 'Connecting', text: 'Opening the console of the machine…' });
    const password = this.#typed.password ?? link.password;
    const credentials = { ...this.#typed, ...(password === undefined ? {} : { password }) };
    try {
      this.#session = new Session(this.#screen, socketUrl(location.href), link.token, credentials, {
        connected: () => this.#connected(),
        named: (name) => this.#toolbar.rename(printable(name, 80)),
        asked: (names) => this.#ask(names, (values) => this.#answer(values)),
        ended: (ending) => this.#ended(ending),
      });
    } catch {
      // Not the error's own text: a browser may put the token into it.
      this.#ended({ kind: 'protocol' });
    }
  }

  #connected(): void {
    this.#connectedAt = performance.now();
    this.#card.hide();
    this.#state('connected');
    this.#input.connected();
  }

  #ended(ending: Ending): void {
    const connectedMs = this.#connectedAt > 0 ? performance.now() - this.#connectedAt : 0;
    this.#drop();
    if (ending.kind === 'password') {
      this.#askAgain(ending.reason);
      return;
    }
    const retry = this.#retry.after(ending, connectedMs);
    if (retry) this.#wait(ending, retry);
    else this.#tell(ending);
  }

  #tell(ending: Ending): void {
    this.#drop();
    const { title, text, detail, retry } = explain(ending);
    // Nothing more can be done with this link, so it is forgotten.
    if (!retry) this.#link = undefined;
    this.#state(ending.kind === 'no-link' ? 'idle' : 'ended');
    this.#card.show({
      look: ending.kind === 'no-link' || ending.kind === 'reloaded' ? 'calm' : 'warning',
      title,
      text,
      detail,
      actions: this.#link ? [{ label: 'Reconnect', primary: true, run: () => this.#begin() }] : [],
    });
  }

  #wait(ending: Ending, { delaySeconds, attempt, attempts }: Retry): void {
    const words = explain(ending);
    let left = delaySeconds;
    const sentence = (): string => `${words.text} Next try in ${left} s (${attempt} of ${attempts}).`;
    this.#state('ended');
    this.#card.show({
      look: 'busy',
      title: words.title,
      text: sentence(),
      detail: words.detail,
      actions: [
        { label: 'Stop trying', run: () => this.#tell(ending) },
        { label: 'Try now', primary: true, run: () => this.#connect() },
      ],
    });
    this.#countdown = window.setInterval(() => {
      left -= 1;
      if (left <= 0) this.#connect();
      else this.#card.retell(sentence());
    }, 1000);
  }

  #ask(names: readonly CredentialName[], submit: (values: Values) => void, note = ''): void {
    const text =
      names.length === 1 ? 'The machine’s console asks for a password.' : 'The console asks who you are.';
    const title = names.length === 1 ? 'Password needed' : 'Sign in to the console';
    const content = note
      ? { look: 'lock' as const, ...explain({ kind: 'password', reason: note }) }
      : { look: 'lock' as const, title, text };
    this.#card.ask(content, names, submit);
  }

  #answer(values: Values): void {
    this.#typed = { ...this.#typed, ...values };
    this.#card.show({ look: 'busy', title: 'Connecting', text: 'Checking the password…' });
    this.#session?.sendCredentials(this.#typed);
  }

  // The server hung up after the wrong password, so the new one goes with a new connection.
  #askAgain(reason: string): void {
    const names: CredentialName[] =
      this.#typed.username === undefined ? ['password'] : ['username', 'password'];
    // What was refused is forgotten, so that Reconnect asks instead of failing again.
    this.#typed = {};
    if (this.#link) this.#link = { token: this.#link.token, password: undefined };
    this.#state('ended');
    this.#ask(
      names,
      (values) => {
        this.#typed = { ...this.#typed, ...values };
        this.#begin();
      },
      reason || 'no reason given',
    );
  }

  #drop(): void {
    window.clearInterval(this.#countdown);
    this.#countdown = undefined;
    this.#input.disconnected();
    this.#session?.abandon();
    this.#session = undefined;
    this.#connectedAt = 0;
  }

  #state(state: ConsoleState): void {
    this.#toolbar.show(state, this.#link !== undefined);
  }
}

// Reloading drops the link with the rest of the page's memory; that deserves other words than a bare address.
function wasReloaded(): boolean {
  const [entry] = performance.getEntriesByType('navigation');
  return (
    entry instanceof PerformanceNavigationTiming && (entry.type === 'reload' || entry.type === 'back_forward')
  );
}
