// Connections to the XML-RPC listener: so many of an address, and what comes on another one is no call.
import { createServer, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { TrustedProxies } from '../../src/client-address.ts';
import { limitConnections } from '../../src/rpc/connections.ts';
import { atEnd } from '../support/lifetime.ts';
import { waitFor } from '../support/wait.ts';

const MAX = 512;

async function startServer(isExempt: boolean) {
  const refusals: string[] = [];
  const served: string[] = [];
  const server = createServer((incoming, response) => {
    if (isRefused(incoming.socket)) incoming.socket.destroy();
    else served.push(incoming.url ?? '');
    response.end('ok');
  });
  const isRefused = limitConnections(server, {
    isExempt: () => isExempt,
    trustedProxies: () => new TrustedProxies([]),
    onRefusal: (client) => refusals.push(client),
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sockets: Socket[] = [];
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const open = async () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
    await new Promise((resolve) => socket.once('connect', resolve));
    return socket;
  };
  return { port, open, refusals, served, sockets };
}

it('are bounded for an address; one that is closed makes room', async () => {
  const server = await startServer(false);
  for (let i = 0; i < MAX; i++) await server.open();
  const last = await server.open();
  let told = '';
  last.on('data', (data: Buffer) => {
    told += data.toString();
  });
  last.write('GET /call HTTP/1.1\r\nHost: x\r\n\r\n');
  await waitFor(() => told !== '', { what: 'the refusal' });
  expect(told).toMatch(/^HTTP\/1\.1 429 .*\r\nConnection: close\r\n/s);
  expect(server.refusals).toEqual(['127.0.0.1']);
  expect(server.served).toEqual([]);
  server.sockets[0]?.destroy();
  await waitFor(
    () =>
      new Promise((resolve) => {
        const again = request({ port: server.port, agent: false }, ({ statusCode }) =>
          resolve(statusCode === 200),
        );
        again.on('error', () => resolve(false));
        again.end();
      }),
    { what: 'room for another' },
  );
});

it('of a proxy, or of this host itself, are not counted', async () => {
  const server = await startServer(true);
  for (let i = 0; i < MAX + 10; i++) await server.open();
  expect(server.refusals).toEqual([]);
});
