// What every way to a target has to do, whatever lies between: real bytes, through a front, to a server of the tests.
// What always holds: nothing is lost, nothing comes twice, nothing waits without a bound, and no socket stays behind.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { LARGE_READ_BYTES, TARGET_QUEUE_BYTES } from '../../src/high-water.ts';
import type { TargetConnection } from '../../src/transport/transport.ts';
import { atEnd } from '../support/lifetime.ts';
import { seededRandom } from '../support/random.ts';
import { TargetReader } from '../support/target-reader.ts';
import { type TransportKind, type TransportUnderTest, transportKinds } from '../support/transports.ts';
import {
  type Behaviour,
  floodBytes,
  greet,
  greetAndEcho,
  greetAndFlood,
  greetAndHalfClose,
  greetAndReset,
  greetAndStall,
  greetWith,
  rfbGreeting,
  silent,
  startVncTarget,
  type VncTarget,
} from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';

const kilobyte = 1024;
const megabyte = 1024 * kilobyte;
const never = new AbortController().signal;

interface Opened {
  way: TransportUnderTest;
  vnc: VncTarget;
  connection: TargetConnection;
  reader: TargetReader;
}

async function open(kind: TransportKind, behaviour: Behaviour): Promise<Opened> {
  const vnc = await startVncTarget(behaviour);
  const way = await kind.start(vnc);
  const connection = await way.connect(way.target, never);
  atEnd(() => connection.destroy());
  return { way, vnc, connection, reader: new TargetReader(connection) };
}

/** Writes, and waits for the drain wherever a write says no. */
async function writeAll({ connection, reader }: Opened, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    const { drains } = reader;
    if (!connection.write(piece)) {
      await waitFor(() => reader.drains > drains, { what: 'a drain', deadlineMs: 20_000 });
    }
  }
}

/** Writes until a write says no. @returns how many bytes that took */
async function fill({ connection }: Opened, piece: Buffer): Promise<number> {
  for (let bytes = 0; bytes < 128 * megabyte; ) {
    const taken = connection.write(piece);
    bytes += piece.length;
    if (!taken) return bytes;
    await nextTurn();
  }
  throw new Error('no write ever said no');
}

/** Waits until a count has not moved for a while. */
async function standstill(count: () => number): Promise<number> {
  let seen = -1;
  let since = 0;
  await waitFor(
    () => {
      if (count() !== seen) since = performance.now();
      seen = count();
      return seen > 0 && performance.now() - since > 300;
    },
    { what: 'a standstill', deadlineMs: 20_000 },
  );
  return seen;
}

function wellBehaved({ reader }: Opened): void {
  expect(reader.breaches).toEqual([]);
}

