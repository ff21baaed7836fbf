// `demo --check`: opens the console as a browser would, over a WebSocket, and looks at its first picture.
// What always holds: the socket is gone when the check is over. The demo is the one place beside the proxy that
// knows the WebSocket library, as its client.
import { once } from 'node:events';
import { createWebSocketStream, WebSocket } from 'ws';
import { type FirstPicture, viewFirstPicture } from './vnc-client.js';

/** More than any message that the proxy sends, in bytes. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

export interface RedeemOptions {
  /** `ws://HOST:PORT` of the proxy. */
  readonly proxyUrl: string;
  readonly token: string;
  readonly password: string;
  readonly signal: AbortSignal;
}

/**
 * Redeems a token and gives what the console showed first.
 * @throws Error saying what refused, the HTTP status or the Close code included
 */
export async function redeemToken({
  proxyUrl,
  token,
  password,
  signal,
}: RedeemOptions): Promise<FirstPicture> {
  const socket = new WebSocket(`${proxyUrl}/?token=${encodeURIComponent(token)}`, ['binary'], {
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
  });
  let ending = '';
  socket.once('close', (code, reason) => {
    ending = ` (closed with ${code} ${reason.toString('utf8')})`;
  });
  // The stream takes messages from the first one on, so it is made before there can be any.
  const stream = createWebSocketStream(socket);
  stream.on('error', () => {});
  try {
    await once(socket, 'open', { signal });
    return await viewFirstPicture(stream, { password, signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new Error(`${error instanceof Error ? error.message : 'failed'}${ending}`);
  } finally {
    stream.destroy();
  }
}
