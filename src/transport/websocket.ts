// The target is itself a WebSocket: QEMU's own, or an agent behind HTTPS with client certificates.
// What always holds: the handshake goes over the connection that was dialled and, for `wss`, verified here.
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { dial, type Hop } from './dial.js';
import type { WebSocketRule } from './rules.js';
import { StreamConnection } from './stream-connection.js';
import { type TlsClient, whyTlsEnded } from './tls.js';
import { type TargetConnection, type TransportTarget, targetFailed } from './transport.js';
import { fillIn } from './vm-path.js';
import { WebSocketStream } from './websocket-stream.js';

/** A message is in memory as a whole before any of it is handed on. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/**
 * @param tls of `wss`
 * @throws GatewayError `target-failed`; the signal's reason when it fires first
 */
export async function openWebSocket(
  rule: WebSocketRule,
  tls: TlsClient | undefined,
  hop: Hop,
  signal: AbortSignal,
): Promise<TargetConnection> {
  const url = urlOf(rule, hop, fillIn(rule.path, hop.target));
  const socket = tls === undefined ? await dial(hop, signal) : await tls.open(hop, signal);
  const stream = await upgrade(socket, url, rule.origin ?? ownOrigin(url), hop.target, signal);
  return new StreamConnection(stream, (error) => {
    const code = error === undefined ? stream.oddCloseCode : undefined;
    return code === undefined ? whyTlsEnded(error) : `the target ended its WebSocket with close code ${code}`;
  });
}

function urlOf(rule: WebSocketRule, { target, host, port }: Hop, path: string): URL {
  // Behind HTTPS the name decides which site it is; it is the one that the certificate is for.
  const name = rule.tls.serverName ?? host;
  const text = `${rule.via}://${name.includes(':') ? `[${name}]` : name}:${port}${path}`;
  if (!URL.canParse(text)) throw targetFailed(target, `${text} is no address of a WebSocket`);
  return new URL(text);
}

/** That of a page which the target itself had served: servers compare it with the Host, or want to see any. */
export function ownOrigin({ protocol, host }: URL): string {
  return `${protocol === 'wss:' ? 'https' : 'http'}://${host}`;
}

function upgrade(
  socket: Socket,
  url: URL,
  origin: string,
  target: TransportTarget,
  signal: AbortSignal,
): Promise<WebSocketStream> {
  return new Promise((resolve, reject) => {
    // The library would wait for the answer of a socket that is gone.
    if (signal.aborted || socket.destroyed) {
      socket.destroy();
      signal.throwIfAborted();
      throw targetFailed(target, 'the connection ended before the handshake of its WebSocket');
    }
    const webSocket = new WebSocket(url, ['binary'], {
      createConnection: () => socket,
      origin,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      skipUTF8Validation: true,
    });
    const fail = (error: unknown) => {
      signal.removeEventListener('abort', abort);
      // The library tells of an end that we have asked for as well.
      webSocket.on('error', () => undefined);
      webSocket.terminate();
      socket.destroy();
      reject(error);
    };
    const abort = () => fail(signal.reason);
    const failed = (error: Error) => {
      fail(targetFailed(target, `WebSocket ${url.pathname}: ${whyTlsEnded(error)}`));
    };
    signal.addEventListener('abort', abort, { once: true });
    webSocket.once('error', failed);
    webSocket.once('open', () => {
      signal.removeEventListener('abort', abort);
      webSocket.off('error', failed);
      // At once: what comes next is the greeting, and the library does not wait for anybody to listen.
      resolve(new WebSocketStream(webSocket));
    });
  });
}
