// Payload in, WebSocket frames out: a server's, unmasked and never fragmented (RFC 6455 section 5.2).

/** Room that a buffer keeps in front of its payload, for the longest header that is written here. */
export const HEADER_ROOM = 10;

const BINARY = 0x82;
const CLOSE = 0x88;
const PING = 0x89;
const PONG = 0x8a;
/** A control frame has 125 bytes, two of them the code. */
const MAX_REASON_BYTES = 123;

/**
 * Writes the header of a binary frame right before its payload.
 * @param start where the payload of `length` bytes begins, at least HEADER_ROOM
 * @returns where the frame begins
 */
export function writeHeader(memory: Buffer, start: number, length: number): number {
  if (length < 126) {
    memory[start - 2] = BINARY;
    memory[start - 1] = length;
    return start - 2;
  }
  if (length < 65536) {
    memory[start - 4] = BINARY;
    memory[start - 3] = 126;
    memory[start - 2] = length >>> 8;
    memory[start - 1] = length & 0xff;
    return start - 4;
  }
  memory[start - 10] = BINARY;
  memory[start - 9] = 127;
  memory.writeUInt32BE(Math.floor(length / 2 ** 32), start - 8);
  memory.writeUInt32BE(length >>> 0, start - 4);
  return start - 10;
}

/** A Close frame; without a code where it is 1005, which must not be sent. */
export function closeFrame(code: number, reason: string): Buffer {
  if (code === 1005) return Buffer.from([CLOSE, 0]);
  const text = Buffer.alloc(MAX_REASON_BYTES);
  // Whole characters only.
  const length = text.write(reason);
  return Buffer.concat([Buffer.from([CLOSE, 2 + length, code >>> 8, code & 0xff]), text.subarray(0, length)]);
}

export function pingFrame(): Buffer {
  return Buffer.from([PING, 0]);
}

/** @param data at most 125 bytes, as they came with the ping */
export function pongFrame(data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([PONG, data.length]), data]);
}
