// @ts-check
// What a run needs around the loads: target, oned and load generator, each a process of its own, and the peers.
// What always holds: the peers share one core, everything else is on others where the machine has them.
import { makeCertificates } from './certificates.mjs';
import { findCommand } from './child-process.mjs';
import { startHelper } from './helper.mjs';
import { choosePeers } from './peer.mjs';

/** @typedef {import('./peer.mjs').PeerKind} PeerKind */
/** @typedef {import('./peer.mjs').Peer} Peer */
/** @typedef {import('./target.mjs').Door} Door */

/**
 * @typedef {object} Stage
 * @property {import('./helper.mjs').Helper} generator
 * @property {number} onedPort
 * @property {readonly PeerKind[]} kinds those that take part
 * @property {readonly string[]} absent who does not, and why
 * @property {(kind: PeerKind, more?: readonly string[]) => Promise<Peer>} start with more flags for Node
 * @property {(door: Door) => Promise<number>} visits how many connections the target has seen at that door
 */

/**
 * @param {import('./options.mjs').Plan} plan
 * @param {import('./machine.mjs').Machine} machine
 * @param {string} folder for everything that is written
 * @returns {Promise<Stage>}
 */
export async function setStage({ peers, nodeFlags }, { cores }, folder) {
  const generator = await startHelper('generator.mjs', { folder, core: cores.generator });
  const target = await startHelper('target.mjs', { folder, core: cores.target });
  const oned = await startHelper('oned.mjs', { folder, core: cores.target });
  const openssl = findCommand('openssl');
  const certificates = openssl === undefined ? undefined : makeCertificates(openssl, folder);
  const doors = /** @type {import('./target.mjs').Doors} */ (
    await target.ask('open', { folder, certificates })
  );
  const onedPort = Number(await oned.ask('port'));
  await oned.ask('describe', { port: doors.tcp });
  const { present, absent } = choosePeers();
  const kinds = present.filter(({ name }) => peers.length === 0 || peers.includes(name));
  const around = {
    ...{ doors, certificates, onedPort, folder, nodeFlags },
    ...{ core: cores.proxy, targetCore: cores.target },
  };
  return {
    generator,
    onedPort,
    kinds,
    absent,
    start: (kind, more = []) => {
      const command = findCommand(kind.needs?.[0] ?? '') ?? '';
      return kind.start({ ...around, nodeFlags: [...nodeFlags, ...more], command });
    },
    visits: async (door) => {
      const visits = /** @type {Partial<Record<Door, number>>} */ (await target.ask('visits'));
      return visits[door] ?? 0;
    },
  };
}
