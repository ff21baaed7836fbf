// @ts-check
// The tables of a run, in Markdown. What always holds: every number is a median over the rounds, and every ratio one
// of two such medians, so that a reader can check it.
import { callRate, judge, medianOf } from './goal.mjs';
import { metrics } from './load.mjs';
import { table } from './markdown.mjs';
import { isMeasured, reportWays } from './report-ways.mjs';
import { shortNumber, spread } from './statistics.mjs';

/** @typedef {import('./load.mjs').Sample} Sample */
/** @typedef {import('./peer.mjs').PeerKind} PeerKind */

/**
 * @param {readonly Sample[]} samples
 * @param {readonly PeerKind[]} all
 */
export function reportTables(samples, all) {
  const kinds = all.filter((kind) => kind.table === undefined && isMeasured(samples, kind));
  const measured = metrics.filter(({ load }) => samples.some((sample) => sample.load === load));
  const value = (/** @type {string} */ metric, /** @type {PeerKind} */ { name }) =>
    medianOf(samples, metric, name) ?? Number.NaN;
  const own = kinds.find(({ name }) => name === 'thisProxy');
  const others = kinds.filter((kind) => kind !== own);
  const parts = [];
  if (kinds.length > 0)
    parts.push(
      '### Values',
      table(
        ['load', ...kinds.map(({ title }) => title)],
        measured.map(({ name, title }) => [title, ...kinds.map((kind) => shortNumber(value(name, kind)))]),
      ),
    );
  if (own !== undefined && others.length > 0) {
    parts.push(
      '### Ratios: this proxy divided by',
      table(
        ['load', ...others.map(({ title }) => title)],
        measured.map(({ name, title }) => [
          title.replace(/, s\/GB$/, ''),
          ...others.map((kind) => shortNumber(value(name, own) / value(name, kind))),
        ]),
      ),
    );
  }
  const stores = storeLines(samples, all);
  if (stores.length > 0)
    parts.push('### By store', table(['`token_store`', 'connect, CPU µs', 'tokens a second'], stores));
  parts.push(...reportWays(samples, all));
  const calls = callLines(samples, kinds);
  if (calls.length > 0)
    parts.push('### Tokens issued', table(['8 callers at a time', 'calls a second'], calls));
  const verdicts = judge(samples).filter(({ measured: number }) => number !== undefined);
  if (verdicts.length > 0)
    parts.push(
      '### To reach',
      table(
        ['goal', 'measured', 'limit', ''],
        verdicts.map(({ title, measured: number, limit, met }) => [
          title,
          shortNumber(number ?? Number.NaN),
          limit,
          met ? 'met' : '**not met**',
        ]),
      ),
    );
  parts.push(
    '### How good the numbers are',
    'Half the distance between best and worst round · share of its core that the relay was busy · share of that in ' +
      'the kernel · share of a core that other programs used meanwhile.',
    ...qualityTables(samples, all),
  );
  return parts.join('\n\n');
}

/**
 * @param {readonly Sample[]} samples
 * @param {readonly PeerKind[]} kinds
 */
function callLines(samples, kinds) {
  /** @type {[title: string, peer: Sample['peer']][]} */
  const rows = [
    ['oned itself, `one.vm.info`', 'oned'],
    ...kinds.map(
      ({ title, name }) =>
        /** @type {[string, Sample['peer']]} */ ([`\`one.vm.vnctokenonly\`, ${title}`, name]),
    ),
  ];
  return rows.flatMap(([title, peer]) => {
    const rate = callRate(samples, peer);
    return rate === undefined ? [] : [[title, shortNumber(rate)]];
  });
}

/**
 * This proxy, one worker, with its tokens in each of the stores.
 * @param {readonly Sample[]} samples
 * @param {readonly PeerKind[]} kinds
 */
function storeLines(samples, kinds) {
  return kinds
    .filter(({ table: place }) => place === 'stores')
    .map(({ name, title }) => [
      title,
      shortNumber(medianOf(samples, 'connect', name) ?? Number.NaN),
      shortNumber(callRate(samples, name) ?? Number.NaN),
    ]);
}

/**
 * Of each load: how far the rounds lie apart, how much of its core the relay used, how much of that was the kernel,
 * and how much of a core other programs took meanwhile.
 * @param {readonly Sample[]} samples
 * @param {readonly PeerKind[]} all
 */
function qualityTables(samples, all) {
  const loads = [...new Set(metrics.map(({ load }) => load))];
  return [undefined, /** @type {const} */ ('stores'), /** @type {const} */ ('ways')].flatMap((place) => {
    const kinds = all.filter((kind) => kind.table === place && isMeasured(samples, kind));
    const measured = loads.filter((load) =>
      kinds.some(({ name }) => samplesOf(samples, load, name).length > 0),
    );
    if (kinds.length === 0) return [];
    return [
      table(
        ['', ...measured],
        kinds.map(({ name, title }) => [title, ...measured.map((load) => quality(samples, load, name))]),
      ),
    ];
  });
}

/**
 * @param {readonly Sample[]} samples
 * @param {string} load
 * @param {string} name of a peer
 */
function samplesOf(samples, load, name) {
  return samples.filter((one) => one.load === load && one.peer === name);
}

/**
 * @param {readonly Sample[]} samples
 * @param {string} load
 * @param {string} name of a peer
 */
function quality(samples, load, name) {
  const own = samplesOf(samples, load, name);
  const metric = metrics.find((one) => one.load === load);
  if (own.length === 0 || metric === undefined) return '–';
  const sum = (/** @type {(sample: Sample) => number} */ of) =>
    own.reduce((total, one) => total + of(one), 0);
  const system = sum((one) => one.system ?? 0);
  const cpu = system + sum(({ user = 0 }) => user);
  const apart = `±${percent(spread(own.map(metric.of)) / 2)}`;
  if (cpu === 0) return apart;
  const shares = [
    cpu / sum(({ seconds = 0 }) => seconds),
    system / cpu,
    sum(({ others = 0 }) => others) / own.length,
  ];
  return [apart, ...shares.map(percent)].join(' · ');
}

/** @param {number} share */
function percent(share) {
  return `${Math.round(share * 100)} %`;
}
