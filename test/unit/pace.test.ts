// The thread's time shared among who asks, with a clock and a loop of the test's own. What always holds: who asks more than
// the others waits for idle time, and nobody waits for him.
import { describe, expect, it } from 'vitest';
import { Pace } from '../../src/console/pace.ts';
import { GatewayError } from '../../src/errors.ts';
import type { Turn } from '../../src/oned/fair-queue.ts';

/** A pace of which the test holds time and loop. */
function paceWith(maxWaiting?: number) {
  let now = 0;
  const loop = { active: 0, idle: 0 };
  const timers: { at: number; run: () => void }[] = [];
  const pace = new Pace({
    now: () => now,
    utilization: () => ({ ...loop }),
    later: (ms, run) => timers.push({ at: now + ms, run }),
    ...(maxWaiting === undefined ? {} : { maxWaiting }),
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const gone: string[] = [];
  return {
    pace,
    timers,
    gone,
    settle,
    /** Time passes, in which the loop has something to do for such a share. */
    pass: async (ms: number, busy = 0) => {
      for (const end = now + ms; now < end; ) {
        now++;
        loop.active += busy;
        loop.idle += 1 - busy;
        for (const timer of timers.splice(0).toSorted((one, other) => one.at - other.at)) {
          if (timer.at <= now) timer.run();
          else timers.push(timer);
        }
        await settle();
      }
    },
    /** So many ask at once; their names are noted as they go on. */
    ask: (times: number, name: string, turn: Turn = [name]) => {
      for (let i = 0; i < times; i++) {
        pace.pass(turn).then(
          () => gone.push(name),
          (error: unknown) => gone.push(error instanceof GatewayError ? error.code : String(error)),
        );
      }
      return settle();
    },
  };
}

const count = (gone: readonly string[], name: string) => gone.filter((one) => one === name).length;

describe('the pace of somebody', () => {
  it('who is alone is his own, however much he asks', async () => {
    const { ask, gone, timers } = paceWith();
    await ask(5000, 'alice');
    expect([gone.length, timers.length]).toEqual([5000, 0]);
  });

  it('who asks no more than others is his own', async () => {
    const { ask, gone, pass } = paceWith();
    for (let second = 0; second < 5; second++) {
      for (const name of ['alice', 'bob', 'carol']) await ask(100, name);
      await pass(1000, 1);
    }
    for (const name of ['alice', 'bob', 'carol']) expect(count(gone, name)).toBe(500);
  });

  it('who asks little is his own, also beside a flood that the loop cannot take', async () => {
    const { ask, gone, pass } = paceWith();
    await ask(1, 'alice');
    await ask(900, 'mallory');
    for (let i = 0; i < 100; i++) {
      const before = count(gone, 'alice');
      await ask(1, 'alice');
      expect(count(gone, 'alice')).toBe(before + 1);
      await pass(20, 1);
    }
  });

  it('who asks more than others is what the loop has time for', async () => {
    const { ask, gone, pass } = paceWith();
    await ask(1, 'alice');
    await ask(900, 'mallory');
    const free = count(gone, 'mallory');
    expect(free).toBeLessThanOrEqual(52);
    // Busy: one in a quarter of a second, lest he wait for ever.
    await pass(100, 1);
    const begun = count(gone, 'mallory');
    await pass(700, 1);
    expect(count(gone, 'mallory') - begun).toBeLessThanOrEqual(4);
    expect(count(gone, 'mallory') - begun).toBeGreaterThanOrEqual(2);
    // Idle: one at every look.
    await pass(30, 0);
    const before = count(gone, 'mallory');
    await pass(200, 0);
    expect(count(gone, 'mallory') - before).toBeGreaterThanOrEqual(90);
  });

  it('who has much read for him is what the loop has time for, however few his calls are', async () => {
    const { ask, gone, pass, pace } = paceWith();
    await ask(1, 'alice');
    await ask(3, 'mallory');
    for (let i = 0; i < 4; i++) pace.charge(['mallory'], 4 * 1024 * 1024);
    pace.charge(['alice'], 700_000);
    await pass(2000, 1);
    gone.length = 0;
    await ask(20, 'mallory');
    await ask(20, 'alice');
    expect([count(gone, 'mallory'), count(gone, 'alice')]).toEqual([0, 20]);
    await pass(10_000, 1);
    expect(count(gone, 'mallory')).toBe(20);
  });

  it('is remembered for a minute beside others who have fallen silent, and then he is alone', async () => {
    const { ask, gone, pass } = paceWith();
    await ask(1, 'alice');
    await pass(59_000);
    await ask(200, 'mallory');
    expect(count(gone, 'mallory')).toBeLessThan(200);
    await pass(2000);
    expect(count(gone, 'mallory')).toBe(200);
    await pass(2000);
    await ask(200, 'mallory');
    expect(count(gone, 'mallory')).toBe(400);
  });
});

describe('those who wait', () => {
  it('go round, by what comes after the first key as well', async () => {
    const { ask, gone, pass } = paceWith();
    await ask(1, 'alice');
    await ask(60, 'near', ['strangers', 'near', 'x']);
    gone.length = 0;
    await ask(50, 'near', ['strangers', 'near', 'x']);
    await ask(2, 'far', ['strangers', 'far', 'bob']);
    await pass(30, 0);
    expect(gone.slice(0, 20).flatMap((name, at) => (name === 'far' ? [at] : [])).length).toBe(2);
  });

  it('are so many at most: who has most of them is refused', async () => {
    const { ask, gone } = paceWith(10);
    await ask(1, 'alice');
    await ask(100, 'mallory');
    const told = count(gone, 'over-limit');
    expect(told).toBeGreaterThan(30);
    await ask(1, 'alice');
    expect([count(gone, 'alice'), count(gone, 'over-limit')]).toEqual([2, told]);
  });

  it('may go away, and leave nothing behind', async () => {
    const { ask, pace, pass, timers } = paceWith();
    await ask(1, 'alice');
    await ask(52, 'mallory');
    const impatient = new AbortController();
    const attempt = pace.pass(['mallory'], impatient.signal);
    impatient.abort();
    await expect(attempt).rejects.toMatchObject({ code: 'caller-gone' });
    await expect(pace.pass(['bob'], impatient.signal)).rejects.toMatchObject({ code: 'caller-gone' });
    await pass(3000);
    const { queue, waiting } = pace as unknown as { queue: { size: number }; waiting: Map<unknown, unknown> };
    expect([queue.size, waiting.size, timers.length]).toEqual([0, 0, 0]);
  });
});
