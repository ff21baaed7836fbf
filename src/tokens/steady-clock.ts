// The clock of the stores of one host: the wall clock as it was at the start, and the time that has passed since.
// What always holds: it never goes back and never jumps, so a step of the wall clock neither opens nor ends a token.

/**
 * @param wall milliseconds since 1970, asked once
 * @param monotonic milliseconds since any moment; never goes back
 * @returns whole milliseconds since 1970
 */
export function steadyClock(
  wall: () => number = Date.now,
  monotonic: () => number = () => performance.now(),
): () => number {
  const start = wall() - monotonic();
  return () => Math.floor(start + monotonic());
}
