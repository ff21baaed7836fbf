// The bounds that every HTTP listener of this service has. What always holds: a peer that sends nothing, or sends
// slowly, loses its connection, and a thousand of them leave room for the others.
import type { Server as HttpServer, IncomingMessage } from 'node:http';
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

/** The path of a request, dot segments resolved, without the query; undefined where it has none. */
export function requestPath(request: IncomingMessage): string | undefined {
  return requestUrl(request)?.pathname;
}

/** The request's target; its host means nothing. */
export function requestUrl({ url = '' }: IncomingMessage): URL | undefined {
  const absolute = url.startsWith('/') ? `http://localhost${url}` : url;
  return URL.canParse(absolute) ? new URL(absolute) : undefined;
}
