// The queue before oned, without oned. What always holds: never more inside than there are places, the rest in order,
// and a place that was taken is given back exactly once, however its holder leaves.
import { describe, expect, it } from 'vitest';
import { type Priority, Turnstile } from '../../src/oned/turnstile.ts';
import { waitFor } from '../support/wait.ts';

const never = new AbortController().signal;

/** Somebody who passes the turnstile, and stays inside until told to go. */
function visit(turnstile: Turnstile, signal = new AbortController().signal, priority: Priority = {}) {
  const visitor = { inside: false, leave: () => {}, fail: (_reason: Error) => {}, end: Promise.resolve('') };
  const stay = new Promise<void>((resolve, reject) => {
    visitor.leave = resolve;
    visitor.fail = reject;
  });
  visitor.end = turnstile
    .pass(
      signal,
      () => {
        visitor.inside = true;
        return stay;
      },
      priority,
    )
    .then(
      () => 'left',
      (reason: Error) => reason.message,
    );
  return visitor;
}

/** Lets everything that can happen without outside help happen. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

const whoIsIn = (visitors: readonly { inside: boolean }[]) =>
  visitors.map(({ inside }) => (inside ? 'x' : '.')).join('');

describe('a turnstile', () => {
  it('lets in as many as it has places, and the rest in the order in which they came', async () => {
    const turnstile = new Turnstile(() => 2);
    const visitors = Array.from({ length: 5 }, () => visit(turnstile));
    await settle();
    const seen = [whoIsIn(visitors)];
    for (const index of [1, 0, 2, 3, 4]) {
      visitors[index]?.leave();
      expect(await visitors[index]?.end).toBe('left');
      await settle();
      seen.push(whoIsIn(visitors));
    }
    expect(seen).toEqual(['xx...', 'xxx..', 'xxxx.', 'xxxxx', 'xxxxx', 'xxxxx']);
  });

  it('takes a place back from work that fails, and passes the failure on', async () => {
    const turnstile = new Turnstile(() => 1);
    const [first, second] = [visit(turnstile), visit(turnstile)];
    await settle();
    first.fail(new Error('broken'));
    expect(await first.end).toBe('broken');
    await settle();
    expect(second.inside).toBe(true);
  });

  it('takes a place back from work that throws at once', async () => {
    const turnstile = new Turnstile(() => 1);
    const thrown = turnstile.pass(never, () => {
      throw new Error('at once');
    });
    await expect(thrown).rejects.toThrow('at once');
    const next = visit(turnstile);
    await settle();
    expect(next.inside).toBe(true);
  });

  it('forgets one who gives up while waiting: his turn goes to the next', async () => {
    const turnstile = new Turnstile(() => 1);
    const impatient = new AbortController();
    const visitors = [visit(turnstile), visit(turnstile, impatient.signal), visit(turnstile)];
    await settle();
    impatient.abort(new Error('no patience'));
    expect(await visitors[1]?.end).toBe('no patience');
    visitors[0]?.leave();
    await settle();
    expect(whoIsIn(visitors)).toBe('x.x');
  });

  it('does not give a place twice to one who gives up inside', async () => {
    const turnstile = new Turnstile(() => 1);
    const gone = new AbortController();
    const visitors = [visit(turnstile, gone.signal), visit(turnstile), visit(turnstile)];
    await settle();
    gone.abort();
    await settle();
    expect(whoIsIn(visitors)).toBe('x..');
    visitors[0]?.leave();
    await settle();
    expect(whoIsIn(visitors)).toBe('xx.');
  });

  it('does not let in one who had given up before, even where there is room', async () => {
    const turnstile = new Turnstile(() => 1);
    const visitor = visit(turnstile, AbortSignal.abort(new Error('too late')));
    expect(await visitor.end).toBe('too late');
    const next = visit(turnstile);
    await settle();
    expect([visitor.inside, next.inside]).toEqual([false, true]);
  });

  it('sends away whoever comes when too many wait, and takes the next when there is room again', async () => {
    const turnstile = new Turnstile(() => 1, 2);
    const visitors = Array.from({ length: 3 }, () => visit(turnstile));
    await expect(turnstile.pass(never, () => Promise.resolve())).rejects.toMatchObject({
      code: 'over-limit',
      oneCode: 0x2000,
    });
    visitors[0]?.leave();
    await settle();
    const next = visit(turnstile);
    for (const { leave } of visitors) leave();
    await waitFor(() => next.inside, { what: 'the next one to be let in' });
  });

  it('has as many places as it is told at the time', async () => {
    let places = 1;
    const turnstile = new Turnstile(() => places);
    const visitors = Array.from({ length: 5 }, () => visit(turnstile));
    await settle();
    places = 3;
    visitors[0]?.leave();
    await settle();
    expect(whoIsIn(visitors)).toBe('xxxx.');
    places = 1;
    visitors[1]?.leave();
    await settle();
    expect(whoIsIn(visitors)).toBe('xxxx.');
  });

  it('lets nobody overtake those who wait, not even when it has just got more places', async () => {
    let places = 1;
    const turnstile = new Turnstile(() => places);
    const visitors = [visit(turnstile), visit(turnstile)];
    await settle();
    places = 2;
    visitors.push(visit(turnstile));
    await settle();
    expect(whoIsIn(visitors)).toBe('xx.');
    visitors[0]?.leave();
    await settle();
    expect(whoIsIn(visitors)).toBe('xxx');
  });

  it('is empty after a crowd in which many gave up', async () => {
    const turnstile = new Turnstile(() => 3);
    const impatience = Array.from({ length: 200 }, () => new AbortController());
    const visitors = impatience.map(({ signal }) => visit(turnstile, signal));
    impatience.forEach((impatient, index) => {
      if (index % 2 === 0) impatient.abort(new Error('gone'));
    });
    for (const { leave } of visitors) leave();
    const ends = await Promise.all(visitors.map(({ end }) => end));
    expect(ends.filter((end) => end === 'left').length).toBeGreaterThanOrEqual(100);
    const next = Array.from({ length: 4 }, () => visit(turnstile));
    await settle();
    expect(whoIsIn(next)).toBe('xxx.');
  });
});

describe('fair turns', () => {
  /** Somebody's calls, all at once. */
  const calls = (turnstile: Turnstile, count: number, ...by: [string, ...string[]]) =>
    Array.from({ length: count }, () => visit(turnstile, new AbortController().signal, { by }));

  /** Lets them leave one by one; @returns in whose order they were let in, as `name` says. */
  async function orderOf(visitors: ReadonlyMap<string, ReturnType<typeof visit>[]>) {
    const order: string[] = [];
    const seen = new Set<unknown>();
    const all = [...visitors].flatMap(([name, own]) => own.map((visitor) => ({ name, visitor })));
    while (seen.size < all.length) {
      await settle();
      const next = all.find(({ visitor }) => visitor.inside && !seen.has(visitor));
      if (next === undefined) throw new Error('nobody is let in');
      seen.add(next.visitor);
      order.push(next.name);
      next.visitor.leave();
      await next.visitor.end;
    }
    return order.join('');
  }

  it('go round among users, and each user has his own in order', async () => {
    const turnstile = new Turnstile(() => 1);
    const visitors = new Map([
      ['a', calls(turnstile, 5, 'alice')],
      ['b', calls(turnstile, 2, 'bob')],
      ['c', calls(turnstile, 1, 'carol')],
    ]);
    expect(await orderOf(visitors)).toBe('aabcabaa');
  });

  it('go round within a branch: a thousand names of one network are one network', async () => {
    const turnstile = new Turnstile(() => 1, 2000);
    const names = Array.from({ length: 1000 }, (_value, i) =>
      calls(turnstile, 1, 'strangers', 'near', `${i}`),
    );
    const visitors = new Map([
      ['x', names.flat()],
      ['f', calls(turnstile, 2, 'strangers', 'far', 'bob')],
      ['u', calls(turnstile, 2, 'user alice')],
    ]);
    expect((await orderOf(visitors)).slice(0, 8)).toBe('xxufuxfx');
  });

  it('are not waited for where places are free: whoever has as many as are free gets no more', async () => {
    const turnstile = new Turnstile(() => 8);
    calls(turnstile, 1, 'bob')[0]?.leave();
    await settle();
    const flood = calls(turnstile, 100, 'alice');
    await settle();
    expect(flood.filter(({ inside }) => inside)).toHaveLength(4);
    const second = calls(turnstile, 100, 'mallory');
    await settle();
    expect(second.filter(({ inside }) => inside)).toHaveLength(2);
    const [bob] = calls(turnstile, 1, 'bob');
    await settle();
    expect(bob?.inside).toBe(true);
  });

  it.each([1, 2, 3, 5])('leave of %i places none unused', async (places) => {
    const turnstile = new Turnstile(() => places);
    const visitors = Array.from({ length: 20 }, (_value, i) => calls(turnstile, 3, `user ${i}`)).flat();
    await settle();
    expect(visitors.filter(({ inside }) => inside)).toHaveLength(places);
    for (const { leave } of visitors) leave();
    await Promise.all(visitors.map(({ end }) => end));
  });

  it('leave all places to one user when nobody else has asked for a minute', async () => {
    let now = 0;
    const turnstile = new Turnstile(
      () => 8,
      undefined,
      () => now,
    );
    calls(turnstile, 1, 'bob')[0]?.leave();
    now = 60_000;
    await settle();
    const flood = calls(turnstile, 100, 'alice');
    await settle();
    expect(flood.filter(({ inside }) => inside)).toHaveLength(8);
  });

  it('are not lost for one who fills the queue: he loses his own', async () => {
    const turnstile = new Turnstile(() => 1, 10);
    const flood = calls(turnstile, 11, 'mallory');
    await settle();
    const others = ['alice', 'bob', 'carol'].flatMap((name) => calls(turnstile, 2, name));
    const lost = flood.slice(-6);
    expect(await Promise.all(lost.map(({ end }) => end))).toEqual(
      Array(6).fill('more than 10 calls wait for oned'),
    );
    // Those who have most are now several, and the last who comes is one of them.
    const [late] = calls(turnstile, 1, 'mallory');
    expect(await late?.end).toMatch(/more than 10/);
    for (const { leave } of [...flood, ...others]) leave();
    expect(await Promise.all(others.map(({ end }) => end))).toEqual(Array(6).fill('left'));
  });

  it('remain for background work as well: of seventeen in a rush it is one', async () => {
    const turnstile = new Turnstile(() => 1);
    const rush = calls(turnstile, 40, 'alice');
    const work = visit(turnstile, new AbortController().signal, { background: true });
    const order = await orderOf(
      new Map([
        ['a', rush],
        ['w', [work]],
      ]),
    );
    expect(order.indexOf('w')).toBe(17);
  });

  it('leave nothing behind', async () => {
    const turnstile = new Turnstile(() => 2);
    const impatient = new AbortController();
    const visitors = [
      ...calls(turnstile, 3, 'alice'),
      ...calls(turnstile, 3, 'strangers', 'near', 'bob'),
      visit(turnstile, impatient.signal, { by: ['strangers', 'far', 'carol'] }),
    ];
    impatient.abort(new Error('gone'));
    for (const { leave } of visitors) leave();
    await Promise.all(visitors.map(({ end }) => end));
    const { callers, held, inside } = turnstile as unknown as {
      callers: { size: number; root: { branches: Map<unknown, unknown> } };
      held: Map<unknown, unknown>;
      inside: number;
    };
    expect([callers.size, callers.root.branches.size, held.size, inside]).toEqual([0, 0, 0, 0]);
  });
});

