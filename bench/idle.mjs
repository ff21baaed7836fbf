// @ts-check
// Memory of idle sessions. What always holds: the peer is a fresh one that has served a while, so that neither its
// start nor the garbage of other loads is counted; and it is the only thing that changes in between.
import { setTimeout as sleep } from 'node:timers/promises';
import { treeMemory } from './memory.mjs';

const settleMs = 1_500;
const deadlineMs = 120_000;

/**
 * @param {import('./helper.mjs').Helper} generator
 * @param {import('./peer.mjs').Peer} peer ended afterwards
 * @param {{ sessions: number, warmUp: number }} amounts
 * @returns {Promise<number>} bytes for all sessions
 */
export async function measureIdle(generator, peer, { sessions, warmUp }) {
  const { address, pid } = peer;
  await generator.ask('connect', { address, units: warmUp, parallel: 16 }, deadlineMs);
  await sleep(settleMs);
  const before = treeMemory(pid);
  await generator.ask('openIdle', { address, units: sessions }, deadlineMs);
  await sleep(settleMs);
  const bytes = treeMemory(pid) - before;
  await generator.ask('closeIdle', {}, deadlineMs);
  await peer.stop();
  return bytes;
}
