// A Unix socket on this host (QEMU's own, or one that an agent forwards) as the way to a target.
import { connect, type OnReadOpts, type Socket } from 'node:net';
import { causeOf } from '../errors.js';
import { openSocketConnection } from './socket-connection.js';
import { type TargetConnection, type TransportTarget, targetFailed } from './transport.js';

/** sockaddr_un has room for 107 bytes (unix(7)); a longer path would be cut, and name another socket. */
export const MAX_SOCKET_PATH_BYTES = 107;

/** @throws GatewayError `target-failed` */
export function connectUnix(
  path: string,
  target: TransportTarget,
  signal: AbortSignal,
): Promise<TargetConnection> {
  return openSocketConnection((onread) => openUnixSocket(path, target, signal, onread));
}

function openUnixSocket(
  path: string,
  target: TransportTarget,
  signal: AbortSignal,
  onread: OnReadOpts,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
      throw targetFailed(target, `${path}: longer than ${MAX_SOCKET_PATH_BYTES} bytes`);
    }
    const socket = connect({ path, onread });
    const abort = () => {
      socket.destroy();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      resolve(socket);
    });
    // Stays: an error may come before the socket has come to whom it is for.
    socket.on('error', (error) => {
      signal.removeEventListener('abort', abort);
      reject(targetFailed(target, `${path}: ${causeOf(error)}`));
    });
  });
}
