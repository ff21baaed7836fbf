// The card in the middle: all that is to be said while there is no picture, and what can be done about it.
// Texts of the server are set as text, never as markup.
import { announce, byId, makeButton } from './elements.js';
import type { CredentialName } from './session.js';

/** What the card shows. */
export interface CardContent {
  readonly look: 'busy' | 'calm' | 'warning' | 'lock';
  readonly title: string;
  readonly text: string;
  readonly detail?: string;
  readonly actions?: readonly { readonly label: string; readonly primary?: boolean; run(): void }[];
}

const emblems = { busy: 'screen', calm: 'screen', warning: 'warning', lock: 'lock' } as const;

export class Card {
  readonly #root = byId('card', HTMLElement);
  readonly #title = byId('card-title', HTMLElement);
  readonly #text = byId('card-text', HTMLElement);
  readonly #detail = byId('card-detail', HTMLElement);
  readonly #actions = byId('card-actions', HTMLElement);
  readonly #spinner = byId('card-spinner', HTMLElement);
  readonly #emblem = byId('card-emblem', SVGSVGElement);
  readonly #form = byId('credentials', HTMLFormElement);
  #submit: (values: Partial<Record<CredentialName, string>>) => void = () => {};

  constructor() {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      const values = this.#takeValues();
      this.#submit(values);
    });
  }

  /** Shows a message. The card takes the focus, not its button: a key meant for the machine must press nothing. */
  show(content: CardContent): void {
    this.#fill(content);
    this.#hideForm();
    if (content.look !== 'busy') this.#root.focus({ preventScroll: true });
  }

  /** Changes the sentence alone, without an announcement. */
  retell(text: string): void {
    this.#text.textContent = text;
  }

  /** Asks for what the server wants to know. */
  ask(
    content: CardContent,
    names: readonly CredentialName[],
    submit: (values: Partial<Record<CredentialName, string>>) => void,
  ): void {
    this.#fill(content);
    this.#submit = submit;
    this.#form.hidden = false;
    for (const label of this.#form.querySelectorAll('label')) {
      label.hidden = !names.some((name) => name === label.dataset['credential']);
    }
    this.#form.querySelector<HTMLInputElement>('label:not([hidden]) input')?.focus();
  }

  hide(): void {
    this.#root.hidden = true;
    this.#hideForm();
  }

  #fill(content: CardContent): void {
    this.#root.dataset['look'] = content.look;
    this.#root.hidden = false;
    this.#spinner.hidden = content.look !== 'busy';
    this.#emblem.querySelector('use')?.setAttribute('href', `./icons.svg#${emblems[content.look]}`);
    this.#title.textContent = content.title;
    this.#text.textContent = content.text;
    this.#detail.textContent = content.detail ?? '';
    this.#detail.hidden = !content.detail;
    this.#actions.replaceChildren(
      ...(content.actions ?? []).map(({ label, primary, run }) =>
        makeButton(label, primary ? 'button primary' : 'button', run),
      ),
    );
    announce([content.title, content.text, content.detail ?? ''].join('. '));
  }

  #takeValues(): Partial<Record<CredentialName, string>> {
    const values: Partial<Record<CredentialName, string>> = {};
    for (const name of ['username', 'target', 'password'] as const) {
      const label = this.#form.querySelector<HTMLElement>(`label[data-credential="${name}"]`);
      const input = label?.querySelector('input');
      if (label?.hidden === false && input) values[name] = input.value;
    }
    this.#form.reset();
    return values;
  }

  // A password does not stay in the page's form.
  #hideForm(): void {
    this.#form.reset();
    this.#form.hidden = true;
    this.#submit = () => {};
  }
}
