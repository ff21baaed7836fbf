// @ts-check
// Helpers are processes of the benchmark itself: load generator, target, oned. They take orders, one at a time, and
// answer each. What always holds: a helper ends when whoever started it is gone.
import { join } from 'node:path';
import { startProcess } from './child-process.mjs';
import { within } from './wait.mjs';

/** @typedef {{ value: unknown } | { error: string }} Answer */

/**
 * @typedef {object} Helper
 * @property {number} pid
 * @property {(name: string, order?: object, deadlineMs?: number) => Promise<unknown>} ask fails where the helper says so
 */

/**
 * @param {string} file in this folder
 * @param {{ core: number | undefined, folder: string }} options
 * @returns {Promise<Helper>}
 */
export async function startHelper(file, options) {
  const started = startProcess(process.execPath, [join(import.meta.dirname, file)], {
    ...options,
    ipc: true,
  });
  const { child, pid } = started;
  /** @returns {Promise<Answer>} */
  const answer = () =>
    new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`${file} has ended: ${started.output()}`));
      child.once('exit', ended);
      child.once('message', (message) => {
        child.off('exit', ended);
        resolve(/** @type {Answer} */ (message));
      });
    });
  await within(10_000, `${file} to be ready`, answer());
  return {
    pid,
    ask: async (name, order = {}, deadlineMs = 10_000) => {
      const answered = answer();
      child.send({ name, order });
      const result = await within(deadlineMs, `${file} to do ${name}`, answered);
      if ('error' in result) throw new Error(`${name}: ${result.error}`);
      return result.value;
    },
  };
}

/**
 * The helper's side; it says that it is ready.
 * @param {Record<string, (order: never) => unknown>} handlers by the name of the order; what they give is the answer
 */
export function answerOrders(handlers) {
  /** @param {Answer} answer */
  const say = (answer) => void process.send?.(answer);
  process.on('disconnect', () => process.exit());
  process.on('message', async (message) => {
    const { name, order } = /** @type {{ name: string, order: never }} */ (message);
    try {
      say({ value: await handlers[name]?.(order) });
    } catch (error) {
      say({ error: error instanceof Error ? error.message : String(error) });
    }
  });
  say({ value: 'ready' });
}
