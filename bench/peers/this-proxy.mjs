// @ts-check
// This proxy as it is built and run: configuration by its command line, a token from its XML-RPC, a log in a file.
// What always holds: nothing is set that an operator would not set.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '../child-process.mjs';
import { callRequest, exchange } from '../loads/calls.mjs';
import { freePort } from '../ports.mjs';
import { canConnect, waitFor } from '../wait.mjs';
import { startRedis } from './redis.mjs';

/** @typedef {'file' | 'memory' | 'redis' | 'sealed'} StoreName */

/**
 * @typedef {object} Options
 * @property {number} [workers]
 * @property {StoreName} [store]
 * @property {readonly object[]} [targets] rules
 * @property {readonly string[]} [flags] more of the command line
 */

const mainFile = join(import.meta.dirname, '../../dist/main.js');

/** Many sessions on one token would be no honest load of the token rules: idle ones are spread over so many VMs. */
const vms = 40;

/**
 * @param {import('../peer.mjs').Surroundings} surroundings
 * @param {Options} [options]
 * @returns {Promise<import('../peer.mjs').Peer>}
 */
export async function startThisProxy(surroundings, options = {}) {
  const { workers = 1, store = 'file', targets = [], flags = [] } = options;
  if (!existsSync(mainFile)) throw new Error('dist/main.js is missing: npm run build');
  const { onedPort, core, folder, nodeFlags } = surroundings;
  const oneLocation = mkdtempSync(join(folder, 'one-'));
  const [rpcPort, port] = [await freePort(), await freePort()];
  const kept = await prepareStore(store, surroundings, oneLocation);
  const args = [
    ...nodeFlags,
    mainFile,
    'serve',
    ...['--port', rpcPort, '--vnc_proxy_port', port, '--token_ttl', 3600, '--workers', workers].map(String),
    ...['--one_xmlrpc', `http://127.0.0.1:${onedPort}/RPC2`, '--log_file', join(oneLocation, 'vnctoken.log')],
    // Between two loads a token is on nobody's screen for longer than people reload a page.
    ...['--reconnect_grace', '3600'],
    // One token is opened by many browsers at a time, and one user has all of them.
    ...['--token_sessions', 'shared', '--max_sessions_per_vm', '256', '--max_sessions_per_user', '100000'],
    ...['--max_tokens_per_vm', '1000000', '--max_tokens_per_user', '1000000', ...kept.flags],
    ...['--targets', JSON.stringify(targets), ...flags],
  ];
  const env = { ONE_LOCATION: oneLocation, ...kept.env };
  const started = startProcess(process.execPath, args, { core, folder, env });
  await waitFor('this proxy', async () => (await canConnect(rpcPort)) && (await canConnect(port)));
  const tokens = [];
  for (let vm = 0; vm < vms; vm++) tokens.push(await issueToken(rpcPort, vm));
  const paths = tokens.map((token) => `/websockify?token=${token}`);
  const stop = async () => {
    await started.stop();
    await kept.stop();
  };
  return { pid: started.pid, stop, rpcPort, address: { port, path: `${paths[0]}`, paths } };
}

/**
 * @param {number} rpcPort
 * @param {number} vm
 */
async function issueToken(rpcPort, vm) {
  const params = ['<string>oneadmin:oneadmin</string>', `<int>${vm}</int>`];
  const answer = await exchange(rpcPort, callRequest('one.vm.vnctokenonly', params));
  const token = /<string>([A-Za-z0-9._-]{25,})<\/string>/.exec(answer)?.[1];
  if (token === undefined) throw new Error(`no token: ${answer}`);
  return token;
}

/**
 * What a store needs around it.
 * @param {StoreName} store
 * @param {import('../peer.mjs').Surroundings} surroundings
 * @param {string} oneLocation
 * @returns {Promise<{ flags: string[], env: Record<string, string>, stop: () => Promise<void> }>}
 */
async function prepareStore(store, { targetCore, folder, command }, oneLocation) {
  const flags = ['--token_store', store];
  if (store === 'redis') {
    // Its CPU time is not the proxy's, and it lives where targets do.
    const redis = await startRedis({ core: targetCore, folder, command });
    return { flags, env: { VNCTOKEN_REDIS_URL: `redis://127.0.0.1:${redis.port}` }, stop: redis.stop };
  }
  if (store === 'sealed') {
    const keys = join(oneLocation, 'sealed-keys');
    writeFileSync(keys, `bench ${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
    flags.push('--sealed_keys', keys);
  }
  return { flags, env: {}, stop: async () => {} };
}
