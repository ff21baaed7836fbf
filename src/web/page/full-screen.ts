// Full screen, and with it the keys that a browser otherwise keeps: Alt+Tab, Ctrl+W, Super, Escape.
// Where the browser or the embedding page does not allow it, the button is not there.
import { byId } from './elements.js';

// Chromium only, so far; not in TypeScript's DOM types (https://wicg.github.io/keyboard-lock/).
interface KeyboardLock {
  lock(): Promise<void>;
  unlock(): void;
}

function keyboardLock(): KeyboardLock | undefined {
  return (navigator as Navigator & { keyboard?: Partial<KeyboardLock> }).keyboard?.lock
    ? (navigator as Navigator & { keyboard: KeyboardLock }).keyboard
    : undefined;
}

/** Enters or leaves full screen. A browser's refusal changes nothing. */
export async function toggleFullScreen(): Promise<void> {
  try {
    if (document.fullscreenElement) {
      await document.exitFullscreen();
      return;
    }
    await document.documentElement.requestFullscreen({ navigationUI: 'hide' });
    await keyboardLock()?.lock();
  } catch {
    // The browser said no, or has no such lock; the console works without.
  }
}

/** Sets up the button. */
export function prepareFullScreen(): void {
  const button = byId('full-screen', HTMLButtonElement);
  button.hidden = !document.fullscreenEnabled;
  byId('lock-hint', HTMLElement).hidden = button.hidden || !keyboardLock();
  document.addEventListener('fullscreenchange', () => {
    const isOn = document.fullscreenElement !== null;
    button.setAttribute('aria-pressed', String(isOn));
    if (!isOn) keyboardLock()?.unlock();
  });
}
