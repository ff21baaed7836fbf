// @ts-check
// The relays that are compared, in the order of the table. Each is run as its users run it, on the same core.
// What always holds: one that is not installed is left out, and the report says so.
import { findCommand } from './child-process.mjs';
import { startHaproxy } from './peers/haproxy.mjs';
import { startPlainWs } from './peers/plain-ws.mjs';
import { startThisProxy } from './peers/this-proxy.mjs';
import { startWebsockify } from './peers/websockify.mjs';

/**
 * @typedef {object} Surroundings
 * @property {number} targetPort
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

/** @typedef {'thisProxy' | 'twoWorkers' | 'plainWs' | 'websockify' | 'haproxy' | StorePeer} PeerName */
/** This proxy with its tokens elsewhere.
 * @typedef {'memoryStore' | 'redisStore' | 'sealedStore'} StorePeer */

/**
 * @typedef {object} PeerKind
 * @property {PeerName} name
 * @property {string} title
 * @property {string} [needs] the program that must be installed
 * @property {boolean} [processEach] a process for each session: fewer of them, and more patience
 * @property {readonly string[]} [loads] the only ones that it takes part in, shown in a table of their own
 * @property {(surroundings: Surroundings) => Promise<Peer>} start
 */

/** What a store has to do with. */
const storeLoads = ['connect', 'issue'];

/** @type {readonly PeerKind[]} */
const kinds = [
  { name: 'thisProxy', title: 'this proxy', start: (surroundings) => startThisProxy(surroundings) },
  {
    name: 'twoWorkers',
    title: 'this proxy, 2 workers',
    start: (surroundings) => startThisProxy(surroundings, { workers: 2 }),
  },
  { name: 'plainWs', title: 'plain `ws`', start: startPlainWs },
  { name: 'websockify', title: 'websockify', needs: 'websockify', processEach: true, start: startWebsockify },
  { name: 'haproxy', title: 'HAProxy, TCP', needs: 'haproxy', start: startHaproxy },
  {
    name: 'memoryStore',
    title: 'memory',
    loads: storeLoads,
    start: (surroundings) => startThisProxy(surroundings, { store: 'memory' }),
  },
  {
    name: 'redisStore',
    title: 'redis',
    needs: 'redis-server',
    loads: storeLoads,
    start: (surroundings) => startThisProxy(surroundings, { store: 'redis' }),
  },
  {
    name: 'sealedStore',
    title: 'sealed',
    loads: storeLoads,
    start: (surroundings) => startThisProxy(surroundings, { store: 'sealed' }),
  },
];

/** @returns {{ present: PeerKind[], absent: string[] }} absent: why, a sentence each */
export function choosePeers() {
  const installed = (/** @type {PeerKind} */ { needs }) =>
    needs === undefined || findCommand(needs) !== undefined;
  return {
    present: kinds.filter(installed),
    absent: kinds.filter((kind) => !installed(kind)).map(({ title }) => `${title} is not installed.`),
  };
}
