// @ts-check
// The target of all loads, a process of its own, with a door for each way that leads to it.
// What always holds: a door counts who came through it, so that a peer that took another one is found out.
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { converse } from './converse.mjs';
import { answerOrders } from './helper.mjs';

/**
 * Ports of 127.0.0.1 but for ssh, which is that of tcp on an address of its own, and unix, a path. rfb is tcp with all of
 * RFB's handshake.
 * @typedef {{ tcp: number, ssh: number, rfb: number, unix: string, ws: number, tls?: number, wss?: number }} Doors
 */
/** @typedef {keyof Doors} Door */
/** @typedef {import('node:stream').Duplex} Duplex */
/** @typedef {import('./certificates.mjs').Certificates} Certificates */

/** sshd reaches it, and nobody does who was told 127.0.0.1. */
const sshAddress = '127.0.0.2';
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024);

/** How many came through each door. @type {Partial<Record<Door, number>>} */
const visits = {};

/** @param {Door} door */
function visit(door) {
  visits[door] = (visits[door] ?? 0) + 1;
}

/** @param {{ folder: string, certificates: Certificates | undefined }} order @returns {Promise<Doors>} */
async function open({ folder, certificates }) {
  const unix = join(folder, 'target.sock');
  const tcp = await listen(plainServer('tcp'), {});
  await listen(plainServer('ssh'), { host: sshAddress, port: tcp });
  await listen(plainServer('unix'), { path: unix });
  return {
    ...{ tcp, ssh: tcp, unix },
    rfb: await listen(plainServer('rfb'), {}),
    ws: await listen(webSockets('ws', createHttpServer()), {}),
    ...(certificates === undefined ? {} : await openTls(certificates)),
  };
}

/** @param {Certificates} certificates */
async function openTls({ ca, server }) {
  const files = { ca: readFileSync(ca), cert: readFileSync(server.cert), key: readFileSync(server.key) };
  const options = { ...files, requestCert: true, rejectUnauthorized: true, noDelay: true };
  const tls = createTlsServer(options, (socket) => attend('tls', socket));
  return { tls: await listen(tls, {}), wss: await listen(webSockets('wss', createHttpsServer(options)), {}) };
}

/** @param {'tcp' | 'ssh' | 'unix' | 'rfb'} door */
function plainServer(door) {
  return createServer({ noDelay: true, pauseOnConnect: true }, (accepted) => {
    visit(door);
    const socket = readInPlace(accepted, (chunk) => take(chunk));
    const take = converse(socket, door === 'rfb' ? 'rfb' : 'plain');
  });
}

/**
 * @template {import('node:http').Server} T
 * @param {'ws' | 'wss'} door
 * @param {T} server
 */
function webSockets(door, server) {
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (webSocket) => attend(door, createWebSocketStream(webSocket)));
  return server;
}

/**
 * @param {Door} door
 * @param {Duplex} stream
 */
function attend(door, stream) {
  visit(door);
  stream.on('data', converse(stream, 'plain'));
}

/**
 * Reads into one buffer for all connections. Node.js offers that to sockets that connect only, and without it this
 * process would be slower than the relays that it is to keep busy; hence the borrowed handle.
 * @param {Socket} accepted
 * @param {(chunk: Buffer) => void} take gets a view, valid during the call
 * @returns {Socket}
 */
function readInPlace(accepted, take) {
  const callback = (/** @type {number} */ bytes) => {
    take(readBuffer.subarray(0, bytes));
    return true;
  };
  const { _handle: handle } = /** @type {Socket & { _handle: unknown }} */ (accepted);
  const options = { handle, onread: { buffer: readBuffer, callback } };
  return new Socket(/** @type {import('node:net').SocketConstructorOpts} */ (options)).resume();
}

/**
 * @param {import('node:net').Server} server
 * @param {{ host?: string, port?: number, path?: string }} where a free port of 127.0.0.1 without
 * @returns {Promise<number>} the port; 0 where it is a path
 */
function listen(server, { path, host = '127.0.0.1', port = 0 }) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...(path === undefined ? { host, port } : { path }), backlog: 1024 }, () => {
      const address = server.address();
      resolve(address === null || typeof address === 'string' ? 0 : address.port);
    });
  });
}

answerOrders({ open, visits: () => visits });
