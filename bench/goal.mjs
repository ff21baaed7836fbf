// @ts-check
// What this proxy is to reach, as ratios within one run, and whether it does.
// What always holds: a goal whose peer did not take part is not called met.
import { metrics } from './load.mjs';
import { median } from './statistics.mjs';

/** @typedef {import('./peer.mjs').PeerName} PeerName */
/** @typedef {import('./load.mjs').Sample} Sample */
/** @typedef {{ metric: string, title: string, of?: PeerName, against?: PeerName, atMost: number }} Goal */
/** @typedef {{ title: string, measured: number | undefined, limit: string, met: boolean | undefined }} Verdict */

/** Without `of` this proxy with one worker; without `against` the value itself counts, not a ratio. */
const goals = /** @type {readonly Goal[]} */ ([
  { metric: 'screen', title: 'screen ÷ websockify', against: 'websockify', atMost: 0.6 },
  { metric: 'screen', title: 'screen ÷ HAProxy', against: 'haproxy', atMost: 0.75 },
  { metric: 'paste', title: 'paste ÷ websockify', against: 'websockify', atMost: 0.45 },
  { metric: 'keys', title: 'keys in bulk ÷ plain `ws`', against: 'plainWs', atMost: 1 / 20 },
  { metric: 'echo', title: 'one key, echoed, CPU ÷ websockify', against: 'websockify', atMost: 0.65 },
  { metric: 'p50', title: 'one key, echoed, p50 ÷ HAProxy', against: 'haproxy', atMost: 1 },
  { metric: 'connect', title: 'connect ÷ websockify', against: 'websockify', atMost: 1 / 14 },
  {
    metric: 'connect',
    title: 'connect ÷ websockify, 2 workers',
    of: 'twoWorkers',
    against: 'websockify',
    atMost: 1 / 9,
  },
  { metric: 'idle', title: 'idle session, KB', atMost: 10 },
  { metric: 'idle', title: 'idle session, KB, 2 workers', of: 'twoWorkers', atMost: 10 },
]);

/** Of what oned itself gives, and how many calls a second are enough in any case. */
const issueShare = 0.9;
const enoughCallsPerSecond = 1_000;

/** Of idle sessions; with fewer, what a heap happens to hold outweighs them. */
const enoughSessions = 2_500;

/** @param {Sample} sample */
function isEnough({ load, units }) {
  return load !== 'idle' || units >= enoughSessions;
}

/**
 * The median of a metric of a peer.
 * @param {readonly Sample[]} samples
 * @param {string} name
 * @param {Sample['peer']} peer
 * @returns {number | undefined} undefined where it was not measured
 */
export function medianOf(samples, name, peer) {
  const metric = metrics.find((one) => one.name === name);
  const values = samples
    .filter((one) => one.load === metric?.load && one.peer === peer)
    .map((one) => metric?.of(one) ?? 0);
  return values.length === 0 ? undefined : median(values);
}

/**
 * @param {readonly Sample[]} samples
 * @param {Sample['peer']} peer
 * @returns {number | undefined} calls a second
 */
export function callRate(samples, peer) {
  const rates = samples
    .filter((one) => one.load === 'issue' && one.peer === peer)
    .map(({ units, seconds = 0 }) => units / seconds);
  return rates.length === 0 ? undefined : median(rates);
}

/**
 * @param {readonly Sample[]} samples
 * @returns {Verdict[]}
 */
export function judge(samples) {
  const verdicts = goals.map(({ metric, title, of = 'thisProxy', against, atMost }) => {
    const own = medianOf(samples.filter(isEnough), metric, of);
    const other = against === undefined ? 1 : medianOf(samples, metric, against);
    const measured = own === undefined || other === undefined ? undefined : own / other;
    const limit = `at most ${Number(atMost.toPrecision(3))}`;
    return { title, measured, limit, met: measured === undefined ? undefined : measured <= atMost };
  });
  const [direct, issued] = [callRate(samples, 'oned'), callRate(samples, 'thisProxy')];
  if (direct === undefined) return verdicts;
  const atLeast = Math.min(issueShare * direct, enoughCallsPerSecond);
  const met = issued === undefined ? undefined : issued >= atLeast;
  return [
    ...verdicts,
    { title: 'tokens issued a second', measured: issued, limit: `at least ${Math.round(atLeast)}`, met },
  ];
}
