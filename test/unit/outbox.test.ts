// What a worker says to the control plane: ends of consoles wait a moment for company, and nothing overtakes them.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { ToPrimary } from '../../src/cluster/messages.ts';
import { Outbox } from '../../src/cluster/outbox.ts';
import type { SessionId } from '../../src/tokens/record.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const end = { reason: 'test', bytesToBrowser: 0, bytesToTarget: 0, seconds: 0 };
const closed = (id: number): ToPrimary => ({ type: 'closed', session: String(id) as SessionId, end });
const question: ToPrimary = { type: 'probed', question: 1, alive: true };

function outbox() {
  const sent: (readonly ToPrimary[])[] = [];
  return { box: new Outbox((messages) => void sent.push(messages)), sent };
}

it('says a question at once, after the ends that have waited', () => {
  const { box, sent } = outbox();
  box.put(closed(1));
  box.put(closed(2));
  expect(sent).toEqual([]);
  box.put(question);
  expect(sent).toEqual([[closed(1), closed(2), question]]);
  vi.runAllTimers();
  expect(sent).toHaveLength(1);
});

it('says an end alone when nobody asks anything for a moment', () => {
  const { box, sent } = outbox();
  box.put(closed(1));
  vi.advanceTimersByTime(5);
  expect(sent).toEqual([[closed(1)]]);
});

it('says what waits when it is told to, and keeps no more than a few hundred', () => {
  const { box, sent } = outbox();
  box.put(closed(1));
  box.flush();
  expect(sent).toEqual([[closed(1)]]);
  for (let id = 0; id < 256; id++) box.put(closed(id));
  expect(sent[1]).toHaveLength(256);
  vi.runAllTimers();
  expect(sent).toHaveLength(2);
});
