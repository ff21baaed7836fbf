// Peers that send nothing, or very slowly: they lose their connections, and others are served meanwhile.
// Slow by nature, for the limits are what is tested; all of them wait at the same time.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { makePki } from '../support/certificates.ts';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { atEnd } from '../support/lifetime.ts';
import { greet } from '../support/vnc-target.ts';
import { within } from '../support/wait.ts';

let plain: Consoles;
let both: Consoles;

beforeAll(async () => {
  const { server } = await makePki();
  plain = await startConsoles();
  both = await startConsoles({
    flags: { vnc_proxy_support_wss: 'yes', vnc_proxy_cert: server.cert, vnc_proxy_key: server.key },
  });
});

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  atEnd(() => void socket.destroy());
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  return socket;
}

/** Sends `text`, then one byte of `more` a second, over and over. */
function drip(socket: Socket, text: string, more: string): void {
  socket.write(text);
  let sent = 0;
  const timer = setInterval(() => socket.write(more.charAt(sent++ % more.length)), 1_000);
  socket.once('close', () => clearInterval(timer));
}

describe.concurrent('a peer', () => {
  it.for<[string, () => number, (socket: Socket) => void]>([
    ['that sends nothing to the XML-RPC port', () => plain.service.rpcPort, () => {}],
    ['that sends nothing to the proxy', () => plain.service.proxyPort, () => {}],
    ['that sends nothing where plain and TLS share a port', () => both.service.proxyPort, () => {}],
    [
      'that begins a TLS handshake and stops',
      () => both.service.proxyPort,
      (socket) => void socket.write(Buffer.from([22, 3, 1])),
    ],
    [
      'that sends its headers byte by byte',
      () => plain.service.proxyPort,
      (socket) => drip(socket, 'GET / HTTP/1.1\r\nHost: x\r\n', 'X-Slow: y\r\n'),
    ],
    [
      'that sends its upgrade byte by byte where plain and TLS share a port',
      () => both.service.proxyPort,
      (socket) => drip(socket, 'GET / HTTP/1.1\r\nUpgrade: websocket\r\n', 'X-Slow: y\r\n'),
    ],
    [
      'that sends its XML byte by byte',
      () => plain.service.rpcPort,
      (socket) =>
        drip(socket, 'POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n', '<?xml version'),
    ],
  ])('%s is closed', { timeout: 60_000 }, async ([, port, behave], { expect: check }) => {
    const socket = await open(port());
    behave(socket);
    await within(once(socket, 'close'), { what: 'the service to close the connection', deadlineMs: 45_000 });
    check(socket.destroyed).toBe(true);
  });
});

describe('a thousand connections that send nothing', () => {
  it('leave room for calls and consoles', async () => {
    const ports = [plain.service.rpcPort, plain.service.proxyPort];
    for (const port of ports) await Promise.all(Array.from({ length: 1_000 }, () => open(port)));
    const { token } = await plain.console(greet);
    expect((await plain.open(token)).status).toBe(101);
  });
});
