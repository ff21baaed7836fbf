// Random numbers that can be had again: a test prints its seed, and the same seed gives the same sequence.

/** @returns a whole number from 0, below the given one */
export type Random = (below: number) => number;

/** Reproducible, unlike Math.random (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}
