// @ts-check
// WebSocket frames, as much of RFC 6455 section 5 as a load needs: masked binary frames built once, and a reader
// that finds the payload in what a server sends, however it is cut. Nothing is copied while reading.

/** The first byte of a frame: FIN and the opcode. */
const finalBinary = 0x82;
const finalClose = 0x88;
const finalPong = 0x8a;
const pingOpcode = 0x9;

/**
 * A masked frame, as browsers send it.
 * @param {Buffer} payload
 * @param {{ first?: number, mask?: readonly number[] }} options
 * @returns {Buffer}
 */
export function maskedFrame(payload, { first = finalBinary, mask = [0x37, 0xfa, 0x21, 0x3d] } = {}) {
  const header = Buffer.from([first, ...lengthBytes(payload.length), ...mask]);
  const masked = Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
  return Buffer.concat([header, masked]);
}

/**
 * @param {number} length
 * @returns {number[]} the length, mask bit set
 */
function lengthBytes(length) {
  if (length < 126) return [0x80 | length];
  if (length < 65_536) return [0x80 | 126, length >> 8, length & 0xff];
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(length));
  return [0x80 | 127, ...bytes];
}

/** A Close frame with code 1000. */
export const closeFrame = maskedFrame(Buffer.from([0x03, 0xe8]), { first: finalClose });

/** @param {Buffer} payload of the ping */
export function pongFrame(payload) {
  return maskedFrame(payload, { first: finalPong });
}

/** Reads the unmasked frames of a server. */
export class FrameReader {
  /** Bytes of the header of the frame that is being read. */
  #header = Buffer.alloc(10);
  #headerBytes = 0;
  /** What is still to come of its payload. */
  #left = 0;
  /** @type {number[]} */
  #ping = [];
  #onPayload;
  #onPing;

  /**
   * @param {(part: Buffer) => void} onPayload gets a view of what was read, valid during the call
   * @param {(payload: Buffer) => void} onPing
   */
  constructor(onPayload, onPing = () => {}) {
    this.#onPayload = onPayload;
    this.#onPing = onPing;
  }

  /** @param {Buffer} chunk */
  read(chunk) {
    for (let at = 0; at < chunk.length; ) {
      if (this.#left === 0) {
        this.#header[this.#headerBytes++] = chunk[at++] ?? 0;
        this.#left = this.#payloadLength();
        if (this.#left === 0) continue;
      }
      const end = Math.min(chunk.length, at + this.#left);
      if (end > at) this.#pass(chunk.subarray(at, end));
      at = end;
    }
  }

  /** @returns {number} 0 while the header is not complete, and where the frame is empty */
  #payloadLength() {
    const short = this.#header[1] ?? 0;
    if (this.#headerBytes < 2) return 0;
    if (short >= 128) throw new Error('the server sent a masked frame');
    const needed = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (this.#headerBytes < needed) return 0;
    this.#headerBytes = 0;
    if (short === 127) return Number(this.#header.readBigUInt64BE(2));
    if (short === 126) return this.#header.readUInt16BE(2);
    if (short === 0 && this.#opcode() === pingOpcode) this.#onPing(Buffer.alloc(0));
    return short;
  }

  #opcode() {
    return (this.#header[0] ?? 0) & 0x0f;
  }

  /** @param {Buffer} part */
  #pass(part) {
    this.#left -= part.length;
    const opcode = this.#opcode();
    if (opcode <= 2) return this.#onPayload(part);
    if (opcode !== pingOpcode) return;
    this.#ping.push(...part);
    if (this.#left === 0) this.#onPing(Buffer.from(this.#ping.splice(0)));
  }
}
