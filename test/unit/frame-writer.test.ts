// Frames that go to browsers, read by npm's ws as a browser would: it is strict about what a server may send.

import { describe, expect, it } from 'vitest';
import * as ws from 'ws';
import { closeFrame, HEADER_ROOM, pingFrame, pongFrame, writeHeader } from '../../src/proxy/frame-writer.ts';
import { HEAD_ROOM } from '../../src/transport/read-memory.ts';

interface WsReceiver {
  on(event: string, listener: (...values: never[]) => void): this;
  write(bytes: Buffer): boolean;
}

// Exported, and missing in the types.
const { Receiver } = ws as unknown as { Receiver: new (options: object) => WsReceiver };

/** What a browser makes of these bytes. */
function readAsBrowser(...frames: Buffer[]): [event: string, ...values: (Buffer | string | number)[]][] {
  const events: [string, ...(Buffer | string | number)[]][] = [];
  const receiver = new Receiver({ isServer: false, maxPayload: 0 });
  receiver.on('message', (data: Buffer, isBinary: boolean) =>
    events.push(['message', data, Number(isBinary)]),
  );
  receiver.on('ping', (data: Buffer) => events.push(['ping', data]));
  receiver.on('pong', (data: Buffer) => events.push(['pong', data]));
  receiver.on('conclude', (code: number, reason: Buffer) => events.push(['close', code, reason.toString()]));
  receiver.on('error', (error: Error) => events.push(['error', error.message]));
  for (const bytes of frames) receiver.write(bytes);
  return events;
}

describe('the header of a binary frame', () => {
  const lengths = [
    0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 257, 1024, 32_768, 65_534, 65_535, 65_536, 65_537,
  ];

  it.each([...lengths, 131_072, 262_144, 1_000_000, 16_777_216])(
    'before %i bytes is right, and in front of it nothing is changed',
    (length) => {
      const room = 0xee;
      const memory = Buffer.alloc(HEADER_ROOM + 3 + length, room);
      for (let i = 0; i < length; i++) memory[HEADER_ROOM + 3 + i] = i % 251;
      const payload = Buffer.from(memory.subarray(HEADER_ROOM + 3));
      const start = writeHeader(memory, HEADER_ROOM + 3, length);
      // The shortest form, which ws would not insist on.
      expect(HEADER_ROOM + 3 - start).toBe(length < 126 ? 2 : length < 65_536 ? 4 : 10);
      expect(memory.subarray(0, start).every((byte) => byte === room)).toBe(true);
      const events = readAsBrowser(memory.subarray(start));
      expect(events.map(([event, , isBinary]) => [event, isBinary])).toEqual([['message', 1]]);
      expect(payload.equals(events[0]?.[1] as Buffer)).toBe(true);
    },
  );

  it('finds room in front of every read from a target', () => {
    expect(HEAD_ROOM).toBeGreaterThanOrEqual(HEADER_ROOM);
    const memory = Buffer.alloc(HEADER_ROOM + 65_536);
    expect(writeHeader(memory, HEADER_ROOM, 65_536)).toBe(0);
  });

  it('stands before every frame of many', () => {
    const frames = lengths.map((length) => {
      const memory = Buffer.alloc(HEADER_ROOM + length, length % 251);
      return memory.subarray(writeHeader(memory, HEADER_ROOM, length));
    });
    const events = readAsBrowser(Buffer.concat(frames));
    expect(events.map(([, data]) => (data as Buffer).length)).toEqual(lengths);
  });
});

describe('a Close frame', () => {
  it('has every code that may be sent', () => {
    const codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4001, 4999];
    for (const code of codes)
      expect(readAsBrowser(closeFrame(code, 'why'))).toEqual([['close', code, 'why']]);
  });

  it('of 1005 has no payload: that code must not be sent', () => {
    expect(closeFrame(1005, '')).toEqual(Buffer.from([0x88, 0]));
    expect(readAsBrowser(closeFrame(1005, 'never sent'))).toEqual([['close', 1005, '']]);
  });

  it('without a reason has a code only', () => {
    expect(readAsBrowser(closeFrame(1000, ''))).toEqual([['close', 1000, '']]);
  });

  it.each([
    ['x'.repeat(123), 123],
    ['x'.repeat(124), 123],
    ['x'.repeat(10_000), 123],
    ['ä'.repeat(100), 61],
    [`x${'€'.repeat(100)}`, 41],
    ['😀'.repeat(50), 60],
  ])('of a long reason (%#) is cut between two characters', (reason, characters) => {
    const bytes = closeFrame(1011, reason);
    expect(bytes.length).toBeLessThanOrEqual(2 + 125);
    expect(readAsBrowser(bytes)).toEqual([['close', 1011, reason.slice(0, characters)]]);
  });
});

describe('pings and pongs', () => {
  it('of us are pings without payload', () => {
    expect(readAsBrowser(pingFrame())).toEqual([['ping', Buffer.alloc(0)]]);
  });

  it('bring every payload back that a ping may have', () => {
    for (let length = 0; length <= 125; length++) {
      const data = Buffer.alloc(length, length);
      expect(readAsBrowser(pongFrame(data))).toEqual([['pong', data]]);
    }
  });

  it('may be anywhere between data and before a Close', () => {
    const memory = Buffer.alloc(HEADER_ROOM + 200, 7);
    const data = memory.subarray(writeHeader(memory, HEADER_ROOM, 200));
    const all = Buffer.concat([
      pingFrame(),
      data,
      pongFrame(Buffer.from('x')),
      data,
      closeFrame(1000, 'end'),
    ]);
    expect(readAsBrowser(all).map(([event]) => event)).toEqual([
      'ping',
      'message',
      'pong',
      'message',
      'close',
    ]);
  });
});
