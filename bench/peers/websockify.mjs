// @ts-check
// Debian's websockify with a directory of tokens, as OpenNebula and many others run it. A process for each console.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '../child-process.mjs';
import { freePort } from '../ports.mjs';
import { canConnect, waitFor } from '../wait.mjs';

/**
 * @param {import('../peer.mjs').Surroundings} surroundings
 * @returns {Promise<import('../peer.mjs').Peer>}
 */
export async function startWebsockify({ doors, core, folder, command }) {
  const port = await freePort();
  const tokens = join(folder, `websockify-${port}`);
  mkdirSync(tokens);
  writeFileSync(join(tokens, 'bench'), `bench: 127.0.0.1:${doors.tcp}\n`);
  const args = ['--token-plugin', 'TokenFile', '--token-source', tokens, `127.0.0.1:${port}`];
  const { pid, stop } = startProcess(command, args, { core, folder });
  await waitFor('websockify', () => canConnect(port));
  return { pid, stop, address: { port, path: '/websockify?token=bench' } };
}
