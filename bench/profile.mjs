// @ts-check
// `node bench/profile.mjs DIR`: where the time of the profiles of a `--cpu-prof` run went, function by function.
// What always holds: idle time is left out, and what a function calls counts for what it calls.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * What V8 writes, as far as it matters here.
 * @typedef {object} Profile
 * @property {{ id: number, callFrame: { functionName: string, url: string, lineNumber: number } }[]} nodes
 * @property {number[]} samples ids of nodes
 * @property {number[]} timeDeltas µs
 */

const idle = new Set(['(idle)', '(root)']);
const shown = 25;

/**
 * @param {Profile} profile
 * @returns {[place: string, share: number][]} the largest first
 */
export function selfTimes({ nodes, samples, timeDeltas }) {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  /** @type {Map<string, number>} */
  const times = new Map();
  samples.forEach((id, index) => {
    const place = places.get(id) ?? '?';
    if (!idle.has(place)) times.set(place, (times.get(place) ?? 0) + (timeDeltas[index] ?? 0));
  });
  const sum = [...times.values()].reduce((total, time) => total + time, 0);
  return [...times]
    .map(([place, time]) => /** @type {[string, number]} */ ([place, time / sum]))
    .sort((a, b) => b[1] - a[1]);
}

/** @param {{ functionName: string, url: string, lineNumber: number }} frame */
function placeOf({ functionName, url, lineNumber }) {
  if (functionName.startsWith('(')) return functionName;
  const file = url.split('/').slice(-3).join('/');
  return `${functionName || 'anonymous'} ${file}${lineNumber >= 0 && file !== '' ? `:${lineNumber + 1}` : ''}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? '.';
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.cpuprofile'))) {
    const times = selfTimes(JSON.parse(readFileSync(join(folder, name), 'utf8')));
    process.stdout.write(`\n${name}\n`);
    for (const [place, share] of times.slice(0, shown)) {
      process.stdout.write(`${(share * 100).toFixed(1).padStart(6)} %  ${place}\n`);
    }
  }
}
