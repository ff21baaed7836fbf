// @ts-check
// The loads whose cost is CPU time, and what is measured of them. `idle` and `issue` are measured in their own ways.
// What always holds: a load is the same for every peer; only how much of it is done depends on how fast the peer is.

/**
 * @typedef {object} Load
 * @property {LoadName} name
 * @property {'screen' | 'bulk' | 'echo' | 'connect'} order of the generator
 * @property {Record<string, number>} with further parameters of the order
 * @property {number} step units are multiples of it
 * @property {number} first units of the first try, small enough for the slowest peer
 * @property {number} checked units of the run that compares every byte
 * @property {number} [leadIn] share of the units that is done unmeasured right before, 0.2 without: other loads make a
 * just-in-time compiler forget
 * @property {number} [warmUp] units before the first try, where one measurement is too short for a compiler
 */
/** @typedef {'screen' | 'paste' | 'keys' | 'echo' | 'connect'} LoadName */

const MB = 1_000_000;
const pasteFrameBytes = 64 * 1024;
const keyFrameBytes = 16;

/** @type {readonly Load[]} */
export const loads = [
  { name: 'screen', order: 'screen', with: {}, step: 1, first: 64 * MB, checked: 8 * MB + 4321 },
  {
    name: 'paste',
    order: 'bulk',
    with: { frameBytes: pasteFrameBytes },
    step: pasteFrameBytes,
    first: 512 * pasteFrameBytes,
    checked: 100 * pasteFrameBytes,
  },
  {
    name: 'keys',
    order: 'bulk',
    with: { frameBytes: keyFrameBytes },
    step: keyFrameBytes,
    // 64 KiB of frames: what a peer may have read at a time, and for some that is where the cost lies.
    first: 2_979 * keyFrameBytes,
    checked: 500 * keyFrameBytes,
  },
  { name: 'echo', order: 'echo', with: {}, step: 1, first: 500, checked: 200 },
  {
    name: 'connect',
    order: 'connect',
    with: { parallel: 4 },
    step: 1,
    first: 40,
    checked: 20,
    warmUp: 12_000,
  },
];

/**
 * One measurement. Seconds of CPU are those of the peer's whole process tree.
 * @typedef {object} Sample
 * @property {string} load
 * @property {import('./peer.mjs').PeerName | 'oned'} peer
 * @property {number} round
 * @property {number} units bytes of payload, keys, connections, sessions or calls
 * @property {number} [seconds] of the clock
 * @property {number} [user]
 * @property {number} [system]
 * @property {number} [p50] µs
 * @property {number} [p99] µs
 * @property {number} [others] share of a core that other programs used meanwhile
 * @property {number} [bytes] of memory, for all units together
 */

/**
 * What is told of a sample.
 * @typedef {object} Metric
 * @property {string} name
 * @property {string} load
 * @property {string} title
 * @property {(sample: Sample) => number} of
 */

const cpu = (/** @type {Sample} */ { user = 0, system = 0 }) => user + system;
const perGigabyte = (/** @type {Sample} */ sample) => (cpu(sample) / sample.units) * 1e9;
const microsEach = (/** @type {Sample} */ sample) => (cpu(sample) / sample.units) * 1e6;

/** @type {readonly Metric[]} */
export const metrics = [
  { name: 'screen', load: 'screen', title: 'screen: the target floods, s/GB', of: perGigabyte },
  { name: 'paste', load: 'paste', title: 'paste: 64 KiB masked frames, s/GB', of: perGigabyte },
  { name: 'keys', load: 'keys', title: 'keys: 16-byte masked frames in bulk, s/GB', of: perGigabyte },
  { name: 'echo', load: 'echo', title: 'one key, echoed: CPU µs', of: microsEach },
  { name: 'p50', load: 'echo', title: 'one key, echoed: p50 µs', of: ({ p50 = Number.NaN }) => p50 },
  { name: 'p99', load: 'echo', title: 'one key, echoed: p99 µs', of: ({ p99 = Number.NaN }) => p99 },
  { name: 'connect', load: 'connect', title: 'connect, greeting, close: CPU µs', of: microsEach },
  { name: 'issue', load: 'issue', title: 'token issued: CPU µs', of: microsEach },
  {
    name: 'idle',
    load: 'idle',
    title: 'idle session: KB of memory',
    of: ({ bytes = Number.NaN, units }) => bytes / units / 1000,
  },
];
