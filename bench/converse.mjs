// @ts-check
// The VNC server's side of a load, on any stream: the opening, one command, and then bytes.
// What always holds: nothing is kept of what it reads, and a receipt tells how much that was.
import { createHash } from 'node:crypto';
import {
  commandBytes,
  commands,
  decodeCommand,
  encodeReceipt,
  floodBlock,
  openings,
} from './conversation.mjs';
import { writeRepeatedly } from './write-repeatedly.mjs';

/** @typedef {import('node:stream').Duplex} Duplex */
/** @typedef {(chunk: Buffer) => void} Take */

/**
 * Greets at once.
 * @param {Duplex} stream written to; its errors are listened for
 * @param {import('./conversation.mjs').Opening} opening
 * @returns {Take} for what comes, views that need be valid during the call alone
 */
export function converse(stream, opening) {
  const turns = [...openings[opening]];
  let seen = Buffer.alloc(0);
  /** @type {Take | undefined} */
  let obey;
  const say = () => turns[0] !== undefined && stream.write(turns[0].says);
  const isOpen = () => {
    for (let [turn] = turns; turn !== undefined; [turn] = turns) {
      const { answer } = turn;
      if (seen.length < answer.length) return false;
      if (!seen.subarray(0, answer.length).equals(answer)) throw new Error('not the answer of a browser');
      seen = seen.subarray(answer.length);
      turns.shift();
      say();
    }
    return true;
  };
  stream.on('error', () => {});
  say();
  return (chunk) => {
    if (obey !== undefined) return obey(chunk);
    seen = Buffer.concat([seen, chunk]);
    if (!isOpen() || seen.length < commandBytes) return;
    const { code, bytes } = decodeCommand(seen);
    obey = behaviour(stream, code, bytes);
    if (seen.length > commandBytes) obey(seen.subarray(commandBytes));
  };
}

/**
 * @param {Duplex} stream
 * @param {number | undefined} code
 * @param {number} bytes
 * @returns {Take} what is done with everything after the command
 */
function behaviour(stream, code, bytes) {
  if (code === commands.echo) return (chunk) => void stream.write(Buffer.from(chunk));
  if (code === commands.flood) {
    writeRepeatedly(stream, floodBlock, bytes);
    return () => {};
  }
  const hash = code === commands.checkedSink ? createHash('sha256') : undefined;
  let left = bytes;
  return (chunk) => {
    hash?.update(chunk);
    left -= chunk.length;
    if (left <= 0) stream.write(encodeReceipt(bytes - left, hash?.digest()));
  };
}
