// @ts-check
// What browser and target of a load say to each other through the relay: after the target's greeting one command of
// the browser, and then bytes. What always holds: both know beforehand how many, so that both can tell when it is done;
// commands, keys and floods are messages of RFB, so that a relay that reads along can.
import { createHash } from 'node:crypto';

/**
 * The target sends this first, as a VNC server does (RFC 6143 section 7.1.1). It is not the version in which this proxy
 * tells browsers that it refuses them: a refusal is no connection.
 */
export const greeting = Buffer.from('RFB 003.007\n');
const latest = Buffer.from('RFB 003.008\n');

const width = 128;
const height = 128;

/** RFC 6143 section 7.3.2: the size, 32 bits a pixel in true colour, and a name. */
const serverInit = Buffer.concat([
  ...[words(width, height), Buffer.of(32, 24, 0, 1), words(255, 255, 255), Buffer.of(16, 8, 0, 0, 0, 0)],
  ...[words(0, 5), Buffer.from('bench')],
]);

/**
 * One turn of the opening: what the target says, and what the browser answers.
 * @typedef {{ says: Buffer, answer: Buffer }} Turn
 */

const nothing = Buffer.alloc(0);

/** Before the command. plain: the greeting alone; rfb: all of RFB's handshake, without security. */
export const openings = /** @type {const} @satisfies {Record<string, readonly Turn[]>} */ ({
  plain: [{ says: greeting, answer: nothing }],
  rfb: [
    { says: latest, answer: latest },
    { says: Buffer.of(1, 1), answer: Buffer.of(1) },
    { says: Buffer.alloc(4), answer: Buffer.of(1) },
    { says: serverInit, answer: nothing },
  ],
});

/** @typedef {keyof typeof openings} Opening */

/** flood: the target sends; sink: it reads, and answers with a receipt; echo: everything comes back. */
export const commands = /** @type {const} */ ({ flood: 1, sink: 2, checkedSink: 3, echo: 4 });

/** A command is a FramebufferUpdateRequest to whoever reads along: its type, the command, and how many bytes. */
const requestType = 3;
export const commandBytes = 10;
/** Number of bytes, and the SHA-256 of them or zeros. */
export const receiptBytes = 8 + 32;

/**
 * @param {keyof typeof commands} name
 * @param {number} bytes that will be moved
 */
export function encodeCommand(name, bytes) {
  const command = Buffer.alloc(commandBytes);
  command[0] = requestType;
  command[1] = commands[name];
  command.writeBigUInt64BE(BigInt(bytes), 2);
  return command;
}

/** @param {Buffer} command */
export function decodeCommand(command) {
  return { code: command[1], bytes: Number(command.readBigUInt64BE(2)) };
}

/**
 * @param {number} bytes
 * @param {Buffer | undefined} digest
 */
export function encodeReceipt(bytes, digest) {
  const receipt = Buffer.alloc(receiptBytes);
  receipt.writeBigUInt64BE(BigInt(bytes));
  digest?.copy(receipt, 8);
  return receipt;
}

/** @param {Buffer} receipt */
export function decodeReceipt(receipt) {
  return { bytes: Number(receipt.readBigUInt64BE(0)), digest: receipt.subarray(8, receiptBytes) };
}

/**
 * What floods consist of, again and again: about 64 KiB, as VNC servers write, a FramebufferUpdate with one raw rectangle.
 * Its period divides no buffer.
 */
export const floodBlock = Buffer.concat([
  ...[Buffer.of(0, 0), words(1, 0, 0, width, height, 0, 0)],
  Buffer.from(Array.from({ length: width * height * 4 }, (_none, index) => (index * 7 + (index >> 8)) % 251)),
]);

/** @param {readonly number[]} values of 16 bits each */
function words(...values) {
  return Buffer.from(values.flatMap((value) => [value >> 8, value & 0xff]));
}

/**
 * SHA-256 of the first bytes of an endless repetition of a block.
 * @param {Buffer} block
 * @param {number} bytes
 */
export function digestOfRepeated(block, bytes) {
  const hash = createHash('sha256');
  for (let left = bytes; left > 0; left -= block.length)
    hash.update(block.subarray(0, Math.min(left, block.length)));
  return hash.digest();
}
