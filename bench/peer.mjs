// @ts-check
// The relays that are compared, in the order of the table. Each is run as its users run it, on the same core.
// What always holds: one that is not installed is left out, and the report says so.
import { findCommand } from './child-process.mjs';
import { startByWay, startWithSecurity } from './peers/by-way.mjs';
import { startHaproxy } from './peers/haproxy.mjs';
import { startPlainTcp, startPlainWs } from './peers/plain-relays.mjs';
import { startThisProxy } from './peers/this-proxy.mjs';
import { startWebsockify } from './peers/websockify.mjs';

/**
 * @typedef {object} Surroundings
 * @property {import('./target.mjs').Doors} doors of the target
 * @property {import('./certificates.mjs').Certificates | undefined} certificates
 * @property {number} onedPort
 * @property {number | undefined} core
 * @property {number | undefined} targetCore where everything lives that is not measured
 * @property {string} folder
 * @property {readonly string[]} nodeFlags for peers that are Node programs
 * @property {string} command path of the peer's program, where it is not Node
 */

/**
 * @typedef {object} Peer
 * @property {number} pid root of its process tree
 * @property {import('./browser.mjs').Address} address
 * @property {number} [rpcPort] where it issues tokens
 * @property {() => Promise<void>} stop
 */

/** @typedef {'thisProxy' | 'twoWorkers' | 'plainWs' | 'plainTcp' | 'websockify' | 'haproxy' | StorePeer | WayPeer} PeerName */
/** This proxy with its tokens elsewhere.
 * @typedef {'fileStore' | 'memoryStore' | 'redisStore' | 'sealedStore'} StorePeer */

/** This proxy with its target elsewhere, and HAProxy where it has the same way.
 * @typedef {'viaTcp' | 'viaTls' | 'viaSsh' | 'viaUnix' | 'viaWs' | 'viaWss' | 'security' | 'filtered' | 'haproxyTls' |
 *   'haproxyUnix'} WayPeer */

/**
 * @typedef {object} PeerKind
 * @property {PeerName} name
 * @property {string} title
 * @property {readonly string[]} [needs] the programs that must be installed; its own is the first
 * @property {boolean} [processEach] a process for each session: fewer of them, and more patience
 * @property {readonly string[]} [loads] the only ones that it takes part in
 * @property {'stores' | 'ways'} [table] where it is shown; without, among those that are compared
 * @property {import('./target.mjs').Door} [door] the one by which it reaches the target; tcp without
 * @property {number} [rounds] no more than so many
 * @property {number} [effort] share of the time that others are warmed up and measured for; 1 without
 * @property {(surroundings: Surroundings) => Promise<Peer>} start
 */

/** What a store has to do with. */
const stores = /** @type {const} */ ({ table: 'stores', loads: ['connect', 'issue'] });
/** What a way has to do with. They are many, and a run is not to become twice as long by them. */
const ways = /** @type {const} */ ({
  table: 'ways',
  loads: ['screen', 'echo', 'connect'],
  rounds: 3,
  effort: 0.5,
});
/** No echo: what comes back would have to be a message of a VNC server. */
const securityLoads = ['screen', 'connect'];

/** @type {readonly PeerKind[]} */
export const kinds = [
  { name: 'thisProxy', title: 'this proxy', start: (surroundings) => startThisProxy(surroundings) },
  {
    name: 'twoWorkers',
    title: 'this proxy, 2 workers',
    start: (surroundings) => startThisProxy(surroundings, { workers: 2 }),
  },
  { name: 'plainWs', title: 'plain `ws`', start: startPlainWs },
  {
    name: 'plainTcp',
    title: 'Node, TCP',
    loads: ['screen', 'paste', 'echo', 'connect'],
    start: startPlainTcp,
  },
  {
    name: 'websockify',
    title: 'websockify',
    needs: ['websockify'],
    processEach: true,
    start: startWebsockify,
  },
  {
    name: 'haproxy',
    title: 'HAProxy, TCP',
    needs: ['haproxy'],
    start: (surroundings) => startHaproxy(surroundings),
  },
  {
    name: 'fileStore',
    title: 'file',
    ...stores,
    start: (surroundings) => startThisProxy(surroundings, { store: 'file' }),
  },
  {
    name: 'memoryStore',
    title: 'memory',
    ...stores,
    start: (surroundings) => startThisProxy(surroundings, { store: 'memory' }),
  },
  {
    name: 'redisStore',
    title: 'redis',
    needs: ['redis-server'],
    ...stores,
    start: (surroundings) => startThisProxy(surroundings, { store: 'redis' }),
  },
  {
    name: 'sealedStore',
    title: 'sealed',
    ...stores,
    start: (surroundings) => startThisProxy(surroundings, { store: 'sealed' }),
  },
  {
    ...{ name: 'viaTcp', title: '`tcp`', ...ways },
    start: (surroundings) => startByWay(surroundings, 'tcp'),
  },
  {
    ...{ name: 'viaTls', title: '`tls`', ...ways, door: 'tls', needs: ['openssl'] },
    start: (surroundings) => startByWay(surroundings, 'tls'),
  },
  {
    ...{ name: 'viaSsh', title: '`ssh`', ...ways, door: 'ssh', needs: ['sshd', 'ssh-keygen'] },
    start: (surroundings) => startByWay(surroundings, 'ssh'),
  },
  {
    ...{ name: 'viaUnix', title: '`unix`', ...ways, door: 'unix' },
    start: (surroundings) => startByWay(surroundings, 'unix'),
  },
  {
    ...{ name: 'viaWs', title: '`ws`', ...ways, door: 'ws' },
    start: (surroundings) => startByWay(surroundings, 'ws'),
  },
  {
    ...{ name: 'viaWss', title: '`wss`', ...ways, door: 'wss', needs: ['openssl'] },
    start: (surroundings) => startByWay(surroundings, 'wss'),
  },
  {
    ...{ name: 'security', title: '`tcp`, `vnc_auth: proxy`', ...ways, loads: securityLoads, door: 'rfb' },
    start: (surroundings) => startWithSecurity(surroundings, 'both'),
  },
  {
    ...{ name: 'filtered', title: 'the same, `clipboard: off`', ...ways, loads: securityLoads, door: 'rfb' },
    start: (surroundings) => startWithSecurity(surroundings, 'off'),
  },
  {
    ...{ name: 'haproxyTls', title: 'HAProxy, TLS', ...ways, door: 'tls', needs: ['haproxy', 'openssl'] },
    start: (surroundings) => startHaproxy(surroundings, 'tls'),
  },
  {
    ...{ name: 'haproxyUnix', title: 'HAProxy, Unix socket', ...ways, door: 'unix', needs: ['haproxy'] },
    start: (surroundings) => startHaproxy(surroundings, 'unix'),
  },
];

/** @returns {{ present: PeerKind[], absent: string[] }} absent: why, a sentence each */
export function choosePeers() {
  const missing = (/** @type {PeerKind} */ { needs = [] }) =>
    needs.filter((program) => findCommand(program) === undefined);
  return {
    present: kinds.filter((kind) => missing(kind).length === 0),
    absent: kinds.flatMap((kind) =>
      missing(kind).map((program) => `${kind.title}: ${program} is not installed.`),
    ),
  };
}
