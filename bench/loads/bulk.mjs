// @ts-check
// The browser sends frames of one size as fast as they are taken, the target reads: a paste, or keys in bulk.
// What always holds: the frames are built once, and the target's receipt says that every byte has come.
import { Browser } from '../browser.mjs';
import { decodeReceipt, digestOfRepeated, encodeCommand, receiptBytes } from '../conversation.mjs';
import { writeRepeatedly } from '../write-repeatedly.mjs';

/** About what is written at a time. */
const blockBytes = 256 * 1024;

/**
 * @param {{ address: import('../browser.mjs').Address, units: number, frameBytes: number, check: boolean }} order
 * units: bytes of payload, a multiple of frameBytes, which are the bytes of payload of a frame
 */
export async function runBulk({ address, units, frameBytes, check }) {
  const browser = await Browser.open(address);
  const payload = Buffer.from(Array.from({ length: frameBytes }, (_none, index) => (index * 7 + 1) % 251));
  const frame = browser.wrap(payload);
  const block = Buffer.concat(Array(Math.ceil(blockBytes / frame.length)).fill(frame));
  const received = receiptOf(browser);
  const startedAt = performance.now();
  browser.socket.write(browser.wrap(encodeCommand(check ? 'checkedSink' : 'sink', units)));
  writeRepeatedly(browser.socket, block, (units / frameBytes) * frame.length);
  const { bytes, digest } = decodeReceipt(await received);
  const seconds = (performance.now() - startedAt) / 1000;
  await browser.close();
  if (bytes !== units) throw new Error(`the target got ${bytes} bytes of ${units}`);
  if (check && !digest.equals(digestOfRepeated(payload, units))) {
    throw new Error('other bytes arrived than the browser had sent');
  }
  return { seconds };
}

/**
 * @param {Browser} browser
 * @returns {Promise<Buffer>}
 */
function receiptOf(browser) {
  let receipt = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    browser.onFailure = reject;
    browser.onPayload = (part) => {
      receipt = Buffer.concat([receipt, part]);
      if (receipt.length >= receiptBytes) resolve(receipt);
    };
  });
}
