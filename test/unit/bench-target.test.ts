// The target of the benchmark. What always holds: it opens as a browser expects it by every door, counts who came, and
// says nothing that a relay that reads RFB would not let through.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { createWebSocketStream, WebSocket } from 'ws';
import { Browser } from '../../bench/browser.mjs';
import { makeCertificates } from '../../bench/certificates.mjs';
import { findCommand, stopAll } from '../../bench/child-process.mjs';
import { encodeCommand, floodBlock, greeting, openings } from '../../bench/conversation.mjs';
import { converse } from '../../bench/converse.mjs';
import { startHelper } from '../../bench/helper.mjs';
import type { Door, Doors } from '../../bench/target.mjs';
import { ClientFilter } from '../../src/rfb/client-filter.ts';
import { ServerFilter } from '../../src/rfb/server-filter.ts';
import { temporaryFolder } from '../support/folder.ts';

afterAll(stopAll);

/** The bytes that the stream gives first, so many. */
async function firstBytes(stream: Duplex, count: number): Promise<Buffer> {
  let seen = Buffer.alloc(0);
  for await (const chunk of stream) {
    seen = Buffer.concat([seen, chunk]);
    if (seen.length >= count) break;
  }
  return seen;
}

describe('the target', () => {
  it('greets at every door, and counts who came through it', async () => {
    const folder = temporaryFolder();
    const certificates = makeCertificates(findCommand('openssl') ?? 'openssl', folder);
    const target = await startHelper('target.mjs', { folder, core: undefined });
    const doors = (await target.ask('open', { folder, certificates })) as Required<Doors>;
    const { ca, client } = certificates;
    const files = { ca: readFileSync(ca), cert: readFileSync(client.cert), key: readFileSync(client.key) };
    const host = '127.0.0.1';
    const webSocket = (url: string) => createWebSocketStream(new WebSocket(url, files));
    const enter: [Door, () => Duplex][] = [
      ['tcp', () => connect(doors.tcp, host)],
      ['ssh', () => connect(doors.ssh, '127.0.0.2')],
      ['unix', () => connect(doors.unix)],
      ['rfb', () => connect(doors.rfb, host)],
      ['tls', () => connectTls({ host, port: doors.tls, ...files })],
      ['ws', () => webSocket(`ws://${host}:${doors.ws}/vm/0`)],
      ['wss', () => webSocket(`wss://${host}:${doors.wss}/vm/0`)],
    ];
    for (const [door, open] of enter) {
      const before = (await target.ask('visits')) as Record<string, number>;
      const says = door === 'rfb' ? openings.rfb[0].says : greeting;
      expect(await firstBytes(open(), says.length), door).toEqual(says);
      expect(await target.ask('visits')).toEqual({ ...before, [door]: 1 });
    }
  });

  it('shows a browser all of the handshake where it has one, and obeys the command behind it', async () => {
    const server = createServer((socket) => socket.on('data', converse(socket, 'rfb')));
    onTestFinished(() => void server.close());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const browser = await Browser.open({ port, opening: 'rfb' });
    const length = floodBlock.length + 100;
    const flood = new Promise<Buffer>((resolve, reject) => {
      let got = Buffer.alloc(0);
      browser.onFailure = reject;
      browser.onPayload = (part) => {
        got = Buffer.concat([got, part]);
        if (got.length === length) resolve(got);
      };
    });
    browser.socket.write(encodeCommand('flood', length));
    expect((await flood).equals(Buffer.concat([floodBlock, floodBlock.subarray(0, 100)]))).toBe(true);
    await browser.close();
  });
});

describe('what browser and target say', () => {
  it('passes a filter of the messages of the target, however they are cut', () => {
    const stream = Buffer.concat([openings.rfb[3].says, floodBlock, floodBlock]);
    for (const size of [stream.length, 1000, 1]) {
      const filter = new ServerFilter();
      for (let at = 0; at < stream.length; at += size) {
        const piece = stream.subarray(at, at + size);
        expect(filter.keep(Buffer.from(piece), 0, piece.length)).toBe(piece.length);
      }
      expect(filter.isBetweenMessages).toBe(true);
    }
  });

  it('passes a filter of the messages of the browser', () => {
    const filter = new ClientFilter({ viewOnly: false, clipboard: 'off', pixelFormatSet: undefined });
    const command = encodeCommand('flood', 2 ** 40);
    const passed = Buffer.concat(filter.push(Buffer.concat([Buffer.of(1), command])));
    expect(passed.equals(Buffer.concat([Buffer.of(1), command]))).toBe(true);
  });
});
