// The rules by which memory for reads is lent: one borrower a piece, nothing that is in use is lent again, and what is
// kept for the next borrower is bounded. First the memory alone, then under connections whose every read is held.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { LARGE_READ_BYTES, SMALL_READ_BYTES } from '../../src/high-water.ts';
import { connectTcp } from '../../src/transport/tcp.ts';
import type { TargetConnection } from '../../src/transport/transport.ts';
import { atEnd } from '../support/lifetime.ts';
import { waitFor } from '../support/wait.ts';

/** With nothing returned yet by anybody. */
async function freshMemory() {
  vi.resetModules();
  return import('../../src/transport/read-memory.ts');
}

const inUse = true;
const taken = false;

describe('memory for reads', () => {
  it('is small until a read fills it, then large until a read that looks like the end of a stream', async () => {
    const { ReadMemory } = await freshMemory();
    const memory = new ReadMemory();
    expect(memory.room).toHaveLength(SMALL_READ_BYTES);
    memory.adapt(SMALL_READ_BYTES - 1, taken);
    expect(memory.room).toHaveLength(SMALL_READ_BYTES);
    memory.adapt(SMALL_READ_BYTES, taken);
    expect(memory.room).toHaveLength(LARGE_READ_BYTES);
    memory.adapt(16 * 1024, taken);
    expect(memory.room).toHaveLength(LARGE_READ_BYTES);
    memory.adapt(16 * 1024 - 1, taken);
    expect(memory.room).toHaveLength(SMALL_READ_BYTES);
  });

  it('has room for a frame header in front of every read', async () => {
    const { HEAD_ROOM, ReadMemory } = await freshMemory();
    const memory = new ReadMemory();
    for (const bytes of [0, SMALL_READ_BYTES]) {
      memory.adapt(bytes, taken);
      expect(memory.room.buffer).toBe(memory.memory.buffer);
      expect(memory.room.byteOffset - memory.memory.byteOffset).toBe(HEAD_ROOM);
      expect(memory.room.length).toBe(memory.memory.length - HEAD_ROOM);
    }
  });

  it('belongs to one borrower at a time, and to the next one when it was given back', async () => {
    const { ReadMemory } = await freshMemory();
    const [one, two, three] = [new ReadMemory(), new ReadMemory(), new ReadMemory()];
    one.adapt(SMALL_READ_BYTES, taken);
    two.adapt(SMALL_READ_BYTES, taken);
    const piece = one.memory;
    expect(two.memory.buffer).not.toBe(piece.buffer);
    one.adapt(1, taken);
    three.adapt(SMALL_READ_BYTES, taken);
    expect(three.memory).toBe(piece);
    expect(one.memory.buffer).not.toBe(piece.buffer);
  });

  it('that is in use is not read into, and not lent before it is settled', async () => {
    const { ReadMemory } = await freshMemory();
    const [one, two, three] = [new ReadMemory(), new ReadMemory(), new ReadMemory()];
    one.adapt(SMALL_READ_BYTES, taken);
    const piece = one.memory;
    one.adapt(1, inUse);
    expect(one.memory).not.toBe(piece);
    two.adapt(SMALL_READ_BYTES, taken);
    expect(two.memory).not.toBe(piece);
    one.settle();
    one.settle();
    three.adapt(SMALL_READ_BYTES, taken);
    expect(three.memory).toBe(piece);
  });

  it('is not lent twice, however often it is given back', async () => {
    const { ReadMemory } = await freshMemory();
    const [one, two, three] = [new ReadMemory(), new ReadMemory(), new ReadMemory()];
    one.adapt(SMALL_READ_BYTES, taken);
    one.release();
    one.release();
    one.settle();
    one.adapt(1, taken);
    two.adapt(SMALL_READ_BYTES, taken);
    three.adapt(SMALL_READ_BYTES, taken);
    expect(two.memory.buffer).not.toBe(three.memory.buffer);
  });

  it('that was abandoned is never lent again', async () => {
    const { ReadMemory } = await freshMemory();
    const abandoned = new Set<Buffer>();
    for (const bytes of [LARGE_READ_BYTES - 1, 1]) {
      const one = new ReadMemory();
      one.adapt(SMALL_READ_BYTES, taken);
      abandoned.add(one.memory);
      one.adapt(bytes, inUse);
      one.abandon();
      one.settle();
      one.release();
      expect(one.room).toHaveLength(SMALL_READ_BYTES);
    }
    for (let i = 0; i < 5; i++) {
      const next = new ReadMemory();
      next.adapt(SMALL_READ_BYTES, taken);
      expect(abandoned.has(next.memory)).toBe(false);
    }
  });

  it('that is kept for later is a few megabytes, however much was lent', async () => {
    const { ReadMemory } = await freshMemory();
    const borrow = () =>
      Array.from({ length: 100 }, () => {
        const memory = new ReadMemory();
        memory.adapt(SMALL_READ_BYTES, taken);
        return memory;
      });
    const first = borrow();
    const pieces = new Set(first.map(({ memory }) => memory));
    expect(pieces.size).toBe(100);
    for (const memory of first) memory.release();
    const kept = borrow().filter(({ memory }) => pieces.has(memory)).length;
    expect(kept).toBeGreaterThan(0);
    expect(kept * LARGE_READ_BYTES).toBeLessThanOrEqual(4 * 1024 * 1024);
  });

  it('is given back after every read that did not fill it, when very much is lent', async () => {
    const { ReadMemory } = await freshMemory();
    const borrowers = Array.from({ length: 300 }, () => new ReadMemory());
    for (const one of borrowers) one.adapt(SMALL_READ_BYTES, taken);
    for (const one of borrowers) one.adapt(LARGE_READ_BYTES - 1, taken);
    const kept = () => borrowers.filter(({ room }) => room.length === LARGE_READ_BYTES).length;
    expect(kept()).toBe(256);
    // A stream that fills its reads goes on all the same.
    const busy = new ReadMemory();
    for (const bytes of [SMALL_READ_BYTES, LARGE_READ_BYTES]) busy.adapt(bytes, taken);
    expect(busy.room).toHaveLength(LARGE_READ_BYTES);
    // What was abandoned does not count any more, nor what was given back.
    for (const [index, one] of borrowers.entries()) index % 2 === 0 ? one.abandon() : one.release();
    busy.adapt(LARGE_READ_BYTES - 1, taken);
    expect(busy.room).toHaveLength(LARGE_READ_BYTES);
  });

  it('has one user a piece after any sequence of reads', async () => {
    const { ReadMemory } = await freshMemory();
    const users = Array.from({ length: 12 }, () => ({
      memory: new ReadMemory(),
      held: undefined as Buffer | undefined,
    }));
    let state = 1;
    const random = (below: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (state >>> 8) % below;
    };
    for (let step = 0; step < 20_000; step++) {
      const user = users[random(users.length)];
      if (user === undefined) continue;
      if (user.held !== undefined) {
        user.held = undefined;
        user.memory.settle();
      } else if (random(20) === 0) {
        user.memory.release();
        user.memory = new ReadMemory();
      } else {
        const read = user.memory.memory;
        const isHeld = random(2) === 0;
        const bytes = [1, SMALL_READ_BYTES, SMALL_READ_BYTES + 1][random(3)] ?? 0;
        user.memory.adapt(Math.min(bytes, user.memory.room.length), isHeld);
        if (isHeld) user.held = read;
      }
      const inUseNow = users.flatMap(({ memory, held }) => [
        ...new Set([memory.memory, held ?? memory.memory]),
      ]);
      expect(new Set(inUseNow).size, `step ${step}`).toBe(inUseNow.length);
    }
  });
});

