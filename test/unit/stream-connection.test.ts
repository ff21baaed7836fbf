// Any Duplex as a connection to a target: pieces larger than our memory, ends that come early, and what is left behind.
import { Duplex, PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { LARGE_READ_BYTES, QUEUED_PIECES, TARGET_QUEUE_BYTES } from '../../src/high-water.ts';
import { StreamConnection } from '../../src/transport/stream-connection.ts';
import { TargetReader } from '../support/target-reader.ts';
import { floodBytes } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';

/** A stream whose writes are taken when the test says so. */
class Slow extends Duplex {
  readonly taken: Buffer[] = [];
  private done: (() => void) | undefined;

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.taken.push(bytes);
    this.done = done;
  }

  takeNext(): boolean {
    const { done } = this;
    this.done = undefined;
    done?.();
    return done !== undefined;
  }
}

function over(stream: Duplex): { connection: StreamConnection; reader: TargetReader } {
  const connection = new StreamConnection(stream);
  return { connection, reader: new TargetReader(connection) };
}

describe('what a stream brings', () => {
  it('is handed on in pieces of our memory, however large it is, and the end after the last of them', async () => {
    const stream = new Slow();
    const { reader } = over(stream);
    const bytes = floodBytes(0, 3 * LARGE_READ_BYTES + 17);
    reader.hold = true;
    reader.start();
    stream.push(bytes);
    stream.push(null);
    await waitFor(() => reader.isHolding, { what: 'the first piece' });
    await nextTurn();
    expect(reader.receivedBytes).toBe(LARGE_READ_BYTES);
    stream.destroy();
    await nextTurn();
    expect(reader.ends).toEqual([]);
    for (let pieces = 2; pieces <= 4; pieces++) {
      reader.giveBack();
      expect(reader.isHolding).toBe(true);
    }
    expect(reader.received().equals(bytes)).toBe(true);
    expect(await reader.waitForEnd()).toBe('the target closed the connection');
    reader.giveBack();
    expect(reader.ends).toHaveLength(1);
    expect(reader.breaches).toEqual([]);
  });

  it('goes on as one where it comes in many full chunks at a time, and at once where it is short', async () => {
    const stream = new Slow();
    const { reader } = over(stream);
    reader.start();
    await nextTurn();
    const record = 16 * 1024;
    for (let i = 0; i < 3; i++) stream.push(floodBytes(i * record, record));
    expect(reader.pieces).toEqual([]);
    await nextTurn();
    expect(reader.pieces).toEqual([3 * record]);
    for (let i = 3; i < 5; i++) stream.push(floodBytes(i * record, record));
    stream.push(floodBytes(5 * record, 10));
    expect(reader.pieces).toEqual([3 * record, 2 * record + 10]);
    stream.push(floodBytes(5 * record + 10, 1));
    expect(reader.pieces).toEqual([3 * record, 2 * record + 10, 1]);
    for (let i = 0; i < 17; i++) stream.push(floodBytes(5 * record + 11 + i * record, record));
    expect(reader.pieces.slice(3)).toEqual([LARGE_READ_BYTES]);
    stream.push(null);
    expect(await reader.waitForEnd()).toBe('the target closed the connection');
    expect(reader.pieces.slice(3)).toEqual([LARGE_READ_BYTES, record]);
    expect(reader.received().equals(floodBytes(0, 22 * record + 11))).toBe(true);
  });

  it('is dropped after end(), even what was there already', async () => {
    const stream = new Slow();
    const { connection, reader } = over(stream);
    reader.hold = true;
    reader.start();
    stream.push(floodBytes(0, 2 * LARGE_READ_BYTES));
    await waitFor(() => reader.isHolding, { what: 'the first piece' });
    connection.end();
    reader.giveBack();
    stream.push(Buffer.from('more'));
    await nextTurn();
    expect(reader.receivedBytes).toBe(LARGE_READ_BYTES);
    expect(reader.ends).toEqual([]);
    expect(stream.readableLength).toBe(0);
  });

  const causes: [what: string, error: Error | undefined, said: string][] = [
    ['closes', undefined, 'the target closed the connection'],
    ['is reset', Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'the target reset the connection'],
    [
      'breaks',
      Object.assign(new Error('secret words'), { code: 'EPROTO' }),
      'the connection to the target broke: EPROTO',
    ],
    [
      'says why',
      new GatewayError('target-failed', { detail: 'the SSH connection to node1 was lost' }),
      'the SSH connection to node1 was lost',
    ],
  ];
  it.each(causes)(
    'ends with a reason when it %s, also when that was before anybody listened',
    async (...one) => {
      const [, error, said] = one;
      for (const moment of ['started', 'taken over', 'open']) {
        const stream = new Slow().on('error', () => undefined);
        const breaks = async () => {
          stream.destroy(error);
          await nextTurn();
        };
        if (moment === 'open') await breaks();
        const { reader } = over(stream);
        if (moment === 'taken over') await breaks();
        reader.start();
        if (moment === 'started') await breaks();
        expect(await reader.waitForEnd()).toBe(said);
        await nextTurn();
        expect(reader.ends).toHaveLength(1);
      }
    },
  );
});

describe('what is written to a stream', () => {
  it('waits up to a number of bytes, and of pieces', () => {
    for (const [size, most] of [
      [32 * 1024, TARGET_QUEUE_BYTES / (32 * 1024)],
      [1, QUEUED_PIECES],
    ] as const) {
      const { connection, reader } = over(new Slow());
      reader.start();
      let yes = 0;
      while (connection.write(Buffer.alloc(size))) yes++;
      expect(yes).toBe(most);
    }
  });

  it('does not keep the much larger memory that it was cut out of', () => {
    const stream = new Slow();
    const { connection } = over(stream);
    const large = Buffer.alloc(100_000, 'a');
    connection.write(large.subarray(0, 10));
    connection.write(large.subarray(10, 20));
    large.fill('b');
    expect(stream.takeNext()).toBe(true);
    expect(stream.taken[1]?.toString()).toBe('a'.repeat(10));
  });

  it('is reported as drained once, however many writes said no', async () => {
    const stream = new Slow();
    const { connection, reader } = over(stream);
    reader.start();
    for (let i = 0; i < 20; i++) connection.write(Buffer.alloc(TARGET_QUEUE_BYTES));
    await waitFor(() => !stream.takeNext() && stream.writableLength === 0, { what: 'all writes' });
    await nextTurn();
    expect(reader.drains).toBe(1);
  });

  it('goes nowhere after the end, and is no reason to wait', async () => {
    const stream = new PassThrough();
    const { connection, reader } = over(stream);
    reader.start();
    stream.destroy();
    await reader.waitForEnd();
    expect(connection.write(Buffer.alloc(10 * TARGET_QUEUE_BYTES))).toBe(true);
  });
});
