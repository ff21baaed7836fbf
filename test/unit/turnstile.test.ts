// The queue before oned, without oned. What always holds: never more inside than there are places, the rest in order,
// and a place that was taken is given back exactly once, however its holder leaves.
import { describe, expect, it } from 'vitest';
import { Turnstile } from '../../src/oned/turnstile.ts';
import { waitFor } from '../support/wait.ts';

const never = new AbortController().signal;

/** Somebody who passes the turnstile, and stays inside until told to go. */
function visit(turnstile: Turnstile, signal: AbortSignal = never) {
  const visitor = { inside: false, leave: () => {}, fail: (_reason: Error) => {}, end: Promise.resolve('') };
  const stay = new Promise<void>((resolve, reject) => {
    visitor.leave = resolve;
    visitor.fail = reject;
  });
  visitor.end = turnstile
    .pass(signal, () => {
      visitor.inside = true;
      return stay;
    })
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
