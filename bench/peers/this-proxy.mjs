// @ts-check
// This proxy as it is built and run: configuration by its command line, a token from its XML-RPC, a log in a file.
// What always holds: nothing is set that an operator would not set.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '../child-process.mjs';
import { callRequest, exchange } from '../loads/calls.mjs';
import { freePort } from '../ports.mjs';
import { canConnect, waitFor } from '../wait.mjs';

const mainFile = join(import.meta.dirname, '../../dist/main.js');

/**
 * @param {string} folder for state
 * @param {readonly string[]} flags
 * @returns {boolean} whether this version knows them
 */
export function takesFlags(folder, flags) {
  if (!existsSync(mainFile)) throw new Error('dist/main.js is missing: npm run build');
  const env = { ...process.env, ONE_LOCATION: folder };
  return spawnSync(process.execPath, [mainFile, 'check-config', ...flags], { env }).status === 0;
}

/**
 * @param {import('../peer.mjs').Surroundings} surroundings
 * @param {number} workers
 * @returns {Promise<import('../peer.mjs').Peer>}
 */
export async function startThisProxy({ onedPort, core, folder, nodeFlags }, workers) {
  const oneLocation = mkdtempSync(join(folder, 'one-'));
  const [rpcPort, port] = [await freePort(), await freePort()];
  // Tokens live as long as the run; each may have as many consoles as the load wants.
  const optional = [
    ['--workers', String(workers)],
    ['--token_sessions', 'shared'],
  ];
  const args = [
    ...nodeFlags,
    mainFile,
    'serve',
    ...['--port', rpcPort, '--vnc_proxy_port', port, '--token_ttl', 3600].map(String),
    ...['--one_xmlrpc', `http://127.0.0.1:${onedPort}/RPC2`, '--log_file', join(oneLocation, 'vnctoken.log')],
    ...optional.filter((flags) => takesFlags(oneLocation, flags)).flat(),
  ];
  const started = startProcess(process.execPath, args, { core, folder, env: { ONE_LOCATION: oneLocation } });
  await waitFor('this proxy', async () => (await canConnect(rpcPort)) && (await canConnect(port)));
  const answer = await exchange(
    rpcPort,
    callRequest('one.vm.vnctokenonly', ['<string>oneadmin:oneadmin</string>', '<int>0</int>']),
  );
  const token = /<string>([a-z0-9]{25,})<\/string>/.exec(answer)?.[1];
  if (token === undefined) throw new Error(`no token: ${answer}`);
  return { ...started, rpcPort, address: { port, path: `/websockify?token=${token}` } };
}
