// Counts within a sliding time. What always holds: nothing is forgotten too early, whatever the beat of the events, and
// memory has a bound.
import { describe, expect, it } from 'vitest';
import { SlidingCounter } from '../../src/console/counters.ts';
import { seededRandom } from '../support/random.ts';

const windowMs = 60_000;
/** A sixth of the window, by which the count may be too low at its old end. */
const slotMs = windowMs / 6;

describe('a counter', () => {
  it('counts each key by itself', () => {
    const counter = new SlidingCounter(windowMs);
    expect([counter.add('a', 0), counter.add('a', 0), counter.add('b', 0)]).toEqual([1, 2, 1]);
    expect([counter.count('a', 0), counter.count('b', 0), counter.count('c', 0)]).toEqual([2, 1, 0]);
  });

  it.each([
    ['at once', 0, 1],
    ['while five sixths of the window last', 5 * slotMs - 1, 1],
    ['not when the window has passed', windowMs, 0],
    ['not long after', 1000 * windowMs, 0],
  ])('knows an event %s', (_when, laterMs, count) => {
    for (const startMs of [0, 1, slotMs - 1, slotMs, 123_456, 7 * windowMs]) {
      const counter = new SlidingCounter(windowMs);
      counter.add('a', startMs);
      expect(counter.count('a', startMs + laterMs), `from ${startMs}`).toBe(count);
    }
  });

  it('forgets a part of the events at a time', () => {
    const counter = new SlidingCounter(windowMs);
    for (let slot = 0; slot < 6; slot++) counter.add('a', slot * slotMs);
    const counts = Array.from({ length: 7 }, (_value, slot) =>
      counter.count('a', windowMs + (slot - 1) * slotMs),
    );
    expect(counts).toEqual([6, 5, 4, 3, 2, 1, 0]);
  });

  it('lies between the exact counts of five sixths of the window and of all of it, at any beat', () => {
    const random = seededRandom(20_260);
    const counter = new SlidingCounter(windowMs);
    const events: number[] = [];
    const since = (now: number, ms: number) => events.filter((at) => at > now - ms).length;
    for (let now = 0; events.length < 3000; now += random(random(2) === 0 ? windowMs : 500)) {
      events.push(now);
      const count = counter.add('a', now);
      expect(count).toBeGreaterThanOrEqual(since(now, windowMs - slotMs));
      expect(count).toBeLessThanOrEqual(since(now, windowMs));
      expect(counter.count('a', now)).toBe(count);
    }
  });

  it('stays where it is when its clock goes back', () => {
    const counter = new SlidingCounter(windowMs);
    counter.add('a', 3 * windowMs);
    expect(counter.add('a', windowMs)).toBe(2);
    expect(counter.count('a', 3 * windowMs)).toBe(2);
    expect(counter.count('a', 4 * windowMs)).toBe(0);
  });

  it('forgets a key when it is told to, and no other', () => {
    const counter = new SlidingCounter(windowMs);
    for (const key of ['a', 'b']) counter.add(key, 0);
    counter.forget('a');
    expect([counter.count('a', 0), counter.count('b', 0), counter.add('a', 0)]).toEqual([0, 1, 1]);
  });

  it('remembers so many keys at most, and forgets those first that were counted longest ago', () => {
    const counter = new SlidingCounter(windowMs, 3);
    for (const key of ['a', 'b', 'c', 'a', 'd']) counter.add(key, 0);
    expect(['a', 'b', 'c', 'd'].map((key) => counter.count(key, 0))).toEqual([2, 0, 1, 1]);
    // A key that is there already takes nobody's place.
    counter.add('d', 0);
    expect(['a', 'c', 'd'].map((key) => counter.count(key, 0))).toEqual([2, 1, 2]);
  });

  it('stays small under a hundred thousand keys', () => {
    const counter = new SlidingCounter(windowMs, 1000);
    for (let i = 0; i < 100_000; i++) counter.add(`key ${i}`, i);
    const known = Array.from({ length: 100_000 }, (_value, i) => counter.count(`key ${i}`, 100_000));
    expect(known.filter((count) => count > 0).length).toBeLessThanOrEqual(1000);
  });
});
