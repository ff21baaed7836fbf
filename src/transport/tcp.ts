// Plain TCP to a target: what websockify did, and what most clouds use inside their own network.
import { connect, type Socket } from 'node:net';
import { causeOf, GatewayError } from '../errors.js';
import type { ConnectTarget } from './transport.js';

/** A target that vanished without a word is noticed by the kernel after this and its probes. */
const KEEP_ALIVE_DELAY_MS = 60_000;

export const connectTcp: ConnectTarget = ({ host, port }, signal) =>
  new Promise<Socket>((resolve, reject) => {
    signal.throwIfAborted();
    const socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
    });
    const abort = () => {
      socket.destroy();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      resolve(socket);
    });
    socket.once('error', (error) => {
      signal.removeEventListener('abort', abort);
      socket.destroy();
      reject(new GatewayError('target-failed', { detail: `target ${host}:${port}: ${causeOf(error)}` }));
    });
  });
