// @ts-check
// The tables of the ways to the target. What always holds: every ratio is one of two medians that stand in the same
// table, or in the one of the peers that are compared.
import { medianOf } from './goal.mjs';
import { table } from './markdown.mjs';
import { shortNumber } from './statistics.mjs';

/** @typedef {import('./load.mjs').Sample} Sample */
/** @typedef {import('./peer.mjs').PeerKind} PeerKind */
/** @typedef {import('./peer.mjs').PeerName} PeerName */

const columns = [
  { metric: 'screen', title: 'screen, s/GB' },
  { metric: 'echo', title: 'one key, CPU µs' },
  { metric: 'p50', title: 'one key, p50 µs' },
  { metric: 'connect', title: 'connect, CPU µs' },
];

/** @type {readonly { way: string, own: PeerName, haproxy: PeerName }[]} */
const pairs = [
  { way: '`tcp`', own: 'viaTcp', haproxy: 'haproxy' },
  { way: '`tls`', own: 'viaTls', haproxy: 'haproxyTls' },
  { way: '`unix`', own: 'viaUnix', haproxy: 'haproxyUnix' },
];

/**
 * @param {readonly Sample[]} samples
 * @param {readonly PeerKind[]} kinds
 * @returns {string[]} parts of the report; none where no way was measured
 */
export function reportWays(samples, kinds) {
  const rows = kinds.filter((kind) => kind.table === 'ways' && isMeasured(samples, kind));
  if (rows.length === 0) return [];
  const rounds = Math.max(
    ...samples.filter(({ peer }) => rows.some(({ name }) => name === peer)).map(({ round }) => round + 1),
  );
  const parts = [
    '### By way to the target',
    'This proxy with one rule of `targets`, and HAProxy where it has the same way. Value · divided by that of this proxy ' +
      `by \`tcp\`. ${rounds === 1 ? 'One round' : `${rounds} rounds`}, each measurement half as long as those above.`,
    table(
      ['way', ...columns.map(({ title }) => title)],
      rows.map(({ name, title }) => [
        title,
        ...columns.map(({ metric }) =>
          withRatio(medianOf(samples, metric, name), medianOf(samples, metric, 'viaTcp')),
        ),
      ]),
    ),
  ];
  const compared = pairs
    .map(({ way, own, haproxy }) => [
      way,
      ...columns.map(({ metric }) =>
        shortNumber(ratio(medianOf(samples, metric, own), medianOf(samples, metric, haproxy))),
      ),
    ])
    .filter(([, ...cells]) => cells.some((cell) => cell !== nothing));
  if (compared.length > 0)
    parts.push(
      'This proxy divided by HAProxy on the same way:',
      table(['way', ...columns.map(({ title }) => title.replace(/, s\/GB$/, ''))], compared),
    );
  return parts;
}

const nothing = shortNumber(Number.NaN);

/**
 * @param {readonly Sample[]} samples
 * @param {PeerKind} kind
 */
export function isMeasured(samples, { name }) {
  return samples.some(({ peer }) => peer === name);
}

/**
 * @param {number | undefined} value
 * @param {number | undefined} plain
 */
function withRatio(value, plain) {
  if (value === undefined) return nothing;
  return plain === undefined ? shortNumber(value) : `${shortNumber(value)} · ${shortNumber(value / plain)}`;
}

/**
 * @param {number | undefined} own
 * @param {number | undefined} other
 */
function ratio(own, other) {
  return own === undefined || other === undefined ? Number.NaN : own / other;
}
