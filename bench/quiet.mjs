// @ts-check
// Other work on the same machine, which a measurement is the worse for. What always holds: of several attempts the
// quietest counts, whatever it says, and there are few.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds, ticksPerSecond } from './cpu-time.mjs';

/** Share of one core that others may use. */
const quietEnough = 0.1;
const maxAttempts = 4;
const pauseMs = 1_000;

/**
 * @param {string} text of /proc/stat
 * @returns {number} seconds that all cores together have worked since the machine started
 */
export function parseBusySeconds(text) {
  const [user = 0, nice = 0, system = 0, _idle, _wait, irq = 0, softirq = 0, steal = 0] = (
    /^cpu +(.*)$/m.exec(text)?.[1] ?? ''
  )
    .split(' ')
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / ticksPerSecond;
}

/** CPU seconds of everything but this process and what it started. */
function othersSeconds() {
  return parseBusySeconds(readFileSync('/proc/stat', 'latin1')) - cpuSeconds(process.pid).total;
}

/** Measures again what others disturbed. */
export class Patience {
  #repeatsLeft;

  /** @param {number} maxRepeats of all measurements together, so that a busy machine does not make a run endless */
  constructor(maxRepeats) {
    this.#repeatsLeft = maxRepeats;
  }

  /**
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T & { others: number }>} with the share of a core that others used meanwhile
   */
  async measure(work) {
    /** @type {(T & { others: number })[]} */
    const results = [];
    for (;;) {
      const [before, startedAt] = [othersSeconds(), performance.now()];
      const result = await work();
      const others = Math.max(0, ((othersSeconds() - before) * 1000) / (performance.now() - startedAt));
      results.push({ ...result, others });
      if (others <= quietEnough || results.length === maxAttempts || this.#repeatsLeft === 0) break;
      this.#repeatsLeft--;
      await sleep(pauseMs);
    }
    return results.reduce((best, one) => (one.others < best.others ? one : best));
  }
}
