// A long list, a slice at a time. What always holds: between two slices the event loop does what others have brought, so
// that nobody waits for a long search for longer than one of them takes.
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Of work that takes some microseconds each: a slice is a millisecond or two. */
const SLICE = 500;

export async function* slices<T>(things: Iterable<T>, size = SLICE): AsyncGenerator<readonly T[]> {
  let slice: T[] = [];
  for (const thing of things) {
    slice.push(thing);
    if (slice.length < size) continue;
    yield slice;
    slice = [];
    await nextTurn();
  }
  if (slice.length > 0) yield slice;
}
