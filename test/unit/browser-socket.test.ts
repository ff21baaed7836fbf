// The browser's end of a console over a stream whose writes complete when the test says so: what send() and `drain`
// say about the memory that was lent, whatever else is written in between.
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BrowserSocket } from '../../src/proxy/browser-socket.ts';
import { HEADER_ROOM } from '../../src/proxy/frame-writer.ts';
import { closePayload, frame, opcode } from '../support/ws-client.ts';

/** Takes a write only when told to. */
class SlowStream extends Duplex {
  readonly written: Buffer[] = [];
  private pending: (() => void) | undefined;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(chunk);
    this.pending = done;
  }

  setTimeout(): void {}
  setNoDelay(): void {}

  get stuck(): boolean {
    return this.pending !== undefined;
  }

  takeOne(): void {
    const { pending } = this;
    this.pending = undefined;
    pending?.();
  }

  async takeAll(): Promise<void> {
    for (; this.stuck; await nextTurn()) this.takeOne();
  }
}

function start() {
  const stream = new SlowStream();
  const browser = new BrowserSocket();
  const said: string[] = [];
  browser.setSocket(stream as unknown as Socket, Buffer.alloc(0));
  browser.listen({
    data: (bytes) => said.push(`data ${bytes}`),
    drain: () => said.push(`drain with ${stream.writableLength} bytes waiting`),
    alive: () => {},
    left: (why) => said.push(why),
    closed: () => said.push('closed'),
  });
  const send = (length: number) =>
    browser.send(Buffer.alloc(HEADER_ROOM + length), HEADER_ROOM, HEADER_ROOM + length);
  return { stream, browser, said, send };
}

const drained = ['drain with 0 bytes waiting'];

describe('a send that was not taken whole', () => {
  it.each([1, 125, 126, 1024, 16_384, 65_536, 262_144])(
    'of %i bytes says no, and drain follows when all is taken, not before',
    async (length) => {
      const { stream, said, send } = start();
      expect(send(length)).toBe(false);
      await nextTurn();
      expect(said).toEqual([]);
      await stream.takeAll();
      expect(said).toEqual(drained);
    },
  );

  it.each([0, 1, 2, 3])(
    'is followed by drain when pings go out after %i writes were taken',
    async (taken) => {
      const { stream, browser, said, send } = start();
      expect(send(100)).toBe(false);
      for (let i = 0; i < taken; i++) {
        stream.takeOne();
        browser.ping();
      }
      browser.ping();
      await stream.takeAll();
      expect(said).toEqual(drained);
    },
  );

  it.each([100, 100_000])('of %i bytes drains while pings of the browser are answered', async (length) => {
    const { stream, said, send } = start();
    expect(send(length)).toBe(false);
    for (let i = 0; i < 5; i++) {
      stream.push(frame({ opcode: opcode.ping, payload: 'there?' }));
      await nextTurn();
      stream.takeOne();
    }
    await stream.takeAll();
    expect(said).toEqual(drained);
  });

  it.each([100, 100_000])('of %i bytes tells no drain when the connection breaks', async (length) => {
    const { stream, said, send } = start();
    expect(send(length)).toBe(false);
    stream.destroy();
    await nextTurn();
    expect(said).toEqual(['closed']);
  });
});

describe('a browser that closes while it is being sent to', () => {
  it.each([100, 100_000])('of %i bytes gets them all and its Close frame', async (length) => {
    const { stream, said, send } = start();
    send(length);
    stream.push(frame({ opcode: opcode.close, payload: closePayload(3000) }));
    await nextTurn();
    await stream.takeAll();
    const written = Buffer.concat(stream.written);
    expect(written.subarray(-4)).toEqual(Buffer.from([0x88, 2, 3000 >> 8, 3000 & 0xff]));
    expect(stream.writableFinished).toBe(true);
    expect(said).toEqual(['the browser left with close code 3000']);
    stream.destroy();
  });
});

describe('a send that was taken whole', () => {
  it('says yes, and no drain follows', async () => {
    const { stream, said, send } = start();
    stream._write = (_chunk, _encoding, done) => done();
    expect(send(1000)).toBe(true);
    await nextTurn();
    expect(said).toEqual([]);
  });
});
