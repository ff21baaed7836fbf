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
    expect(whoIsIn(visitors)).toBe('x..');
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
    places = 4;
    const work = visit(turnstile, waiting(), background);
    await settle();
    expect([whoIsIn(callers), work.inside]).toEqual(['x.', false]);
    callers[0]?.leave();
    await settle();
    expect([whoIsIn(callers), work.inside]).toEqual(['xx', true]);
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
