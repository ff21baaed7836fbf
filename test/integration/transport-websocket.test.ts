// WebSockets that misbehave as a target: what is refused, what is cut off, and what is said about it.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import { ownOrigin } from '../../src/transport/websocket.ts';
import { connectBy } from '../support/connect-by.ts';
import { atEnd } from '../support/lifetime.ts';
import { TargetReader } from '../support/target-reader.ts';
import { greet, greetWith, rfbGreeting, silent, startVncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';

const never = new AbortController().signal;
const megabyte = 1024 * 1024;

interface Gate {
  port: number;
  sockets: WebSocket[];
  requests: { url: string; headers: Record<string, unknown> }[];
}

async function startGate(behaviour: (socket: WebSocket) => void, options: ServerOptions = {}): Promise<Gate> {
  const server = createServer();
  const gate: Gate = { port: 0, sockets: [], requests: [] };
  const sockets = new WebSocketServer({ server, ...options });
  sockets.on('connection', (socket, request) => {
    gate.sockets.push(socket);
    gate.requests.push({ url: request.url ?? '', headers: request.headers });
    socket.on('error', () => undefined);
    behaviour(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  gate.port = (server.address() as AddressInfo).port;
  atEnd(() => {
    for (const socket of gate.sockets) socket.terminate();
    server.close();
  });
  return gate;
}

async function open(gate: Gate, members: object = {}) {
  const connection = await connectBy({ via: 'ws', ...members })(
    { host: '127.0.0.1', port: gate.port, vmId: 7 },
    never,
  );
  atEnd(() => connection.destroy());
  return { connection, reader: new TargetReader(connection).start() };
}

describe('the handshake', () => {
  it('asks for the subprotocol binary, for no compression, and for the path of the VM', async () => {
    const gate = await startGate(() => undefined, { perMessageDeflate: true });
    await open(gate, { path: '/vm/%i?port=%p&x=%20' });
    const [request] = gate.requests;
    expect(request?.url).toBe(`/vm/7?port=${gate.port}&x=%20`);
    expect(request?.headers).toMatchObject({
      host: `127.0.0.1:${gate.port}`,
      'sec-websocket-protocol': 'binary',
      origin: `http://127.0.0.1:${gate.port}`,
    });
    expect(request?.headers).not.toHaveProperty('sec-websocket-extensions');
  });

  it.each(['https://portal.example.com', 'null'])(
    'says that it comes from %s where the rule does',
    async (origin) => {
      const gate = await startGate(() => undefined);
      await open(gate, { origin });
      expect(gate.requests[0]?.headers).toMatchObject({ host: `127.0.0.1:${gate.port}`, origin });
    },
  );

  it.each([
    ['ws://node1:6080/vm?x', 'http://node1:6080'],
    ['ws://Node1:80/', 'http://node1'],
    ['ws://node1:443/', 'http://node1:443'],
    ['wss://node1:443/vm/7', 'https://node1'],
    ['wss://node1:80/', 'https://node1:80'],
    ['ws://10.0.0.1:5707/', 'http://10.0.0.1:5707'],
    ['wss://[2001:DB8::1]:6080/', 'https://[2001:db8::1]:6080'],
    ['ws://[2001:db8::1]:80/', 'http://[2001:db8::1]'],
  ])('of %s comes from %s', (url, origin) => {
    expect(ownOrigin(new URL(url))).toBe(origin);
  });

  it('fails with a server that does not take the subprotocol', async () => {
    const gate = await startGate(() => undefined, { handleProtocols: () => false });
    await expect(open(gate)).rejects.toThrow(/WebSocket \/: .*no subprotocol/i);
  });

  it('fails with a VNC server, and with one that says nothing and goes', async () => {
    const vnc = await startVncTarget(greet);
    await expect(open({ port: vnc.port, sockets: [], requests: [] })).rejects.toThrow(/WebSocket \/: /);
    const mute = await startVncTarget((socket) => {
      silent(socket);
      socket.end();
    });
    await expect(open({ port: mute.port, sockets: [], requests: [] })).rejects.toThrow(/WebSocket \/: /);
  });

  it('does not follow a redirection', async () => {
    const elsewhere = await startVncTarget(silent);
    const head = `HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:${elsewhere.port}/\r\nContent-Length: 0\r\n\r\n`;
    const { port } = await startVncTarget(greetWith(head));
    await expect(open({ port, sockets: [], requests: [] })).rejects.toThrow(/302/);
    expect(elsewhere.connections).toEqual([]);
  });

  it('reads an endless head only so far', async () => {
    const { port } = await startVncTarget((socket) => {
      socket.on('error', () => undefined);
      socket.write('HTTP/1.1 101 Switching Protocols\r\n');
      const more = () => {
        while (socket.writable && socket.write('X-Endless: yes, very much so\r\n'.repeat(1000)));
      };
      socket.on('drain', more);
      socket.resume();
      more();
    });
    await expect(open({ port, sockets: [], requests: [] })).rejects.toThrow(/WebSocket \/: /);
  });
});

describe('the connection', () => {
  it('hands on what came in the same packet as the answer', async () => {
    const gate = await startGate((socket) => socket.send(Buffer.from(rfbGreeting)));
    const { reader } = await open(gate);
    expect((await reader.waitForBytes(rfbGreeting.length)).toString()).toBe(rfbGreeting);
  });

  it('ends with a reason at a text message, and no byte of it is handed on', async () => {
    const gate = await startGate((socket) => {
      socket.send(Buffer.from('one'));
      socket.send('two');
      socket.send(Buffer.from('three'));
    });
    const { reader } = await open(gate);
    expect(await reader.waitForEnd()).toBe(
      'the connection to the target broke: a text message on its WebSocket',
    );
    expect('one'.startsWith(reader.received().toString())).toBe(true);
  });

  it('ends with a reason at a message that is larger than any', async () => {
    const gate = await startGate((socket) => socket.send(Buffer.alloc(5 * megabyte)));
    const { reader } = await open(gate);
    expect(await reader.waitForEnd()).toMatch(/WS_ERR_UNSUPPORTED_MESSAGE_LENGTH/);
    expect(reader.receivedBytes).toBe(0);
  });

  it('takes large messages in pieces', async () => {
    const bytes = Buffer.alloc(3 * megabyte, 'abcdefg');
    const gate = await startGate((socket) => socket.send(bytes));
    const { reader } = await open(gate);
    expect((await reader.waitForBytes(bytes.length)).equals(bytes)).toBe(true);
    expect(reader.breaches).toEqual([]);
  });

  it.each([
    [1000, 'the target closed the connection'],
    [1001, 'the target closed the connection'],
    [undefined, 'the target closed the connection'],
    [1011, 'the target ended its WebSocket with close code 1011'],
    [4004, 'the target ended its WebSocket with close code 4004'],
  ])('tells close code %s after all that came before it', async (code, said) => {
    const bytes = Buffer.alloc(200_000, 'abcdefg');
    const gate = await startGate((socket) => {
      socket.send(bytes);
      socket.close(code, 'words of the target');
    });
    const { reader } = await open(gate);
    expect(await reader.waitForEnd()).toBe(said);
    expect(reader.received().equals(bytes)).toBe(true);
  });

  it('tells that it broke where there was no Close', async () => {
    const gate = await startGate(() => undefined);
    const { reader } = await open(gate);
    gate.sockets[0]?.terminate();
    expect(await reader.waitForEnd()).toBe('the target ended its WebSocket with close code 1006');
  });

  it('says good-bye with 1000 behind the last bytes', async () => {
    const gate = await startGate(() => undefined);
    const { connection } = await open(gate);
    const [socket] = gate.sockets;
    const closed = once(socket as WebSocket, 'close');
    const messages: Buffer[] = [];
    socket?.on('message', (message: Buffer, isBinary: boolean) => {
      expect(isBinary).toBe(true);
      messages.push(message);
    });
    connection.write(Buffer.from('last '));
    connection.write(Buffer.from('words'));
    connection.end();
    expect((await closed)[0]).toBe(1000);
    expect(Buffer.concat(messages).toString()).toBe('last words');
  });

  it('answers pings, and those of a target that does not read its answers only so long', async () => {
    const gate = await startGate((socket) => socket.ping('well?'));
    const { reader } = await open(gate);
    const [socket] = gate.sockets;
    await once(socket as WebSocket, 'pong');
    socket?.pause();
    const payload = Buffer.alloc(125);
    await waitFor(
      () => {
        for (let i = 0; i < 20_000 && reader.ends.length === 0; i++) socket?.ping(payload);
        return reader.ends.length > 0;
      },
      { what: 'the end of the connection', deadlineMs: 25_000 },
    );
    expect(reader.ends).toHaveLength(1);
  });
});
