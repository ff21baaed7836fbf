// The frames of the benchmark against `ws` as the other side, cut at every byte. What always holds: what the load
// generator counts is payload, all of it and nothing else.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocketServer } from 'ws';
import { Browser } from '../../bench/browser.mjs';
import {
  decodeCommand,
  decodeReceipt,
  digestOfRepeated,
  encodeCommand,
  encodeReceipt,
  greeting,
} from '../../bench/conversation.mjs';
import { FrameReader, maskedFrame } from '../../bench/frames.mjs';

const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 100_000];

function bytes(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_none, index) => (index * 31) % 253));
}

/** As a server sends it. */
function plainFrame(payload: Buffer, first = 0x82): Buffer {
  const header =
    payload.length < 126
      ? Buffer.from([first, payload.length])
      : payload.length < 65_536
        ? Buffer.from([first, 126, payload.length >> 8, payload.length & 255])
        : Buffer.from([
            first,
            127,
            0,
            0,
            0,
            0,
            0,
            payload.length >> 16,
            (payload.length >> 8) & 255,
            payload.length & 255,
          ]);
  return Buffer.concat([header, payload]);
}

function readInPieces(stream: Buffer, size: number): { payload: Buffer; pings: string[] } {
  const parts: Buffer[] = [];
  const pings: string[] = [];
  const reader = new FrameReader(
    (part) => parts.push(Buffer.from(part)),
    (ping) => pings.push(ping.toString()),
  );
  for (let at = 0; at < stream.length; at += size) reader.read(stream.subarray(at, at + size));
  return { payload: Buffer.concat(parts), pings };
}

describe('frames of a server', () => {
  const stream = Buffer.concat([
    ...lengths.map((length) => plainFrame(bytes(length))),
    plainFrame(Buffer.from('are you there'), 0x89),
    plainFrame(Buffer.alloc(0), 0x89),
    plainFrame(bytes(300)),
    plainFrame(Buffer.from([3, 232]), 0x88),
  ]);
  const wanted = Buffer.concat([...lengths, 300].map(bytes));

  it.each([1, 2, 3, 7, 64, 4096, 65_536, stream.length])('are read in pieces of %i bytes', (size) => {
    const { payload, pings } = readInPieces(stream, size);
    expect(payload.equals(wanted)).toBe(true);
    expect(pings).toEqual(['are you there', '']);
  });

  it('must not be masked', () => {
    expect(() => readInPieces(maskedFrame(bytes(5)), 1)).toThrow('masked');
  });
});

describe('a browser of the benchmark', () => {
  it('is understood by ws, and understands it', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    onTestFinished(() => server.close());
    let closed = Promise.resolve(0);
    server.on('connection', (webSocket) => {
      webSocket.send(greeting);
      webSocket.on('message', (data) => webSocket.send(data as Buffer));
      closed = once(webSocket, 'close').then(([code]) => Number(code));
    });
    await once(server, 'listening');
    const browser = await Browser.open({ port: (server.address() as AddressInfo).port, path: '/' });
    const sent = Buffer.concat(lengths.map(bytes));
    const echoed = new Promise<Buffer>((resolve) => {
      const parts: Buffer[] = [];
      browser.onPayload = (part) => {
        parts.push(Buffer.from(part));
        if (parts.reduce((sum, { length }) => sum + length, 0) === sent.length) resolve(Buffer.concat(parts));
      };
    });
    for (const length of lengths) browser.socket.write(browser.wrap(bytes(length)));
    expect((await echoed).equals(sent)).toBe(true);
    await browser.close();
    expect(await closed).toBe(1000);
  });

  it.each(['SSH-2.0-OpenSSH', 'RFB 003.008\n'])(
    'does not take %j for the greeting of the target',
    async (text) => {
      const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
      onTestFinished(() => server.close());
      server.on('connection', (webSocket) => webSocket.send(text));
      await once(server, 'listening');
      const opened = Browser.open({ port: (server.address() as AddressInfo).port, path: '/' });
      await expect(opened).rejects.toThrow('greeting');
    },
  );
});

describe('what browser and target say to each other', () => {
  it('survives the way', () => {
    expect(decodeCommand(encodeCommand('checkedSink', 2 ** 40))).toEqual({ code: 3, bytes: 2 ** 40 });
    const digest = digestOfRepeated(Buffer.from('abc'), 7);
    expect(digest.equals(digestOfRepeated(Buffer.from('abcabca'), 7))).toBe(true);
    expect(decodeReceipt(encodeReceipt(123, digest))).toEqual({ bytes: 123, digest });
  });
});
