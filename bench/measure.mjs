// @ts-check
// One measurement of one load against one peer, and how much of the load makes a good one.
// What always holds: CPU time is read before and after while the peer is at rest, so everything it did is in between.
import { settledCpuSeconds } from './cpu-time.mjs';

/** @typedef {{ units: number, seconds: number, user: number, system: number, p50?: number, p99?: number }} Measured */

const deadlineMs = 120_000;
const defaultLeadIn = 0.2;
/** So far a try may grow at once: the first ones run before the peer is warm. */
const maxGrowth = 20;
/** An enough long measurement, as a share of the aim. */
const goodEnough = 0.4;

/**
 * @template T
 * @param {number} pid
 * @param {() => Promise<T>} work
 * @returns {Promise<T & { user: number, system: number }>} with the CPU seconds that the process tree had
 */
export async function withCpuSeconds(pid, work) {
  const before = await settledCpuSeconds(pid);
  const result = await work();
  const after = await settledCpuSeconds(pid);
  return { ...result, user: after.user - before.user, system: after.system - before.system };
}

/**
 * @param {import('./helper.mjs').Helper} generator
 * @param {import('./peer.mjs').Peer} peer
 * @param {import('./load.mjs').Load} load
 * @param {number} units
 * @returns {Promise<Measured>}
 */
export async function measure(generator, { pid, address }, load, units) {
  const leadIn = roundTo(load.step, units * (load.leadIn ?? defaultLeadIn));
  await generator.ask(load.order, { ...load.with, address, units: leadIn }, deadlineMs);
  return withCpuSeconds(pid, async () => {
    const result = await generator.ask(load.order, { ...load.with, address, units }, deadlineMs);
    return { .../** @type {{ seconds: number }} */ (result), units };
  });
}

/**
 * Compares every byte once.
 * @param {import('./helper.mjs').Helper} generator
 * @param {import('./peer.mjs').Peer} peer
 * @param {import('./load.mjs').Load} load
 */
export async function check(generator, peer, load) {
  const order = { ...load.with, address: peer.address, units: load.checked, check: true };
  await generator.ask(load.order, order, deadlineMs);
}

/**
 * What a relay that is a program of a just-in-time compiler needs before it is as fast as it will be for weeks.
 * @param {import('./helper.mjs').Helper} generator
 * @param {import('./peer.mjs').Peer} peer
 * @param {import('./load.mjs').Load} load
 * @param {number} share of the load's warm-up
 */
export async function warmUp(generator, { address }, load, share) {
  const units = Math.round((load.warmUp ?? 0) * share);
  if (units > 0) await generator.ask(load.order, { ...load.with, address, units }, deadlineMs);
}

/**
 * Finds out how many units keep the peer busy for long enough.
 * @param {import('./helper.mjs').Helper} generator
 * @param {import('./peer.mjs').Peer} peer
 * @param {import('./load.mjs').Load} load
 * @param {number} aimSeconds of CPU time
 * @returns {Promise<number>} units
 */
export async function calibrate(generator, peer, load, aimSeconds) {
  for (let units = load.first; ; ) {
    const { user, system, seconds } = await measure(generator, peer, load, units);
    const cpu = user + system;
    // A peer that waits more than it works is not to make the run endless.
    const growth = Math.min(aimSeconds / Math.max(cpu, 0.001), (4 * aimSeconds) / seconds);
    if (cpu >= goodEnough * aimSeconds || growth < 1.5) {
      return Math.max(load.first, roundTo(load.step, units * growth));
    }
    units = roundTo(load.step, units * Math.min(growth, maxGrowth));
  }
}

/**
 * @param {number} step
 * @param {number} units
 */
function roundTo(step, units) {
  return Math.max(1, Math.round(units / step)) * step;
}
