// @ts-check
// The target floods, the browser reads: what a screen in motion is to the relay.
// What always holds: as many bytes arrive as were asked for, and not one more.
import { createHash } from 'node:crypto';
import { Browser } from '../browser.mjs';
import { digestOfRepeated, encodeCommand, floodBlock } from '../conversation.mjs';

/**
 * @param {{ address: import('../browser.mjs').Address, units: number, check: boolean }} order units: bytes
 */
export async function runScreen({ address, units, check }) {
  const browser = await Browser.open(address);
  const hash = check ? createHash('sha256') : undefined;
  const startedAt = performance.now();
  const seconds = await new Promise((resolve, reject) => {
    let left = units;
    browser.onFailure = reject;
    browser.onPayload = (part) => {
      hash?.update(part);
      left -= part.length;
      if (left === 0) resolve((performance.now() - startedAt) / 1000);
      if (left < 0) reject(new Error(`${-left} bytes too many`));
    };
    browser.socket.write(browser.wrap(encodeCommand('flood', units)));
  });
  await browser.close();
  if (hash !== undefined && !hash.digest().equals(digestOfRepeated(floodBlock, units))) {
    throw new Error('other bytes arrived than the target had sent');
  }
  return { seconds };
}
