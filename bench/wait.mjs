// @ts-check
// Waiting, always with an end. What always holds: who waits in vain is told for what.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @template T
 * @param {number} deadlineMs
 * @param {string} what
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export async function within(deadlineMs, what, promise) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  /** @type {Promise<never>} */
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${deadlineMs / 1000} s for ${what}`)), deadlineMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * @param {string} what
 * @param {() => boolean | Promise<boolean>} condition
 */
export async function waitFor(what, condition, deadlineMs = 15_000) {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs / 1000} s for ${what}`);
    await sleep(30);
  }
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
export function canConnect(port) {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const settle = (/** @type {boolean} */ can) => {
      socket.destroy();
      resolve(can);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}
