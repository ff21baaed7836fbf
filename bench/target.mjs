// @ts-check
// The VNC server's side of a load, a process of its own. It greets first, as VNC servers do, obeys one command and
// then moves bytes. What always holds: nothing is kept of what it reads, and a receipt tells how much that was.
import { createHash } from 'node:crypto';
import { createServer, Socket } from 'node:net';
import {
  commandBytes,
  commands,
  decodeCommand,
  encodeReceipt,
  floodBlock,
  greeting,
} from './conversation.mjs';
import { answerOrders } from './helper.mjs';
import { writeRepeatedly } from './write-repeatedly.mjs';

const readBuffer = Buffer.allocUnsafeSlow(256 * 1024);

const server = createServer({ noDelay: true, pauseOnConnect: true }, (accepted) => {
  let seen = Buffer.alloc(0);
  let handle = (/** @type {Buffer} */ chunk) => {
    seen = Buffer.concat([seen, chunk]);
    if (seen.length < commandBytes) return;
    const { code, bytes } = decodeCommand(seen);
    handle = behaviour(socket, code, bytes);
    if (seen.length > commandBytes) handle(seen.subarray(commandBytes));
  };
  const socket = readInPlace(accepted, (chunk) => handle(chunk));
  socket.on('error', () => {});
  socket.write(greeting);
});

/**
 * Reads into one buffer for all connections. Node.js offers that to sockets that connect only, and without it this
 * process would be slower than the relays that it is to keep busy; hence the borrowed handle.
 * @param {Socket} accepted
 * @param {(chunk: Buffer) => void} take gets a view, valid during the call
 * @returns {Socket}
 */
function readInPlace(accepted, take) {
  const callback = (/** @type {number} */ bytes) => {
    take(readBuffer.subarray(0, bytes));
    return true;
  };
  const { _handle: handle } = /** @type {Socket & { _handle: unknown }} */ (accepted);
  const options = { handle, onread: { buffer: readBuffer, callback } };
  return new Socket(/** @type {import('node:net').SocketConstructorOpts} */ (options)).resume();
}

/**
 * @param {Socket} socket
 * @param {number | undefined} code
 * @param {number} bytes
 * @returns {(chunk: Buffer) => void} what is done with everything after the command
 */
function behaviour(socket, code, bytes) {
  if (code === commands.echo) return (chunk) => socket.write(Buffer.from(chunk));
  if (code === commands.flood) {
    writeRepeatedly(socket, floodBlock, bytes);
    return () => {};
  }
  const hash = code === commands.checkedSink ? createHash('sha256') : undefined;
  let left = bytes;
  return (chunk) => {
    hash?.update(chunk);
    left -= chunk.length;
    if (left <= 0) socket.write(encodeReceipt(bytes - left, hash?.digest()));
  };
}

server.listen({ host: '127.0.0.1', port: 0, backlog: 1024 }, () => {
  const address = server.address();
  answerOrders({ port: () => (typeof address === 'object' ? address?.port : undefined) });
});
