// @ts-check
// The peers that show what libraries alone can do: the relays next to this file.
import { join } from 'node:path';
import { startProcess } from '../child-process.mjs';
import { freePort } from '../ports.mjs';
import { canConnect, waitFor } from '../wait.mjs';

/**
 * What `ws` costs: plain-ws-relay.mjs.
 * @param {import('../peer.mjs').Surroundings} surroundings
 * @returns {Promise<import('../peer.mjs').Peer>}
 */
export async function startPlainWs(surroundings) {
  const token = 'bench';
  const { port, ...started } = await startRelay('plain-ws-relay.mjs', surroundings, token);
  return { ...started, address: { port, path: `/websockify?token=${token}` } };
}

/**
 * What Node costs: plain-tcp-relay.mjs.
 * @param {import('../peer.mjs').Surroundings} surroundings
 * @returns {Promise<import('../peer.mjs').Peer>}
 */
export async function startPlainTcp(surroundings) {
  const { port, ...started } = await startRelay('plain-tcp-relay.mjs', surroundings);
  return { ...started, address: { port } };
}

/**
 * @param {string} file
 * @param {import('../peer.mjs').Surroundings} surroundings
 * @param {readonly string[]} more of its command line
 */
async function startRelay(file, { doors, core, folder, nodeFlags }, ...more) {
  const port = await freePort();
  const args = [...nodeFlags, join(import.meta.dirname, file), String(port), String(doors.tcp), ...more];
  const { pid, stop } = startProcess(process.execPath, args, { core, folder });
  await waitFor(file, () => canConnect(port));
  return { pid, stop, port };
}
