// @ts-check
// The command line of the benchmark, and what it plans. What always holds: a plan is bounded in rounds and in time.
import { parseArgs } from 'node:util';
import { kinds } from './peer.mjs';

/**
 * @typedef {object} Plan
 * @property {number} rounds
 * @property {number} aimSeconds CPU seconds of a measurement; the kernel counts them in hundredths
 * @property {number} idleSessions
 * @property {number} callMilliseconds for how long calls are counted
 * @property {readonly string[]} only names of loads; none: all
 * @property {readonly string[]} peers names; none: all
 * @property {readonly string[]} nodeFlags for relays that are Node programs
 * @property {boolean} complete every load and peer, long enough: good for the document
 * @property {string | undefined} json
 * @property {number} deadlineMs for everything
 */

const loadNames = ['screen', 'paste', 'keys', 'echo', 'connect', 'idle', 'issue'];
/** @type {readonly string[]} */
const peerNames = kinds.map(({ name }) => name);

export const usage = `npm run bench -- [options]

  --quick          a try: one short round
  --rounds N       rounds, 5 without
  --only LOADS     of ${loadNames.join(', ')}
  --peers PEERS    of ${peerNames.slice(0, 9).join(', ')},
                   ${peerNames.slice(9).join(', ')}
  --json FILE      every measurement
  --cpu-prof DIR   CPU profiles of the relays that are Node programs; they cost something themselves

A run with every load and peer writes its tables into docs/benchmark.md as well.
`;

/**
 * @param {readonly string[]} argv
 * @returns {Plan | undefined} undefined: only the usage is wanted
 */
export function parseOptions(argv) {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      only: { type: 'string' },
      peers: { type: 'string' },
      json: { type: 'string' },
      'cpu-prof': { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
  if (!(Number.isInteger(rounds) && rounds >= 1 && rounds <= 100))
    throw new Error('--rounds: a number from 1 to 100');
  const only = parseNames('only', values.only, loadNames);
  const peers = parseNames('peers', values.peers, peerNames);
  const profile = values['cpu-prof'];
  return {
    rounds,
    aimSeconds: values.quick ? 0.25 : 1,
    idleSessions: values.quick ? 1_000 : 5_000,
    callMilliseconds: values.quick ? 700 : 2_000,
    only,
    peers,
    nodeFlags: profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`],
    complete: !values.quick && only.length + peers.length === 0 && profile === undefined,
    json: values.json,
    deadlineMs: (2 + 5 * rounds) * 60_000,
  };
}

/**
 * @param {string} option
 * @param {string | undefined} text
 * @param {readonly string[]} known
 */
function parseNames(option, text, known) {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`--${option}: ${unknown} is none of ${known.join(', ')}`);
  return names;
}
