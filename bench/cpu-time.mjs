// @ts-check
// CPU time of a process tree, out of /proc. What always holds: a child that has ended counts through its parent,
// which the kernel hands its time to when it is waited for, so a process for each connection is counted as well.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * One line of /proc/PID/stat, as far as it matters here. Times in clock ticks, those of ended children included.
 * @typedef {{ pid: number, parent: number, user: number, system: number }} Stat
 */
/** @typedef {{ user: number, system: number, total: number }} CpuSeconds */

/** `USER_HZ`, 100 nearly everywhere. */
export const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
const settledAfterMs = 60;
const settleTimeoutMs = 5_000;

/**
 * Reads a line as proc(5) describes it. The name of the program may have spaces and parentheses in it.
 * @param {string} line
 * @returns {Stat}
 */
export function parseStat(line) {
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  // `fields` begins with the third field of the manual.
  const field = (/** @type {number} */ number) => Number(fields[number - 3]);
  return {
    pid: Number.parseInt(line, 10),
    parent: field(4),
    user: field(14) + field(16),
    system: field(15) + field(17),
  };
}

/**
 * A process and all that descend from it.
 * @param {readonly Stat[]} all
 * @param {number} root its pid
 */
export function treeOf(all, root) {
  const tree = all.filter(({ pid }) => pid === root);
  for (const { pid } of tree) tree.push(...all.filter(({ parent }) => parent === pid));
  return tree;
}

/** @returns {Stat[]} every process of this machine */
function readAll() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}

/** @param {number} root */
export function processesOf(root) {
  return treeOf(readAll(), root).map(({ pid }) => pid);
}

/**
 * @param {number} root
 * @returns {CpuSeconds}
 */
export function cpuSeconds(root) {
  const tree = treeOf(readAll(), root);
  if (tree.length === 0) throw new Error(`process ${root} is gone`);
  const sum = (/** @type {'user' | 'system'} */ kind) =>
    tree.reduce((ticks, stat) => ticks + stat[kind], 0) / ticksPerSecond;
  return { user: sum('user'), system: sum('system'), total: sum('user') + sum('system') };
}

/**
 * The same, once the tree is at rest: what a load leaves to be cleaned up belongs to it.
 * @param {number} root
 */
export async function settledCpuSeconds(root) {
  const deadline = performance.now() + settleTimeoutMs;
  for (let last = cpuSeconds(root); ; ) {
    await sleep(settledAfterMs);
    const now = cpuSeconds(root);
    if (now.total === last.total || performance.now() > deadline) return now;
    last = now;
  }
}
