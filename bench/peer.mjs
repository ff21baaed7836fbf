// @ts-check
// The relays that are compared, in the order of the table. Each is run as its users run it, on the same core.
// What always holds: one that is not installed is left out, and the report says so.
import { findCommand } from './child-process.mjs';
import { startHaproxy } from './peers/haproxy.mjs';
import { startPlainWs } from './peers/plain-ws.mjs';
import { startThisProxy, takesFlags } from './peers/this-proxy.mjs';
import { startWebsockify } from './peers/websockify.mjs';

/**
 * @typedef {object} Surroundings
 * @property {number} targetPort
 * @property {number} onedPort
 * @property {number | undefined} core
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

/** @typedef {'thisProxy' | 'twoWorkers' | 'plainWs' | 'websockify' | 'haproxy'} PeerName */

/**
 * @typedef {object} PeerKind
 * @property {PeerName} name
 * @property {string} title
 * @property {string} [needs] the program that must be installed
 * @property {boolean} [processEach] a process for each session: fewer of them, and more patience
 * @property {(surroundings: Surroundings) => Promise<Peer>} start
 */

/** @type {readonly PeerKind[]} */
const kinds = [
  { name: 'thisProxy', title: 'this proxy', start: (surroundings) => startThisProxy(surroundings, 1) },
  {
    name: 'twoWorkers',
    title: 'this proxy, 2 workers',
    start: (surroundings) => startThisProxy(surroundings, 2),
  },
  { name: 'plainWs', title: 'plain `ws`', start: startPlainWs },
  { name: 'websockify', title: 'websockify', needs: 'websockify', processEach: true, start: startWebsockify },
  { name: 'haproxy', title: 'HAProxy, TCP', needs: 'haproxy', start: startHaproxy },
];

/**
 * @param {string} folder
 * @returns {{ present: PeerKind[], absent: string[] }} absent: why, a sentence each
 */
export function choosePeers(folder) {
  /** @type {string[]} */
  const absent = [];
  const present = kinds.filter(({ name, title, needs }) => {
    if (needs !== undefined && findCommand(needs) === undefined) absent.push(`${title} is not installed.`);
    else if (name === 'twoWorkers' && !takesFlags(folder, ['--workers', '2']))
      absent.push(`${title}: this version has no workers.`);
    else return true;
    return false;
  });
  return { present, absent };
}
