// Latency and back-pressure of one session, without sockets: a small message has left for the other side when the call
// that brought it returns, in the same turn of the event loop; a slow side stops the reading of the other.
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BrowserSocket } from '../../src/proxy/browser-socket.ts';
import { FrameReader } from '../../src/proxy/frame-reader.ts';
import { Relay } from '../../src/proxy/relay.ts';
import { Session } from '../../src/proxy/session.ts';
import type { TargetConnection, TargetEvents } from '../../src/transport/transport.ts';
import { atEnd } from '../support/lifetime.ts';
import { rfbGreeting } from '../support/vnc-target.ts';
import { frame } from '../support/ws-client.ts';

class FakeTarget implements TargetConnection {
  readonly written: string[] = [];
  isSlow = false;
  resumed = 0;
  events: TargetEvents | undefined;

  start(events: TargetEvents): void {
    this.events = events;
  }

  resume(): void {
    this.resumed++;
  }

  write(bytes: Buffer): boolean {
    this.written.push(bytes.toString());
    return !this.isSlow;
  }

  end(): void {}
  destroy(): void {}

  /** @returns whether the memory is free again */
  send(text: string): boolean {
    const memory = Buffer.from(`${' '.repeat(16)}${text}`);
    return this.events?.data(memory, 16, memory.length) ?? false;
  }
}

/** The socket of a browser that takes what it gets, or nothing as long as it is slow. */
class FakeSocket extends Duplex {
  readonly written: Buffer[] = [];
  isSlow = false;
  private pending: (() => void) | undefined;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(chunk);
    if (this.isSlow) this.pending = done;
    else done();
  }

  setTimeout(): void {}
  setNoDelay(): void {}

  takeAll(): void {
    this.isSlow = false;
    this.pending?.();
  }
}

async function startSession() {
  const socket = new FakeSocket();
  const target = new FakeTarget();
  const browser = new BrowserSocket();
  browser.setSocket(socket as unknown as Socket, Buffer.alloc(0));
  const session = new Session({
    browser,
    tellsInRfb: false,
    grant: {
      vmId: 1,
      target: { host: '127.0.0.1', port: 5900 },
      uid: 0,
      user: 'oneadmin',
      issuedAt: 0,
      expiresAt: 1,
    },
    vnc: undefined,
    connect: async () => target,
    secure: async (connection) => connection,
    settings: { pingIntervalMs: 60_000, connectTimeoutMs: 60_000 },
    onEnd: () => {},
    onClosed: () => {},
  });
  atEnd(() => session.terminate());
  session.start();
  await nextTurn();
  target.send(rfbGreeting);
  await nextTurn();
  expect(Buffer.concat(socket.written).subarray(2).toString()).toBe(rfbGreeting);
  socket.written.length = 0;
  return { socket, target, session };
}

describe('a small message', () => {
  it('of the browser has been written to the target when it has been read', async () => {
    const { socket, target } = await startSession();
    for (const text of ['k', 'key', 'x'.repeat(1000)]) {
      target.written.length = 0;
      socket.push(frame({ payload: text }));
      expect(target.written).toEqual([text]);
    }
  });

  it('of the browser is written at once also where the frame came in two reads', async () => {
    const { socket, target } = await startSession();
    const bytes = frame({ payload: 'key' });
    socket.push(bytes.subarray(0, 4));
    socket.push(bytes.subarray(4, 7));
    expect(target.written).toEqual(['k']);
    socket.push(bytes.subarray(7));
    expect(target.written).toEqual(['k', 'ey']);
  });

  it('of the target has been written to the browser when it has been handed on', async () => {
    const { socket, target } = await startSession();
    for (const text of ['p', 'picture', 'x'.repeat(1000)]) {
      socket.written.length = 0;
      expect(target.send(text)).toBe(true);
      expect(socket.written).toHaveLength(1);
      expect(socket.written[0]?.subarray(text.length < 126 ? 2 : 4).toString()).toBe(text);
    }
  });

  it('goes from the reader of frames to the target in the same call', () => {
    const target = new FakeTarget();
    const relay = new Relay(new BrowserSocket(), target);
    const never = () => {
      throw new Error('no such event was expected');
    };
    const reader = new FrameReader({
      onPayload: (bytes) => relay.toTarget(bytes),
      onPing: never,
      onPong: never,
      onClose: never,
      onViolation: never,
    });
    reader.read(Buffer.concat([frame({ payload: 'one' }), frame({ payload: 'two' })]));
    expect(target.written).toEqual(['onetwo']);
    expect(relay.bytesToTarget).toBe(6);
  });
});

describe('a slow side', () => {
  it('of targets stops the browser from being read until it drains, in order and without loss', async () => {
    const { socket, target } = await startSession();
    target.isSlow = true;
    socket.push(frame({ payload: 'one' }));
    expect(socket.isPaused()).toBe(true);
    socket.push(frame({ payload: 'two' }));
    await nextTurn();
    expect(target.written).toEqual(['one']);
    target.isSlow = false;
    target.events?.drain();
    await nextTurn();
    expect(socket.isPaused()).toBe(false);
    expect(target.written).toEqual(['one', 'two']);
  });

  it('of browsers holds the memory of the target until all of it has been taken', async () => {
    const { socket, target } = await startSession();
    socket.isSlow = true;
    const before = target.resumed;
    expect(target.send('picture')).toBe(false);
    await nextTurn();
    expect(target.resumed).toBe(before);
    socket.takeAll();
    await nextTurn();
    expect(target.resumed).toBe(before + 1);
    expect(target.send('next')).toBe(true);
  });
});
