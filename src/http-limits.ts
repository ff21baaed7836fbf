// The bounds that every HTTP listener of this service has. What always holds: a peer that sends nothing, or sends
// slowly, loses its connection, a thousand of them leave room for the others, and no header is dropped in silence.
import type { Server as HttpServer, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import { refuseUnreadable } from './http-refusal.js';

export const httpLimits = {
  /** From the opening of a connection to the end of the headers. */
  headersTimeout: 10_000,
  /** From there to the end of the body. */
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  /** How often the two above are looked at. */
  connectionsCheckingInterval: 1_000,
  /** A browser behind single sign-on carries 32 KiB of cookies. Beyond: 431. */
  maxHeaderSize: 64 * 1024,
} as const;

/** Connections of a listener, whoever they belong to; more are closed as they come. */
export const MAX_CONNECTIONS = 16_384;

/** Headers of a request; what has more is answered with 431. */
export const MAX_HEADERS = 512;

/** Sets what is no constructor option, and how what breaks a limit is told. */
export function limitServer<S extends HttpServer | HttpsServer>(server: S): S {
  server.maxConnections = MAX_CONNECTIONS;
  // Node drops what is beyond in silence, and the last header is the one that a proxy added. One more than may be
  // there shows that there were too many.
  server.maxHeadersCount = MAX_HEADERS + 1;
  refuseUnreadable(server);
  return server;
}

/** How long a peer may take to read a reply that is ready. */
const REPLY_TIMEOUT_MS = 60_000;

/** Ends the connection of a peer that does not read its reply. To be called when the reply is ready, or nearly so. */
export function limitReply(response: ServerResponse, timeoutMs = REPLY_TIMEOUT_MS): void {
  // The request's socket: a reply that waits behind another has none yet.
  const giveUp = setTimeout(() => response.req.socket.destroy(), timeoutMs);
  giveUp.unref();
  response.once('close', () => clearTimeout(giveUp));
}