describe('a connection to a target whose reads are held', () => {
  interface Held {
    readonly connection: TargetConnection;
    readonly pieces: string[];
    hold: boolean;
    /** The read in use, and what it was when it came. */
    lent: { memory: Buffer; was: Buffer } | undefined;
    received: Buffer;
  }

  async function startPair(): Promise<{ target: Socket; held: Held }> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const { port } = server.address() as AddressInfo;
    const connection = await connectTcp({ host: '127.0.0.1', port }, new AbortController().signal);
    const [target] = await accepted;
    atEnd(() => {
      connection.destroy();
      target.destroy();
      server.close();
    });
    const held: Held = { connection, pieces: [], hold: true, lent: undefined, received: Buffer.alloc(0) };
    connection.start({
      data: (memory, start, end) => {
        if (held.lent !== undefined) throw new Error('a read while the last one is in use');
        const was = Buffer.from(memory.subarray(start, end));
        held.received = Buffer.concat([held.received, was]);
        if (held.hold) held.lent = { memory: memory.subarray(start, end), was };
        return !held.hold;
      },
      drain: () => {},
      ended: () => {},
    });
    return { target, held };
  }

  function giveBack(held: Held): void {
    if (held.lent === undefined) return;
    expect(held.lent.memory.equals(held.lent.was), 'the memory that was lent is as it was').toBe(true);
    held.lent = undefined;
    held.connection.resume();
  }

  const edge = SMALL_READ_BYTES;

  it('hands on what came, whatever the sizes of the reads before it', async () => {
    // A read is as long as what is there, at most as long as its memory: small, small and full, large, large and short.
    const sizes = [
      5,
      edge,
      5,
      edge,
      edge,
      10_000,
      edge + 1,
      7,
      edge,
      edge,
      edge - 1,
      edge,
      300_000,
      1,
      edge,
      3,
    ];
    const pairs = await Promise.all(Array.from({ length: 4 }, startPair));
    const sent = pairs.map(() => Buffer.alloc(0));
    for (const [round, size] of sizes.entries()) {
      for (const [i, { target }] of pairs.entries()) {
        const bytes = Buffer.alloc(size, 1 + round * pairs.length + i);
        sent[i] = Buffer.concat([sent[i] ?? bytes, bytes]);
        target.write(bytes);
      }
      await waitFor(
        () => {
          for (const { held } of pairs) giveBack(held);
          return pairs.every(({ held }, i) => held.received.length === sent[i]?.length && !held.lent);
        },
        { what: `the bytes of round ${round}` },
      );
      for (const [i, { held }] of pairs.entries()) {
        expect(held.received.equals(sent[i] ?? held.received), `round ${round}, connection ${i}`).toBe(true);
      }
    }
  });

  it('leaves the memory alone, while others read and after the connection broke', async () => {
    const [one, two] = [await startPair(), await startPair()];
    // The first read fills the small piece, the second comes into a large one and is held there.
    for (const pair of [one, two]) {
      pair.held.hold = false;
      pair.target.write(Buffer.alloc(edge, 1));
      await waitFor(() => pair.held.received.length === edge, { what: 'the first read' });
    }
    one.held.hold = true;
    one.target.write(Buffer.alloc(500, 2));
    await waitFor(() => one.held.lent, { what: 'a held read' });
    one.target.write(Buffer.alloc(100_000, 3));
    const third = await startPair();
    third.held.hold = false;
    const flood = async (bytes: number, pairs: (typeof two)[]) => {
      for (const { target, held } of pairs) {
        const before = held.received.length;
        target.write(Buffer.alloc(bytes, 4));
        await waitFor(() => held.received.length === before + bytes, { what: 'a flood' });
      }
    };
    const { memory, was } = one.held.lent ?? { memory: Buffer.alloc(0), was: Buffer.alloc(1) };
    await flood(400_000, [two, third]);
    expect(memory.equals(was)).toBe(true);
    one.target.resetAndDestroy();
    one.held.connection.destroy();
    // Whoever comes now would get what had been given back.
    const [fourth, fifth] = [await startPair(), await startPair()];
    for (const { held } of [fourth, fifth]) held.hold = false;
    await flood(400_000, [two, third, fourth, fifth]);
    expect(memory.equals(was)).toBe(true);
  });
});
