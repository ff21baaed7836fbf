// The bounds that every HTTP listener of this service has. What always holds: a peer that sends nothing, or sends
// slowly, loses its connection, and a thousand of them leave room for the others.
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';

export const httpLimits = {
  /** From the opening of a connection to the end of the headers. */
  headersTimeout: 10_000,
  /** From there to the end of the body. */
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  /** How often the two above are looked at. */
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16 * 1024,
} as const;

/** Connections of a listener, whoever they belong to; more are closed as they come. */
export const MAX_CONNECTIONS = 16_384;

/** Sets what is no constructor option. */
export function limitServer<S extends HttpServer | HttpsServer>(server: S): S {
  server.maxConnections = MAX_CONNECTIONS;
  server.maxHeadersCount = 100;
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

/** The path of a request, dot segments resolved, without the query; undefined where it has none. */
export function requestPath(request: IncomingMessage): string | undefined {
  return requestUrl(request)?.pathname;
}

/** The request's target; its host means nothing. */
export function requestUrl({ url = '' }: IncomingMessage): URL | undefined {
  const absolute = url.startsWith('/') ? `http://localhost${url}` : url;
  try {
    return new URL(absolute);
  } catch {
    return undefined;
  }
}