describe('background work', () => {
  const background = { background: true };
  /** Of its own, for those who wait to the end. */
  const waiting = () => new AbortController().signal;

  it.each([
    [1, 'x..'],
    [2, 'x..'],
    [3, 'xx.'],
    [4, 'xxx'],
  ])('leaves of %i places the last one free, where there is more than one', async (places, inside) => {
    const turnstile = new Turnstile(() => places);
    const visitors = Array.from({ length: 3 }, () => visit(turnstile, waiting(), background));
    await settle();
    expect(whoIsIn(visitors)).toBe(inside);
    const caller = visit(turnstile);
    await settle();
    expect(caller.inside).toBe(places > 1);
  });

  it.each([
    [2, 1],
    [3, 2],
  ])('counts callers among those who are inside: of %i places %i are enough', async (places, callers) => {
    const turnstile = new Turnstile(() => places);
    const inside = Array.from({ length: callers }, () => visit(turnstile));
    const work = visit(turnstile, waiting(), background);
    await settle();
    expect(work.inside).toBe(false);
    inside[0]?.leave();
    await settle();
    expect(work.inside).toBe(true);
  });

  it('waits behind all callers, those who come after it too', async () => {
    const turnstile = new Turnstile(() => 2);
    const inside = [visit(turnstile), visit(turnstile)];
    const work = [visit(turnstile, waiting(), background), visit(turnstile, waiting(), background)];
    const callers = [visit(turnstile), visit(turnstile), visit(turnstile)];
    await settle();
    const seen = [];
    for (const leaves of [...inside, ...callers, ...work]) {
      leaves.leave();
      await settle();
      seen.push(`${whoIsIn(callers)} ${whoIsIn(work)}`);
    }
    expect(seen).toEqual(['x.. ..', 'xx. ..', 'xxx ..', 'xxx ..', 'xxx x.', 'xxx xx', 'xxx xx']);
  });

  it('does not overtake a caller, not even when there have just come more places', async () => {
    let places = 1;
    const turnstile = new Turnstile(() => places);
    const callers = [visit(turnstile), visit(turnstile)];
    places = 2;
    const work = visit(turnstile, waiting(), background);
    await settle();
    expect([whoIsIn(callers), work.inside]).toEqual(['xx', false]);
    callers[0]?.leave();
    callers[1]?.leave();
    await settle();
    expect(work.inside).toBe(true);
  });

  it('is done in the order in which it came', async () => {
    const turnstile = new Turnstile(() => 1);
    const work = Array.from({ length: 3 }, () => visit(turnstile, waiting(), background));
    await settle();
    expect(whoIsIn(work)).toBe('x..');
    work[0]?.leave();
    await settle();
    expect(whoIsIn(work)).toBe('xx.');
  });

  it('gives its place back when it fails, and its turn when it gives up', async () => {
    const turnstile = new Turnstile(() => 1);
    const impatient = new AbortController();
    const [first, second, third] = [
      visit(turnstile, waiting(), background),
      visit(turnstile, impatient.signal, background),
      visit(turnstile, waiting(), background),
    ];
    await settle();
    impatient.abort(new Error('no patience'));
    expect(await second.end).toBe('no patience');
    first.fail(new Error('broken'));
    await settle();
    expect([second.inside, third.inside]).toEqual([false, true]);
  });

  it('comes in when the last caller before it gives up', async () => {
    let places = 1;
    const turnstile = new Turnstile(() => places);
    const impatient = new AbortController();
    visit(turnstile);
    visit(turnstile, impatient.signal);
    const work = visit(turnstile, waiting(), background);
    places = 3;
    impatient.abort(new Error('no patience'));
    await settle();
    expect(work.inside).toBe(true);
  });

  it('has a queue of its own, with its own bound', async () => {
    const turnstile = new Turnstile(() => 1, 2);
    const inside = visit(turnstile);
    const work = Array.from({ length: 2 }, () => visit(turnstile, waiting(), background));
    await expect(turnstile.pass(waiting(), () => Promise.resolve(), background)).rejects.toMatchObject({
      code: 'over-limit',
    });
    const callers = [visit(turnstile), visit(turnstile)];
    inside.leave();
    await settle();
    for (const { leave } of [...callers, ...work]) leave();
    const ends = await Promise.all([...callers, ...work].map(({ end }) => end));
    expect(ends).toEqual(['left', 'left', 'left', 'left']);
  });
});
