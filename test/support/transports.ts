// Every way to a target, ready for the one suite that runs over all of them. A new way is one entry more.
// Each leads to a VNC server of the tests through a front of its own: what stands beside a hypervisor in its place.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { beforeAll } from 'vitest';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { ConnectTarget, TransportTarget } from '../../src/transport/transport.ts';
import { bridge } from './bridge.ts';
import { makePki, type Pki } from './certificates.ts';
import { connectBy } from './connect-by.ts';
import { temporaryFolder } from './folder.ts';
import { atEnd } from './lifetime.ts';
import { freePort } from './ports.ts';
import { connectBySsh, startHypervisor } from './ssh-pool.ts';
import type { VncTarget } from './vnc-target.ts';

export interface TransportUnderTest {
  readonly connect: ConnectTarget;
  readonly target: TransportTarget;
  /** Connections that the front holds open: what an attempt has left behind. */
  openAtFront(): number;
  /** The same way to where nobody listens, and what is said of it. */
  readonly nobody: { readonly connect: ConnectTarget; readonly says: RegExp };
}

export interface TransportKind {
  readonly name: string;
  /** Leads to a VNC server; its front ends with the test. */
  start(vnc: VncTarget): Promise<TransportUnderTest>;
}

/** Counts connections that are open. */
function counted(server: Server): () => number {
  let open = 0;
  server.on('connection', (socket) => {
    open++;
    socket.on('error', () => undefined);
    socket.once('close', () => {
      open--;
    });
  });
  return () => open;
}

async function listening(server: Server, where: { port: number; host: string } | string): Promise<Server> {
  if (typeof where === 'string') server.listen({ path: where, backlog: 1024 });
  else server.listen({ ...where, backlog: 1024 });
  await once(server, 'listening');
  atEnd(() => {
    server.close();
  });
  return server;
}

const loopback = { port: 0, host: '127.0.0.1' };

const tcp: TransportKind = {
  name: 'tcp',
  async start(vnc) {
    return {
      connect: connectBy(),
      target: { host: vnc.host, port: vnc.port, vmId: 7 },
      openAtFront: () => vnc.connections.filter(({ closed }) => !closed()).length,
      nobody: { connect: connectBy({ via: 'tcp', port: await freePort() }), says: /ECONNREFUSED/ },
    };
  },
};

const unix: TransportKind = {
  name: 'unix',
  async start(vnc) {
    const folder = temporaryFolder();
    const server = createServer({ allowHalfOpen: true }, (socket) => bridge(socket, vnc.port));
    const openAtFront = counted(await listening(server, join(folder, 'vm-7.sock')));
    return {
      connect: connectBy({ via: 'unix', path: join(folder, 'vm-%i.sock') }),
      target: { host: 'node1', port: 5907, vmId: 7 },
      openAtFront,
      nobody: { connect: connectBy({ via: 'unix', path: join(folder, 'other-%i.sock') }), says: /ENOENT/ },
    };
  },
};

let pki: Pki;
beforeAll(async () => {
  pki = await makePki();
});

/** What a server shows, and whom it believes. */
function serverFiles({ ca, server }: Pki) {
  return { ca: readFileSync(ca.cert), cert: readFileSync(server.cert), key: readFileSync(server.key) };
}

/** Members of a rule for a server of the tests' own authority that asks for a client's certificate. */
function tlsMembers({ ca, client }: Pki): object {
  return { ca_file: ca.cert, cert_file: client.cert, key_file: client.key };
}

const tls: TransportKind = {
  name: 'tls',
  async start(vnc) {
    const options = {
      ...serverFiles(pki),
      requestCert: true,
      rejectUnauthorized: true,
      allowHalfOpen: true,
      // With open halves this server notices an end during the handshake by nothing else.
      handshakeTimeout: 1_000,
    };
    const server = createTlsServer(options, (socket) => bridge(socket, vnc.port));
    server.on('tlsClientError', (_error, socket) => {
      socket.destroy();
    });
    const openAtFront = counted(await listening(server, loopback));
    const rule = { via: 'tls', ...tlsMembers(pki) };
    return {
      connect: connectBy({ ...rule, port: portOf(server) }),
      target: { host: 'localhost', port: vnc.port, vmId: 7 },
      openAtFront,
      nobody: { connect: connectBy({ ...rule, port: await freePort() }), says: /ECONNREFUSED/ },
    };
  },
};

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function webSocketKind(via: 'ws' | 'wss'): TransportKind {
  return {
    name: via,
    async start(vnc) {
      const options = { ...serverFiles(pki), requestCert: true, rejectUnauthorized: true };
      const server = via === 'ws' ? createHttpServer() : createHttpsServer(options);
      server.on('tlsClientError', () => undefined);
      const sockets = new WebSocketServer({ server, path: `/vm/7/${vnc.port}`, perMessageDeflate: false });
      sockets.on('connection', (socket) => bridge(createWebSocketStream(socket), vnc.port));
      const openAtFront = counted(await listening(server, loopback));
      const rule = { via, path: '/vm/%i/%p', ...(via === 'wss' ? tlsMembers(pki) : {}) };
      return {
        connect: connectBy({ ...rule, port: portOf(server) }),
        target: { host: 'localhost', port: vnc.port, vmId: 7 },
        openAtFront,
        nobody: { connect: connectBy({ ...rule, port: await freePort() }), says: /ECONNREFUSED/ },
      };
    },
  };
}

const ssh: TransportKind = {
  name: 'ssh',
  async start(vnc) {
    const { rule } = await startHypervisor();
    const { user, port, keyFile } = rule;
    const members = { user, port, key_file: keyFile, known_hosts: rule.knownHosts };
    return {
      connect: connectBySsh(members),
      target: { host: '127.0.0.1', port: vnc.port, vmId: 7 },
      // The connection to sshd is for all consoles, and stays a while; what each of them has is a channel.
      openAtFront: () => vnc.connections.filter(({ closed }) => !closed()).length,
      nobody: { connect: connectBySsh({ ...members, listen: '127.0.0.9' }), says: /Connection refused/ },
    };
  },
};

export const transportKinds: readonly TransportKind[] = [
  tcp,
  unix,
  tls,
  webSocketKind('ws'),
  webSocketKind('wss'),
  ssh,
];
