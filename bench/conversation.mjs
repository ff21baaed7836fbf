// @ts-check
// What browser and target of a load say to each other through the relay: after the target's greeting one command of
// the browser, and then bytes. What always holds: both know beforehand how many, so that both can tell when it is done.
import { createHash } from 'node:crypto';

/** The target sends this first, as a VNC server does (RFC 6143 section 7.1.1). */
export const greeting = Buffer.from('RFB 003.008\n');

/** flood: the target sends; sink: it reads, and answers with a receipt; echo: everything comes back. */
export const commands = /** @type {const} */ ({ flood: 1, sink: 2, checkedSink: 3, echo: 4 });

export const commandBytes = 9;
/** Number of bytes, and the SHA-256 of them or zeros. */
export const receiptBytes = 8 + 32;

/**
 * @param {keyof typeof commands} name
 * @param {number} bytes that will be moved
 */
export function encodeCommand(name, bytes) {
  const command = Buffer.alloc(commandBytes);
  command[0] = commands[name];
  command.writeBigUInt64BE(BigInt(bytes), 1);
  return command;
}

/** @param {Buffer} command */
export function decodeCommand(command) {
  return { code: command[0], bytes: Number(command.readBigUInt64BE(1)) };
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

/** What floods consist of, again and again: about 64 KiB, as VNC servers write. Its period divides no buffer. */
export const floodBlock = Buffer.from(
  Array.from({ length: 251 * 261 }, (_none, index) => (index * 7 + (index >> 8)) % 251),
);

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
