// The same work for many things, some of them at a time. What always holds: no more than that are under way; the first
// failure ends it, and those under way are not waited for.

/** @throws what the first failing work throws */
export async function inParallel<T>(
  things: readonly T[],
  atATime: number,
  work: (thing: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const run = async () => {
    while (next < things.length && !failed) {
      const thing = things[next++] as T;
      await work(thing).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: atATime }, run));
}
