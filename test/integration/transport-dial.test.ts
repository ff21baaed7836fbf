// From a host to a socket: addresses raced, those that must not be dialled left alone, deadlines and sources obeyed.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { parseNetwork } from '../../src/transport/addresses.ts';
import { dial } from '../../src/transport/dial.ts';
import { race } from '../../src/transport/race.ts';
import { startChild } from '../support/child.ts';
import { connectBy } from '../support/connect-by.ts';
import { atEnd } from '../support/lifetime.ts';
import { freePort } from '../support/ports.ts';
import { greet, startVncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';

const never = new AbortController().signal;
const four = (address: string) => ({ address, family: 4 });
const six = (address: string) => ({ address, family: 6 });

async function listen(host: string, port = 0): Promise<{ server: Server; port: number; peers: Socket[] }> {
  const peers: Socket[] = [];
  const server = createServer((socket) => {
    peers.push(socket);
    socket.on('error', () => undefined);
  });
  server.listen(port, host);
  await once(server, 'listening');
  atEnd(() => {
    server.close();
    for (const peer of peers) peer.destroy();
  });
  return { server, port: (server.address() as AddressInfo).port, peers };
}

/** A port that neither accepts nor refuses: its queue is full, and nobody takes anything out of it. */
async function startBlackHole(host: string, port: number): Promise<void> {
  const script = [
    'import socket, time',
    's = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)',
    `s.bind(("${host}", ${port})); s.listen(0)`,
    'full = [socket.socket() for i in range(4)]',
    `for one in full: one.setblocking(False); one.connect_ex(("${host}", ${port}))`,
    'print("ready", flush=True); time.sleep(600)',
  ].join('\n');
  await startChild('/usr/bin/python3', ['-c', script], { ready: ({ stdout }) => stdout().includes('ready') });
}

/** Every socket that is opened meanwhile. */
function watchSockets(): Socket[] {
  const sockets: Socket[] = [];
  const watch = (message: unknown) => {
    sockets.push((message as { socket: Socket }).socket);
  };
  subscribe('net.client.socket', watch);
  atEnd(() => {
    unsubscribe('net.client.socket', watch);
  });
  return sockets;
}

async function detailOf(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(GatewayError);
  expect((error as GatewayError).code).toBe('target-failed');
  return (error as GatewayError).detail;
}

describe('a race of addresses', () => {
  it('goes on to the next one as soon as one has refused', async () => {
    const { port } = await listen('127.0.0.1');
    const socket = await race({ addresses: [six('::1'), four('127.0.0.2'), four('127.0.0.1')], port }, never);
    atEnd(() => {
      socket.destroy();
    });
    expect(socket.remoteAddress).toBe('127.0.0.1');
  });

  it('does not wait for an address that is silent, and leaves nothing of the attempt', async () => {
    const port = await freePort();
    await startBlackHole('127.0.0.2', port);
    await listen('127.0.0.1', port);
    const sockets = watchSockets();
    const socket = await race({ addresses: [four('127.0.0.2'), four('127.0.0.1')], port }, never);
    expect(socket.remoteAddress).toBe('127.0.0.1');
    expect(sockets).toHaveLength(2);
    expect(sockets.filter(({ destroyed }) => destroyed)).toHaveLength(1);
    socket.destroy();
  });

  it('keeps a slow attempt running beside the next one', async () => {
    const port = await freePort();
    await startBlackHole('127.0.0.2', port);
    const sockets = watchSockets();
    const attempt = new AbortController();
    const racing = race({ addresses: ['127.0.0.2', '127.0.0.2'].map(four), port }, attempt.signal);
    await waitFor(() => sockets.length === 2, { what: 'the second attempt' });
    expect(sockets.every(({ connecting }) => connecting)).toBe(true);
    attempt.abort(new Error('called off'));
    await expect(racing).rejects.toThrow('called off');
    expect(sockets.every(({ destroyed }) => destroyed)).toBe(true);
  });

  it('tries the families in turn, and names each that failed', async () => {
    const port = await freePort();
    const addresses = [four('127.0.0.2'), four('127.0.0.3'), six('::1')];
    await expect(race({ addresses, port }, never)).rejects.toThrow(
      /^127\.0\.0\.2 ECONNREFUSED, ::1 E[A-Z]+, 127\.0\.0\.3 ECONNREFUSED$/,
    );
  });

  it('tries no more than a few of very many', async () => {
    const sockets = watchSockets();
    const addresses = Array.from({ length: 200 }, (_one, index) => four(`127.0.1.${index}`));
    await expect(race({ addresses, port: await freePort() }, never)).rejects.toThrow('ECONNREFUSED');
    expect(sockets).toHaveLength(8);
  });
});

describe('a host', () => {
  it.each([
    ['127.1', '127.0.0.1 (loopback)'],
    ['0x7f000001', '127.0.0.1 (loopback)'],
    ['2852039166', '169.254.169.254 (link-local)'],
    ['0xa9fea9fe', '169.254.169.254 (link-local)'],
    ['169.254.169.254', '169.254.169.254 (link-local)'],
    ['::ffff:169.254.169.254', '::ffff:169.254.169.254 (link-local)'],
    ['0', '0.0.0.0 (unspecified)'],
    ['0x646464c8', '100.100.100.200 (cloud metadata)'],
    ['168.63.129.16', '168.63.129.16 (cloud metadata)'],
    ['fd00:ec2::254', 'fd00:ec2::254 (cloud metadata)'],
    ['64:ff9b::a9fe:a9fe', '64:ff9b::a9fe:a9fe (NAT64)'],
    ['2002:a9fe:a9fe::', '2002:a9fe:a9fe:: (link-local 169.254.169.254 inside)'],
    ['::', ':: (unspecified)'],
  ])('that is written as %s is not dialled', async (host, what) => {
    const sockets = watchSockets();
    expect(await detailOf(connectBy()({ host, port: 5907 }, never))).toBe(
      `target ${host}:5907: ${host} is ${what}: dialled only where a rule of targets names it`,
    );
    expect(sockets).toEqual([]);
  });

  it('that a rule names is dialled all the same', async () => {
    const vnc = await startVncTarget(greet);
    const connection = await connectBy({ match: '127.1' })({ host: '127.1', port: vnc.port }, never);
    atEnd(() => connection.destroy());
    await vnc.connection();
  });

  it('that a rule matched by its address is dialled there and nowhere else', async () => {
    const vnc = await startVncTarget(greet);
    const target = { host: 'localhost', port: vnc.port };
    const connection = await connectBy({ match: '127.0.0.1' })(target, never);
    atEnd(() => connection.destroy());
    await vnc.connection();
    expect(await detailOf(connectBy({ match: '127.0.0.1', source_address: '::1' })(target, never))).toContain(
      'localhost has no address that source_address ::1 could reach, by targets[0] (via tcp)',
    );
  });

  it('that has no address in the network of its rule any more is not dialled', async () => {
    const vnc = await startVncTarget(greet);
    const target = { host: '127.0.0.1', port: vnc.port };
    const within = parseNetwork('10.0.0.0/8');
    expect(await detailOf(dial({ target, ...target, within }, never))).toContain(
      'is at no address that this rule is about',
    );
    expect(vnc.connections).toEqual([]);
  });

  it('that cannot be resolved is an error, unless a rule gives an address in its place', async () => {
    const vnc = await startVncTarget(greet);
    const target = { host: 'nosuchname.invalid', port: vnc.port };
    expect(await detailOf(connectBy()(target, never))).toMatch(
      /^target nosuchname\.invalid:\d+: nosuchname\.invalid cannot be resolved: (ENOTFOUND|EAI_AGAIN)$/,
    );
    const connect = connectBy({ match: '10.0.0.0/8' }, { match: '*.invalid', address: '127.0.0.1' });
    const connection = await connect(target, never);
    atEnd(() => connection.destroy());
    await vnc.connection();
  });

  it('is come to from the source address of its rule', async () => {
    const { port, peers } = await listen('127.0.0.1');
    const connect = connectBy({ source_address: '127.0.0.9' });
    const connection = await connect({ host: '127.0.0.1', port }, never);
    atEnd(() => connection.destroy());
    await waitFor(() => peers.length > 0, { what: 'the connection' });
    expect(peers[0]?.remoteAddress).toBe('127.0.0.9');
  });

  it('that is silent is given up at the deadline of its rule, wherever it is silent', async () => {
    const port = await freePort();
    await startBlackHole('127.0.0.1', port);
    const mute = await listen('127.0.0.1');
    const sockets = watchSockets();
    const cases: [rule: object, port: number][] = [
      [{ via: 'tcp' }, port],
      [{ via: 'tls' }, mute.port],
      [{ via: 'ws' }, mute.port],
      [{ via: 'wss' }, mute.port],
    ];
    for (const [rule, where] of cases) {
      const connect = connectBy({ ...rule, connect_timeout: '0.3' });
      expect(await detailOf(connect({ host: '127.0.0.1', port: where }, never))).toMatch(
        /^target 127\.0\.0\.1:\d+: no answer within 0\.3 s \(connect_timeout\), by targets\[0\] \(via [a-z]+\)$/,
      );
    }
    await waitFor(() => sockets.every(({ destroyed }) => destroyed), { what: 'the end of all sockets' });
    expect(sockets).toHaveLength(cases.length);
  });
});
