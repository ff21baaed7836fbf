// @ts-check
// How many tokens a second are issued, and in the same breath how many calls the same oned answers when asked directly.
// What always holds: callers, connections and oned are the same both times.
import { withCpuSeconds } from './measure.mjs';

/** @typedef {{ units: number, seconds: number }} Counted */

const callers = 8;
const deadlineMs = 60_000;

/**
 * @param {import('./helper.mjs').Helper} generator
 * @param {number} onedPort
 * @param {number} milliseconds
 */
export async function measureOned(generator, onedPort, milliseconds) {
  const order = { port: onedPort, method: 'one.vm.info', callers, milliseconds };
  return /** @type {Counted} */ (await generator.ask('calls', order, deadlineMs));
}

/**
 * @param {import('./helper.mjs').Helper} generator
 * @param {{ pid: number, rpcPort: number }} peer
 * @param {number} milliseconds
 */
export async function measureIssue(generator, { pid, rpcPort }, milliseconds) {
  const order = { port: rpcPort, method: 'one.vm.vnctokenonly', callers, milliseconds };
  return withCpuSeconds(pid, async () => {
    return /** @type {Counted} */ (await generator.ask('calls', order, deadlineMs));
  });
}
