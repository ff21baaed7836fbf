// The bound on a reply that nobody reads, on a server of its own with a short limit.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, it } from 'vitest';
import { limitReply } from '../../src/http-limits.ts';
import { atEnd } from '../support/lifetime.ts';
import { within } from '../support/wait.ts';

it.each([
  ['one', 1],
  ['several, of which most wait behind the first', 5],
])('a peer that asks for %s and never reads loses its connection', async (_what, requests) => {
  const server = createServer((_request, response) => {
    limitReply(response, 200);
    response.end(Buffer.alloc(64 * 1024 * 1024));
  });
  atEnd(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  atEnd(() => void socket.destroy());
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(requests));
  const [atServer] = await accepted;
  await within(once(atServer, 'close'), { what: 'the server to close the connection' });
  expect(atServer.destroyed).toBe(true);
});
