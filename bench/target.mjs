// @ts-check
// The VNC server's side of a load, a process of its own. It greets first, as VNC servers do, obeys one command and
// then moves bytes. What always holds: nothing is kept of what it reads, and a receipt tells how much that was.
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { commandBytes, commands, decodeCommand, encodeReceipt, floodBlock, greeting } from './conversation.mjs';
import { answerOrders } from './helper.mjs';
import { writeRepeatedly } from './write-repeatedly.mjs';

const host = '127.0.0.1';

const server = createServer({ noDelay: true }, (socket) => {
  let seen = Buffer.alloc(0);
  /** @type {((chunk: Buffer) => void) | undefined} */
  let handle;
  socket.on('error', () => {});
  socket.write(greeting);
  socket.on('data', (chunk) => {
    if (handle !== undefined) return handle(chunk);
    seen = Buffer.concat([seen, chunk]);
    if (seen.length < commandBytes) return;
    const { code, bytes } = decodeCommand(seen);
    handle = behaviour(socket, code, bytes);
    if (seen.length > commandBytes) handle(seen.subarray(commandBytes));
  });
});

/**
 * @param {import('node:net').Socket} socket
 * @param {number | undefined} code
 * @param {number} bytes
 * @returns {(chunk: Buffer) => void} what is done with everything after the command
 */
function behaviour(socket, code, bytes) {
  if (code === commands.echo) return (chunk) => socket.write(chunk);
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

server.listen({ host, port: 0, backlog: 1024 }, () => {
  const address = server.address();
  answerOrders({ port: () => (typeof address === 'object' ? address?.port : undefined) });
});