describe.each(transportKinds)('by $name a target', (kind) => {
  it('is heard from its first byte on, and not before somebody listens', async () => {
    const opened = await open(kind, greet);
    await opened.vnc.connection();
    const late = new Promise((resolve) => setTimeout(resolve, 60));
    await late;
    expect(opened.reader.receivedBytes).toBe(0);
    opened.reader.start();
    expect((await opened.reader.waitForBytes(rfbGreeting.length)).toString()).toBe(rfbGreeting);
    expect(opened.reader.ends).toEqual([]);
    wellBehaved(opened);
  });

  it('sends and gets every byte as it was, in whatever pieces, while the reader stops now and then', async () => {
    const opened = await open(kind, greetAndEcho);
    const { reader } = opened;
    const random = seededRandom(5);
    const sent: Buffer[] = [];
    for (let total = 0; total < 3 * megabyte; ) {
      const most = [8, 1025, 20_000, 300_000][random(4)] ?? 1;
      const piece = Buffer.from(Array.from({ length: 64 }, () => random(256)));
      sent.push(Buffer.alloc(1 + random(most), piece));
      total += sent.at(-1)?.length ?? 0;
    }
    const whole = Buffer.concat([Buffer.from(rfbGreeting), ...sent]);
    reader.start();
    let pieces = 0;
    const stopAndGo = setInterval(() => {
      reader.hold = ++pieces % 3 !== 0;
      reader.giveBack();
    }, 1);
    atEnd(() => clearInterval(stopAndGo));
    await writeAll(opened, sent);
    const received = await reader.waitForBytes(whole.length);
    expect(received.equals(whole)).toBe(true);
    wellBehaved(opened);
  });

  it('is not read on while the last piece is in use, and loses nothing by it', async () => {
    const bytes = 64 * megabyte;
    const opened = await open(kind, greetAndFlood(bytes));
    const { reader, vnc } = opened;
    reader.hold = true;
    reader.start();
    await waitFor(() => reader.isHolding, { what: 'a piece' });
    const target = (await vnc.connection()).socket;
    const sent = await standstill(() => target.bytesWritten - target.writableLength);
    // What the kernel and the front keep on the way; our own part is a small one of it.
    expect(sent).toBeLessThan(40 * megabyte);
    expect(reader.receivedBytes).toBeLessThanOrEqual(LARGE_READ_BYTES);
    wellBehaved(opened);
    reader.flow();
    const received = await reader.waitForBytes(rfbGreeting.length + bytes);
    expect(received.subarray(rfbGreeting.length).equals(floodBytes(0, bytes))).toBe(true);
    expect(await reader.waitForEnd()).toBe('the target closed the connection');
    expect(reader.ends).toHaveLength(1);
    wellBehaved(opened);
  });

  it('that does not read is written to no further than a bound, and drains once when it reads', async () => {
    const opened = await open(kind, greetAndStall);
    const { reader, vnc } = opened;
    reader.start();
    await reader.waitForBytes(rfbGreeting.length);
    const piece = Buffer.alloc(64 * kilobyte);
    for (let at = 0; at < piece.length; at++) piece[at] = at % 251;
    const written = await fill(opened, piece);
    expect(written).toBeGreaterThan(TARGET_QUEUE_BYTES);
    expect(reader.drains).toBe(0);
    const target = await vnc.connection();
    target.socket.resume();
    const got = await target.waitForBytes(written);
    expect(got.equals(Buffer.alloc(written, piece))).toBe(true);
    await waitFor(() => reader.drains > 0, { what: 'the drain' });
    expect(reader.drains).toBe(1);
  });

  it('says nothing of a drain where no write said no', async () => {
    const opened = await open(kind, greetAndEcho);
    const { reader, connection } = opened;
    reader.start();
    let bytes = rfbGreeting.length;
    for (let i = 0; i < 20; i++) {
      const piece = Buffer.alloc(40 * kilobyte, i);
      expect(connection.write(piece)).toBe(true);
      bytes += piece.length;
      await reader.waitForBytes(bytes);
    }
    expect(reader.drains).toBe(0);
  });

  it('that ends its side is heard to the end, and hears the other side to its end', async () => {
    const lastWords = floodBytes(0, 300_000);
    const opened = await open(kind, greetAndHalfClose(lastWords));
    const { reader, vnc, connection } = opened;
    reader.hold = true;
    connection.write(Buffer.from('said before'));
    reader.start();
    const target = await vnc.connection();
    await target.waitForBytes('said before'.length);
    // Slowly, so that the end is known long before the last byte is handed on.
    const slow = setInterval(() => reader.giveBack(), 5);
    atEnd(() => clearInterval(slow));
    expect(await reader.waitForEnd()).toBe('the target closed the connection');
    expect(reader.received().equals(Buffer.concat([Buffer.from(rfbGreeting), lastWords]))).toBe(true);
    connection.end();
    await waitFor(() => target.closed(), { what: 'the end at the target' });
    expect(target.received().toString()).toBe('said before');
    expect(reader.ends).toHaveLength(1);
    wellBehaved(opened);
  });

  it('that resets the connection is told as an end, once', async () => {
    const opened = await open(kind, greetAndReset);
    const { reader, connection } = opened;
    reader.start();
    await reader.waitForBytes(rfbGreeting.length);
    connection.write(Buffer.from('x'));
    expect(await reader.waitForEnd()).not.toBe('');
    expect(connection.write(Buffer.from('for nobody'))).toBe(true);
    connection.resume();
    connection.end();
    connection.destroy();
    await nextTurn();
    expect(reader.ends).toHaveLength(1);
    wellBehaved(opened);
  });

  it('gets what was written before end(), and then the end', async () => {
    const opened = await open(kind, greetAndStall);
    const { reader, vnc, connection, way } = opened;
    reader.start();
    await reader.waitForBytes(rfbGreeting.length);
    const bytes = floodBytes(3, 3 * megabyte);
    for (let at = 0; at < bytes.length; at += 50_000) connection.write(bytes.subarray(at, at + 50_000));
    connection.end();
    const target = await vnc.connection();
    target.socket.resume();
    const got = await target.waitForBytes(bytes.length);
    expect(got.equals(bytes)).toBe(true);
    await waitFor(() => target.closed() && way.openAtFront() === 0, { what: 'the end of the connection' });
    expect(reader.ends).toEqual([]);
  });

  it('that never reads keeps the connection a few seconds after end(), and what it did not read is lost', async () => {
    const opened = await open(kind, greetAndStall);
    const { reader, vnc, connection } = opened;
    reader.start();
    await reader.waitForBytes(rfbGreeting.length);
    const written = await fill(opened, Buffer.alloc(64 * kilobyte));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    atEnd(() => {
      vi.useRealTimers();
    });
    connection.end();
    vi.advanceTimersByTime(5_000);
    vi.useRealTimers();
    const target = await vnc.connection();
    // What is in the kernel's hands goes out; what was in ours does not.
    await nextTurn();
    target.socket.resume();
    await waitFor(() => target.closed(), { what: 'the end at the target' });
    expect(target.receivedBytes()).toBeLessThan(written);
    expect(reader.ends).toEqual([]);
  });

  it('that floods meanwhile hears end() as well', async () => {
    const opened = await open(kind, greetAndFlood(1_000 * megabyte));
    const { reader, connection, way } = opened;
    reader.hold = true;
    reader.start();
    await waitFor(() => reader.isHolding, { what: 'a piece' });
    connection.end();
    await waitFor(() => way.openAtFront() === 0, { what: 'the end of the connection', deadlineMs: 20_000 });
    reader.giveBack();
    expect(reader.ends).toEqual([]);
    wellBehaved(opened);
  });

  it('is let go at once by destroy(), and says nothing more', async () => {
    const opened = await open(kind, greet);
    const { reader, vnc, connection, way } = opened;
    reader.start();
    await reader.waitForBytes(rfbGreeting.length);
    connection.destroy();
    const target = await vnc.connection();
    await waitFor(() => target.closed() && way.openAtFront() === 0, { what: 'the end of the connection' });
    connection.write(Buffer.from('x'));
    connection.end();
    expect(reader.ends).toEqual([]);
  });

  it('that left before anybody listened is told all the same', async () => {
    const opened = await open(kind, greetWith(''));
    const target = await opened.vnc.connection();
    target.socket.resetAndDestroy();
    await waitFor(() => opened.way.openAtFront() === 0, { what: 'the end of the connection' });
    opened.reader.start();
    await opened.reader.waitForEnd();
    expect(opened.reader.ends).toHaveLength(1);
  });

  it('that is not there is an error that says so', async () => {
    const way = await kind.start(await startVncTarget(silent));
    const failed = await way.nobody.connect(way.target, never).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(GatewayError);
    expect((failed as GatewayError).code).toBe('target-failed');
    expect((failed as GatewayError).detail).toMatch(/^target /);
    expect((failed as GatewayError).detail).toMatch(way.nobody.says);
  });

  it('leaves no socket behind when the attempt is called off, whenever that is', async () => {
    const vnc = await startVncTarget(greet);
    const way = await kind.start(vnc);
    const moments: (() => Promise<unknown>)[] = [
      async () => {},
      () => nextTurn(),
      ...[1, 2, 3, 5, 8, 13].map((ms) => () => new Promise((resolve) => setTimeout(resolve, ms))),
    ];
    let calledOff = 0;
    for (const moment of moments) {
      const attempt = new AbortController();
      const connecting = way.connect(way.target, attempt.signal);
      const settled = connecting.then(
        (connection) => connection.destroy(),
        (error: unknown) => {
          expect(error).toBe(attempt.signal.reason);
          calledOff++;
        },
      );
      await moment();
      attempt.abort(new Error('called off'));
      await settled;
    }
    expect(calledOff).toBeGreaterThan(0);
    await expect(way.connect(way.target, AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
    await waitFor(() => way.openAtFront() === 0, { what: 'the end of all attempts' });
  });
});
