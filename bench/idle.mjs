// @ts-check
// Memory of idle sessions. What always holds: the peer is a fresh one that has served a while, so that its start is not
// counted; garbage is collected before it is weighed; and the sessions are the only thing that changes in between.
import { setTimeout as sleep } from 'node:timers/promises';
import { kill } from './child-process.mjs';
import { treeMemory } from './memory.mjs';

const settleMs = 1_500;
/** Ignored by whoever does not listen to it (signal(7)). */
const collectSignal = 'SIGWINCH';
/** V8 lets as much garbage gather as it pleases. What a first collection finalizes, the second one frees. */
const collector = `process.on('${collectSignal}', () => { gc(); gc(); })`;
const deadlineMs = 120_000;
/** For a peer that is to be weighed, where it is a program of Node's. */
export const weighedFlags = ['--expose-gc', `--import=data:text/javascript,${encodeURIComponent(collector)}`];

/**
 * @param {import('./helper.mjs').Helper} generator
 * @param {import('./peer.mjs').Peer} peer ended afterwards
 * @param {{ sessions: number, warmUp: number }} amounts
 * @returns {Promise<number>} bytes for all sessions
 */
export async function measureIdle(generator, peer, { sessions, warmUp }) {
  const { address, pid } = peer;
  await generator.ask('connect', { address, units: warmUp, parallel: 16 }, deadlineMs);
  const before = await weigh(pid);
  await generator.ask('openIdle', { address, units: sessions }, deadlineMs);
  const bytes = (await weigh(pid)) - before;
  await generator.ask('closeIdle', {}, deadlineMs);
  await peer.stop();
  return bytes;
}

/** @param {number} root */
async function weigh(root) {
  await sleep(settleMs);
  kill(root, collectSignal);
  await sleep(settleMs);
  return treeMemory(root);
}
