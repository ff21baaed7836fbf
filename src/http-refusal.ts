// Answers to what is no request, or not wholly one, on every HTTP listener. What always holds: the peer can read the
// answer, and is gone within seconds all the same.
import { type Server as HttpServer, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { causeOf } from './errors.js';

/** How long a refused peer may take to read why. */
const LINGER_MS = 2_000;

/** Writes the last bytes of a connection. What the peer still sends has to be read by somebody meanwhile. */
export function endWith(socket: Duplex, text: string): void {
  const giveUp = setTimeout(() => socket.destroy(), LINGER_MS);
  giveUp.unref();
  socket.once('close', () => clearTimeout(giveUp));
  socket.end(text);
}

/** Everything else that Node cannot read is 400. */
const STATUSES = new Map([
  ['HPE_HEADER_OVERFLOW', 431],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413],
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
]);

/**
 * Answers what Node's parser gave up. Node itself closes with its answer, and the kernel tells a peer that is still
 * sending of a reset before it has read a word.
 */
export function refuseUnreadable(server: HttpServer | HttpsServer): void {
  const answers = new WeakMap<Duplex, ServerResponse>();
  const refused = new WeakSet<Duplex>();
  server.prependListener('request', (request, response) => answers.set(request.socket, response));
  server.on('clientError', (error, socket) => {
    // The parser reads on, and fails again.
    if (refused.has(socket)) return;
    refused.add(socket);
    const answer = answers.get(socket);
    const inTheMiddle = answer?.headersSent === true && !answer.writableFinished;
    if (!socket.writable || inTheMiddle) return void socket.destroy();
    const status = STATUSES.get(causeOf(error)) ?? 400;
    endWith(
      socket,
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    );
  });
}
