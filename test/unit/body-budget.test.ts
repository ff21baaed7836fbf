// Bytes of unfinished calls: bounded for all callers together, at the expense of who holds most of them.
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { BodyBudget } from '../../src/rpc/body-budget.ts';

function request(headers: Record<string, string> = {}) {
  return Object.assign(new EventEmitter(), { headers }) as unknown as IncomingMessage;
}

function send(budget: BodyBudget, client: string, bytes: number, headers: Record<string, string> = {}) {
  const one = request(headers);
  const state = { request: one, dropped: false };
  budget.hold(one, client, () => {
    state.dropped = true;
  });
  if (bytes > 0) one.emit('data', Buffer.alloc(bytes));
  return state;
}

it('takes from the address with most bytes its oldest call, and from others nothing', () => {
  const budget = new BodyBudget(100, 1000);
  const honest = send(budget, '192.0.2.1', 90);
  const flood = Array.from({ length: 9 }, () => send(budget, '198.51.100.7', 100));
  expect(flood.filter(({ dropped }) => dropped)).toHaveLength(0);
  const late = send(budget, '192.0.2.2', 100);
  expect(flood.map(({ dropped }) => dropped)).toEqual([true, ...Array(8).fill(false)]);
  expect([honest.dropped, late.dropped]).toEqual([false, false]);
  // An IPv6 host is its /64.
  for (let i = 0; i < 20; i++) send(budget, `2001:db8::${i}`, 100);
  expect([honest.dropped, late.dropped]).toEqual([false, false]);
});

it.each(['end', 'close'])('forgets a body at its %s', (event) => {
  const budget = new BodyBudget(100, 250);
  for (let i = 0; i < 50; i++) {
    const { request: one, dropped } = send(budget, '192.0.2.1', 100);
    one.emit(event);
    one.emit('close');
    expect([dropped, one.listenerCount('data')]).toEqual([false, 0]);
  }
});

it('counts one that is packed as what it may become', () => {
  const budget = new BodyBudget(100, 250);
  const sent = Array.from({ length: 3 }, () => send(budget, '192.0.2.1', 1, { 'content-encoding': 'gzip' }));
  expect(sent.map(({ dropped }) => dropped)).toEqual([true, false, false]);
});

it('has room for a few calls, however large they may be', () => {
  const budget = new BodyBudget(16 * 1024 * 1024 * 4);
  const sent = Array.from({ length: 4 }, () => send(budget, '192.0.2.1', 16 * 1024 * 1024));
  expect(sent.some(({ dropped }) => dropped)).toBe(false);
});
