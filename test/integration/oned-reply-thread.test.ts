// The thread that reads big replies. What always holds: whoever asks has his own answer, everything else goes on meanwhile, and
// a thread that dies fails nobody but those whom it answered.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { vmDocument } from '../../src/oned/vm.ts';
import { vmXml } from '../support/vm.ts';
import { escapeXml } from '../support/xmlrpc.ts';

type Reader = typeof import('../../src/oned/reply-reader.ts');
// A thread runs what was built.
const built = '../../dist/oned/reply-reader.js';
const { ThreadedReader, SMALL_REPLY_BYTES } = (await import(built)) as Reader;

const never = new AbortController().signal;

/** A reply with a VM of so many attributes. */
function replyOf(id: number, attributes: number): Buffer {
  const many = Array.from({ length: attributes }, (_, index) => `<A${index}>x</A${index}>`).join('');
  const vm = vmXml({ id }).replace('<USER_TEMPLATE>', `<USER_TEMPLATE>${many}`);
  return Buffer.from(
    '<methodResponse><params><param><value><array><data><value><boolean>1</boolean></value>' +
      `<value><string>${escapeXml(vm)}</string></value></data></array></value></param></params></methodResponse>`,
  );
}

const big = (id: number) => replyOf(id, 50_000);
const idIn = (selected: object) =>
  'root' in selected ? vmDocument.read(selected.root as never).id : selected;

describe('a big reply', () => {
  it('is read while everything else goes on', async () => {
    const reader = new ThreadedReader();
    let done = false;
    let turns = 0;
    const read = reader.read(big(7), vmDocument, never, {}).finally(() => {
      done = true;
    });
    for (; !done; turns++) await nextTurn();
    expect(idIn(await read)).toBe(7);
    // In this thread it would be none; a read takes tens of milliseconds, a turn microseconds.
    expect(turns).toBeGreaterThan(20);
  });

  it('of each of many is his own, and goes round by user', async () => {
    const reader = new ThreadedReader();
    const order: string[] = [];
    const ask = async (user: string, id: number) => {
      expect(idIn(await reader.read(big(id), vmDocument, never, { by: [user] }))).toBe(id);
      order.push(user);
    };
    await Promise.all([...[1, 2, 3, 4, 5, 6].map((id) => ask('greedy', id)), ask('modest', 7)]);
    expect(order.indexOf('modest')).toBeLessThan(3);
  });

  it('waits with fifteen others, and no more', async () => {
    const reader = new ThreadedReader();
    const asked = Array.from({ length: 20 }, (_, id) =>
      reader.read(big(id), vmDocument, never, { by: ['greedy'] }),
    );
    const settled = await Promise.allSettled(asked);
    const refused = settled.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(3);
    expect(refused[0]).toMatchObject({ reason: { code: 'over-limit' } });
  });

  it('whose asker is gone is not waited for', async () => {
    const reader = new ThreadedReader();
    const gone = new AbortController();
    const first = reader.read(big(1), vmDocument, never, {});
    const second = reader.read(big(2), vmDocument, gone.signal, {});
    gone.abort(new Error('gone'));
    await expect(second).rejects.toThrow('gone');
    expect(idIn(await first)).toBe(1);
  });

  it('that makes no sense is told so', async () => {
    const reader = new ThreadedReader();
    const reply = Buffer.concat([big(1), Buffer.from('<')]);
    expect(await reader.read(reply.subarray(0, -20), vmDocument, never, {})).toHaveProperty('problem');
  });

  it('fails with its thread, and the next one has a new one', async () => {
    const reader = new ThreadedReader();
    const asked = reader.read(big(1), vmDocument, never, {});
    const failed = expect(asked).rejects.toMatchObject({ code: 'internal' });
    await nextTurn();
    await (reader as unknown as { thread: import('node:worker_threads').Worker }).thread.terminate();
    await failed;
    expect(idIn(await reader.read(big(2), vmDocument, never, {}))).toBe(2);
  });
});

it('a small reply needs no thread', async () => {
  const reader = new ThreadedReader();
  const reply = replyOf(3, 100);
  expect(reply.length).toBeLessThan(SMALL_REPLY_BYTES);
  expect(idIn(await reader.read(reply, vmDocument, never, {}))).toBe(3);
  expect((reader as unknown as { thread: unknown }).thread).toBeUndefined();
});
