// One question for many. What always holds: an answer is never older than the question of whoever gets it.
import { expect, it } from 'vitest';
import { SharedCall } from '../../src/shared-call.ts';

/** Calls that end when the test says so. */
function world() {
  const shared = new SharedCall<number>();
  const ends: { give: (answer: number) => void; fail: (error: Error) => void }[] = [];
  const call = () => new Promise<number>((give, fail) => void ends.push({ give, fail }));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return { ask: () => shared.ask(call), ends, turn };
}

it('whoever comes while somebody is waiting shares the next one, and no more than one runs', async () => {
  const { ask, ends, turn } = world();
  const first = ask();
  const others = [ask(), ask(), ask()];
  await turn();
  expect(ends).toHaveLength(1);
  ends[0]?.give(1);
  expect(await first).toBe(1);
  await turn();
  const late = ask();
  await turn();
  expect(ends).toHaveLength(2);
  ends[1]?.give(2);
  expect(await Promise.all(others)).toEqual([2, 2, 2]);
  await turn();
  expect(ends).toHaveLength(3);
  ends[2]?.give(3);
  expect(await late).toBe(3);
});

it('a call that failed fails those who shared it alone', async () => {
  const { ask, ends, turn } = world();
  const first = ask();
  const second = ask();
  ends[0]?.fail(new Error('one'));
  await expect(first).rejects.toThrow('one');
  await turn();
  ends[1]?.give(2);
  expect(await second).toBe(2);
  const third = ask();
  ends[2]?.give(3);
  expect(await third).toBe(3);
});
