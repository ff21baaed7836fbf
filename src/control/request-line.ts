// The one line that a connection of the control socket may bring.
// What always holds: it is read within bounds of size and time, and after it nothing more is kept.
import type { Socket } from 'node:net';
import { MAX_REQUEST_BYTES } from './messages.js';

/** What whoever asked is told. */
export class RequestError extends Error {}

/**
 * Reads up to the first end of line; what follows it is thrown away, up to the same bound.
 * @throws RequestError
 */
export function readRequestLine(socket: Socket, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let isSettled = false;
    const settle = (outcome: () => void) => {
      clearTimeout(timer);
      isSettled = true;
      chunks.length = 0;
      outcome();
    };
    const refuse = (text: string) => settle(() => reject(new RequestError(text)));
    const timer = setTimeout(() => refuse('no request came in time'), timeoutMs);
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_REQUEST_BYTES) {
        socket.pause();
        refuse(`a request is one line of at most ${MAX_REQUEST_BYTES} bytes`);
        return;
      }
      if (isSettled) return;
      chunks.push(chunk);
      const end = chunk.indexOf(0x0a);
      if (end === -1) return;
      const line = Buffer.concat(chunks).subarray(0, size - chunk.length + end);
      settle(() => resolve(line.toString('utf8')));
    });
    socket.once('end', () => refuse('a request is one line'));
    socket.once('close', () => refuse('a request is one line'));
  });
}
