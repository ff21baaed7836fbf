// @ts-check
// A Redis for the store of that name, in memory alone. What always holds: it listens on loopback and writes nothing.
import { startProcess } from '../child-process.mjs';
import { freePort } from '../ports.mjs';
import { canConnect, waitFor } from '../wait.mjs';

/**
 * @param {{ core: number | undefined, folder: string, command: string }} options
 * @returns {Promise<{ port: number, stop: () => Promise<void> }>}
 */
export async function startRedis({ core, folder, command }) {
  const port = await freePort();
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
  ];
  const { stop } = startProcess(command, args, { core, folder });
  await waitFor('Redis', () => canConnect(port));
  return { port, stop };
}
