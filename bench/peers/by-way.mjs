// @ts-check
// This proxy with one rule of `targets`, and what has to stand on the other side of that way.
// What always holds: the rule leads through the door of its way; nothing else is set but what the way needs.
import { startSshd } from './sshd.mjs';
import { startThisProxy } from './this-proxy.mjs';

/** @typedef {import('../peer.mjs').Surroundings} Surroundings */
/** @typedef {'tcp' | 'tls' | 'ssh' | 'unix' | 'ws' | 'wss'} Via */

/**
 * @param {Surroundings} surroundings
 * @param {Via} via
 * @returns {Promise<import('../peer.mjs').Peer>}
 */
export async function startByWay(surroundings, via) {
  if (via !== 'ssh') return startThisProxy(surroundings, { targets: [ruleOf(surroundings, via)] });
  const { targetCore: core, folder, command } = surroundings;
  const sshd = await startSshd({ core, folder, command });
  const rule = { via, ...sshd.rule, listen: '127.0.0.2' };
  const peer = await startThisProxy(surroundings, { targets: [rule] });
  const stop = async () => {
    await peer.stop();
    await sshd.stop();
  };
  return { ...peer, stop };
}

/**
 * @param {Surroundings} surroundings
 * @param {Exclude<Via, 'ssh'>} via
 */
function ruleOf({ doors, certificates }, via) {
  const { ca, client } = certificates ?? {};
  const tls = { ca_file: ca, cert_file: client?.cert, key_file: client?.key };
  switch (via) {
    case 'tcp':
      return { via, port: doors.tcp };
    case 'tls':
      return { via, port: doors.tls, ...tls };
    case 'unix':
      return { via, path: doors.unix };
    case 'ws':
      return { via, port: doors.ws, path: '/vm/%i' };
    case 'wss':
      return { via, port: doors.wss, path: '/vm/%i', ...tls };
  }
}

/**
 * The service answers the target's security, which is None, and the browser's.
 * @param {Surroundings} surroundings
 * @param {'both' | 'off'} clipboard off: all messages are read, both ways
 * @returns {Promise<import('../peer.mjs').Peer>}
 */
export async function startWithSecurity(surroundings, clipboard) {
  const peer = await startThisProxy(surroundings, {
    targets: [{ via: 'tcp', port: surroundings.doors.rfb }],
    flags: ['--vnc_auth', 'proxy', '--clipboard', clipboard],
  });
  return { ...peer, address: { ...peer.address, opening: 'rfb' } };
}
