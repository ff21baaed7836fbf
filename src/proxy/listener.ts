// The proxy's port: plain HTTP, TLS, or both on one port, told apart by the first byte (a TLS record of a handshake
// begins with 22, an HTTP request with a letter). What always holds: a connection that sends nothing is closed.
import { createServer as createHttpServer, type Server as HttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import type { WssSupport } from '../config/types.js';
import { httpLimits, limitServer } from '../http-limits.js';
import type { Certificate } from './certificate.js';
import type { UpgradeListener } from './upgrade.js';

export interface ListenerParts {
  readonly wss: WssSupport;
  /** Needed unless `wss` is `no`. */
  readonly certificate: Certificate | undefined;
  readonly onRequest: RequestListener;
  readonly onUpgrade: UpgradeListener;
  /** Sees every connection first, which waits for its word; false: it is not wanted, and was dealt with. */
  readonly onConnection: (socket: Socket) => boolean | Promise<boolean>;
}

export interface Listener {
  /** The one that listens and closes. */
  readonly server: Server;
  setCertificate(certificate: Certificate): void;
  /** Ends every connection that is still open. */
  destroyConnections(): void;
}

const TLS_HANDSHAKE_RECORD = 22;
const FIRST_BYTE_TIMEOUT_MS = httpLimits.headersTimeout;
const MIN_TLS_VERSION = 'TLSv1.2';

export function createListener(parts: ListenerParts): Listener {
  const { wss, certificate, onRequest, onUpgrade } = parts;
  const plain = wss === 'only' ? undefined : createHttpServer(httpLimits, onRequest).on('upgrade', onUpgrade);
  const secure =
    certificate === undefined || wss === 'no'
      ? undefined
      : createHttpsServer(
          {
            ...httpLimits,
            ...certificate,
            minVersion: MIN_TLS_VERSION,
            handshakeTimeout: httpLimits.headersTimeout,
          },
          onRequest,
        ).on('upgrade', onUpgrade);
  const sockets = new Set<Socket>();
  const front = createTcpServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // An error is the end of the connection; whoever is served on it notices by its close.
    socket.on('error', () => {});
    const serve = () => {
      if (plain === undefined) secure?.emit('connection', socket);
      else if (secure === undefined) plain.emit('connection', socket);
      else sortByFirstByte(socket, plain, secure);
    };
    const wanted = parts.onConnection(socket);
    if (wanted === true) serve();
    else if (wanted !== false) void wanted.then((isWanted) => isWanted && !socket.destroyed && serve());
  });
  for (const server of [plain, secure]) {
    if (server === undefined) continue;
    limitServer(server);
    // Node begins to enforce its time limits when a server listens, and these two are only handed connections.
    server.emit('listening');
  }
  front.maxConnections = plain?.maxConnections ?? secure?.maxConnections ?? 1;
  return {
    server: front,
    setCertificate: (next) => secure?.setSecureContext({ ...next, minVersion: MIN_TLS_VERSION }),
    destroyConnections: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function sortByFirstByte(socket: Socket, plain: HttpServer, secure: HttpsServer): void {
  const giveUp = setTimeout(() => socket.destroy(), FIRST_BYTE_TIMEOUT_MS);
  socket.once('close', () => clearTimeout(giveUp));
  socket.once('readable', () => {
    clearTimeout(giveUp);
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return void socket.destroy();
    socket.unshift(chunk);
    (chunk[0] === TLS_HANDSHAKE_RECORD ? secure : plain).emit('connection', socket);
  });
}
