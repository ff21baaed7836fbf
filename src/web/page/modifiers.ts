// Modifier keys that the toolbar holds down for the next key, as "sticky keys" do.
// Whatever is down here comes up again: with the next key, by a second press, or when the console ends.
import type { Key, SendKey } from './keys.js';

export class HeldModifiers {
  readonly #send: SendKey;
  readonly #changed: () => void;
  readonly #held = new Set<Key>();

  constructor(send: SendKey, changed: () => void) {
    this.#send = send;
    this.#changed = changed;
  }

  isHeld(key: Key): boolean {
    return this.#held.has(key);
  }

  toggle(key: Key): void {
    const down = !this.#held.has(key);
    if (down) this.#held.add(key);
    else this.#held.delete(key);
    this.#send(key, down);
    this.#changed();
  }

  /** To be called after each other key. */
  release(): void {
    if (this.#held.size === 0) return;
    for (const key of this.#held) this.#send(key, false);
    this.#held.clear();
    this.#changed();
  }
}
