// @ts-check
// Memory of a process tree, out of /proc. What always holds: a page that several processes share counts once in all
// (PSS), so that a tree of processes and a single one can be compared.
import { readFileSync } from 'node:fs';
import { processesOf } from './cpu-time.mjs';

/**
 * @param {string} text of /proc/PID/smaps_rollup
 * @returns {number} bytes, swapped ones included
 */
export function parsePss(text) {
  const kilobytes = (/** @type {string} */ name) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0);
  return (kilobytes('Pss') + kilobytes('SwapPss')) * 1024;
}

/**
 * @param {number} root
 * @returns {number} bytes
 */
export function treeMemory(root) {
  return processesOf(root).reduce((sum, pid) => sum + processMemory(pid), 0);
}

/** @param {number} pid */
function processMemory(pid) {
  try {
    return parsePss(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'));
  } catch {
    // It has ended meanwhile.
    return 0;
  }
}
