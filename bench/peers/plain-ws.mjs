// @ts-check
// The peer that shows what `ws` alone can do: plain-ws-relay.mjs, next to this file.
import { join } from 'node:path';
import { startProcess } from '../child-process.mjs';
import { freePort } from '../ports.mjs';
import { canConnect, waitFor } from '../wait.mjs';

/**
 * @param {import('../peer.mjs').Surroundings} surroundings
 * @returns {Promise<import('../peer.mjs').Peer>}
 */
export async function startPlainWs({ doors, core, folder, nodeFlags }) {
  const port = await freePort();
  const relay = join(import.meta.dirname, 'plain-ws-relay.mjs');
  const args = [...nodeFlags, relay, String(port), 'bench', String(doors.tcp)];
  const { pid, stop } = startProcess(process.execPath, args, { core, folder });
  await waitFor('the relay on plain ws', () => canConnect(port));
  return { pid, stop, address: { port, path: '/websockify?token=bench' } };
}
