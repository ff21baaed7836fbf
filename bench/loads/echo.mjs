// @ts-check
// One key at a time, and the next when the target's echo is back: what a person feels.
// What always holds: every echo is compared with what was sent.
import { Browser } from '../browser.mjs';
import { encodeCommand } from '../conversation.mjs';
import { percentile } from '../statistics.mjs';

/** Different keys, so that a late echo is not taken for the right one. */
const keys = Array.from({ length: 64 }, (_none, index) =>
  Buffer.from([4, index % 2, 0, 0, 0, 0, 0, 32 + index]),
);

/**
 * @param {{ address: import('../browser.mjs').Address, units: number }} order units: keys
 */
export async function runEcho({ address, units }) {
  const browser = await Browser.open(address);
  const frames = keys.map((key) => browser.wrap(key));
  const roundTrips = new Float64Array(units);
  browser.socket.write(browser.wrap(encodeCommand('echo', 0)));
  const startedAt = performance.now();
  await new Promise((resolve, reject) => {
    let sent = 0;
    let sentAt = 0;
    /** @type {Buffer} */
    let echoed = Buffer.alloc(0);
    const press = () => {
      sentAt = performance.now();
      browser.socket.write(frames[sent % keys.length] ?? '');
    };
    browser.onFailure = reject;
    browser.onPayload = (part) => {
      const key = keys[sent % keys.length] ?? part;
      echoed = echoed.length === 0 ? part : Buffer.concat([echoed, part]);
      if (echoed.length < key.length) echoed = Buffer.from(echoed);
      else if (!echoed.equals(key)) reject(new Error('not the echo of the key'));
      else {
        roundTrips[sent++] = performance.now() - sentAt;
        echoed = Buffer.alloc(0);
        if (sent < units) press();
        else resolve(undefined);
      }
    };
    press();
  });
  const seconds = (performance.now() - startedAt) / 1000;
  await browser.close();
  const micros = (/** @type {number} */ share) => percentile(roundTrips, share) * 1000;
  return { seconds, p50: micros(0.5), p99: micros(0.99) };
}
