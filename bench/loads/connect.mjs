// @ts-check
// Connect, upgrade, greeting, close: what each console costs before anything is seen in it.
// What always holds: a connection counts when the greeting was right and the connection is gone again.
import { Browser } from '../browser.mjs';

/**
 * @param {{ address: import('../browser.mjs').Address, units: number, parallel: number }} order units: connections
 */
export async function runConnect({ address, units, parallel }) {
  const startedAt = performance.now();
  await forEach(units, parallel, async () => (await Browser.open(address)).close());
  return { seconds: (performance.now() - startedAt) / 1000 };
}

/**
 * @param {number} count
 * @param {number} parallel
 * @param {() => Promise<unknown>} work
 */
export async function forEach(count, parallel, work) {
  let left = count;
  const one = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: parallel }, one));
}
