// @ts-check
// Sessions that are open and do nothing, as most are most of the time.
// What always holds: all of them are still open when they are closed.
import { Browser } from '../browser.mjs';
import { forEach } from './connect.mjs';

const parallel = 16;
/** @type {Browser[]} */
const open = [];
let lost = 0;

/**
 * @param {{ address: import('../browser.mjs').Address, units: number }} order units: sessions
 */
export async function openIdle({ address, units }) {
  const { paths = [] } = address;
  let opened = 0;
  await forEach(units, parallel, async () => {
    const path = paths[opened++ % paths.length] ?? address.path;
    const browser = await Browser.open(path === undefined ? address : { ...address, path });
    browser.onFailure = () => lost++;
    open.push(browser);
  });
}

export async function closeIdle() {
  const ended = lost;
  lost = 0;
  await Promise.all(open.splice(0).map((browser) => browser.close()));
  if (ended > 0) throw new Error(`${ended} idle sessions were closed by the other side`);
}
