// Questions between processes: each settles once.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { ToWorker } from '../../src/cluster/messages.ts';
import { Questions } from '../../src/cluster/questions.ts';
import { WorkerPlace } from '../../src/cluster/worker-place.ts';
import type { SessionId } from '../../src/tokens/record.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('a question is settled by its own answer, and by the first one', async () => {
  const questions = new Questions<string>();
  const numbers: number[] = [];
  const asked = ['a', 'b', 'c'].map(() => questions.ask((number) => numbers.push(number), 1000, 'late'));
  expect(new Set(numbers).size).toBe(3);
  const [a = 0, b = 0, c = 0] = numbers;
  expect(questions.answered(b, 'to b')).toBe(true);
  expect(questions.answered(b, 'again')).toBe(false);
  expect(questions.answered(c, 'to c')).toBe(true);
  expect(questions.answered(a, 'to a')).toBe(true);
  expect(await Promise.all(asked)).toEqual(['to a', 'to b', 'to c']);
  expect(vi.getTimerCount()).toBe(0);
});

it('a question without an answer is settled at its deadline, and what comes later is known to be late', async () => {
  const questions = new Questions<string>();
  let number = 0;
  const asked = questions.ask(
    (one) => {
      number = one;
    },
    1000,
    'late',
  );
  await vi.advanceTimersByTimeAsync(999);
  const early = await Promise.race([asked, Promise.resolve('nothing yet')]);
  expect(early).toBe('nothing yet');
  await vi.advanceTimersByTimeAsync(1);
  expect(await asked).toBe('late');
  expect(questions.answered(number, 'too late')).toBe(false);
});

it('a worker that does not answer has nobody there, and the traffic that it told of last', async () => {
  const told: ToWorker[] = [];
  const place = new WorkerPlace(1, (message) => void told.push(message));
  const id = 'a1' as SessionId;
  const counted = place.traffic();
  const [question] = told;
  if (question?.type !== 'count') throw new Error('it was not asked to count');
  place.heard({ type: 'counted', question: question.question, traffic: [[id, 42]] });
  expect(await counted).toEqual(new Map([[id, 42]]));
  const mute = place.traffic();
  const probed = place.probe(id);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await mute).toEqual(new Map([[id, 42]]));
  // The worker itself waits for five seconds.
  await vi.advanceTimersByTimeAsync(4_400);
  expect(await Promise.race([probed, Promise.resolve('nothing yet')])).toBe('nothing yet');
  await vi.advanceTimersByTimeAsync(100);
  expect(await probed).toBe(false);
});

it('a worker that answers the probe of a session answers for that one', async () => {
  const told: ToWorker[] = [];
  const place = new WorkerPlace(1, (message) => void told.push(message));
  const probes = ['a', 'b'].map((id) => place.probe(id as SessionId));
  const numbers = told.flatMap((one) => (one.type === 'probe' ? [one.question] : []));
  place.heard({ type: 'probed', question: numbers[1] ?? 0, alive: true });
  place.heard({ type: 'probed', question: numbers[0] ?? 0, alive: false });
  expect(await Promise.all(probes)).toEqual([false, true]);
});
