// The page's elements by id. What index.html lacks is an error at once, not a silent null later.

/** The element with this id, of this kind. Throws where the page has none. */
export function byId<T extends Element>(id: string, kind: abstract new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`);
  return found;
}

/** A button as the page's style sheet knows them. */
export function makeButton(label: string, className: string, press: () => void): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = className;
  button.textContent = label;
  button.addEventListener('click', press);
  return button;
}

/** Keeps the keyboard where it is when the button is pressed by mouse or finger. */
export function keepFocus(element: HTMLElement): void {
  element.addEventListener('mousedown', (event) => event.preventDefault());
}

/** Says something to those who cannot see it. */
export function announce(text: string): void {
  byId('announcer', HTMLElement).textContent = text;
}
