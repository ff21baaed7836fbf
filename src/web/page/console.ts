// The page's entry. It takes the link out of the address before anything large is loaded, noVNC included,
// and it is the only place that hears of a new one.
import { type Address, takeAddress } from './address.js';

let address = takeAddress(window);
let show = (next: Address): void => {
  address = next;
};

// A portal may point a page to another console by changing the fragment alone; so may others who have its window.
window.addEventListener('hashchange', () => {
  const next = takeAddress(window);
  if (next.kind !== 'empty') show(next);
});

// Phones cover part of the page with their keyboard; the picture shrinks to what is left.
window.visualViewport?.addEventListener('resize', () => {
  const height = window.visualViewport?.height ?? window.innerHeight;
  document.documentElement.style.setProperty('--view-height', `${height}px`);
});

try {
  const { Viewer } = await import('./viewer.js');
  const screen = document.getElementById('screen');
  if (!screen) throw new Error('index.html has no #screen');
  const viewer = new Viewer(screen);
  show = (next) => viewer.offer(next);
  viewer.open(address);
} catch {
  // Without the viewer there is no card either, so this says it by the plainest means.
  const { explain } = await import('./endings.js');
  const { title, text } = explain({ kind: 'viewer' });
  const note = document.createElement('p');
  note.className = 'plain';
  note.role = 'alert';
  note.textContent = `${title}. ${text}`;
  document.body.append(note);
}
