// What a WebSocket frame's header and a Close frame's payload say, and what is wrong with them (RFC 6455 sections 5.2,
// 5.5 and 7.4). Pure: bytes in, an answer out.
import { isUtf8 } from 'node:buffer';

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export const FIN = 0x80;
export const OPCODE = 0x0f;
/** Set in the opcodes of control frames. */
export const CONTROL = 0x08;
export const MAX_CONTROL_BYTES = 125;
/** Two bytes, eight of length, four of the mask. */
export const MAX_HEADER_BYTES = 14;
/** Stands for a Close frame without a code; must not be sent. */
export const NO_CODE = 1005;

const RESERVED = 0x70;
const MASKED = 0x80;
const SHORT_LENGTH = 0x7f;
/** Frames are not collected, so this bounds nothing but nonsense. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;

export interface Problem {
  /** To be told to the browser. */
  readonly code: number;
  readonly what: string;
}

const broken = (what: string): Problem => ({ code: 1002, what });

/** What is wrong with a whole header. */
export function headerProblem(bytes: Buffer, at: number, inMessage: boolean): Problem | undefined {
  const first = bytes[at] as number;
  const second = bytes[at + 1] as number;
  const opcode = first & OPCODE;
  if (first & RESERVED) return broken('reserved bits');
  if (!(second & MASKED)) return broken('unmasked frame');
  if (opcode & CONTROL) {
    if (opcode > Opcode.pong) return broken('unknown opcode');
    if (!(first & FIN)) return broken('fragmented control frame');
    if ((second & SHORT_LENGTH) > MAX_CONTROL_BYTES) return broken('control frame too long');
  } else {
    if (opcode > Opcode.binary) return broken('unknown opcode');
    if (opcode === Opcode.continuation && !inMessage) return broken('continuation of nothing');
    if (opcode !== Opcode.continuation && inMessage) return broken('a message inside a message');
    if (opcode === Opcode.text) return { code: 1003, what: 'text frame' };
  }
  const length = payloadLength(bytes, at);
  if (length < 0) return broken('badly encoded length');
  return length > MAX_FRAME_BYTES ? { code: 1009, what: 'frame too long' } : undefined;
}

/** What is wrong with the payload of a Close frame. */
export function closeProblem(data: Buffer, code: number): Problem | undefined {
  if (data.length === 0) return undefined;
  if (data.length === 1) return broken('Close of one byte');
  if (!isValidCloseCode(code)) return broken('invalid close code');
  return isUtf8(data.subarray(2)) ? undefined : { code: 1007, what: 'close reason that is not UTF-8' };
}

/** Length of the header that begins at `at`, or 0 where its first two bytes are not there yet. */
export function headerLength(bytes: Buffer, at: number, end: number): number {
  if (end - at < 2) return 0;
  const second = bytes[at + 1] as number;
  const short = second & SHORT_LENGTH;
  return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (second & MASKED ? 4 : 0);
}

/** The announced length; -1 where it is not in the shortest form, or negative as a 64-bit number. */
export function payloadLength(bytes: Buffer, at: number): number {
  const short = (bytes[at + 1] as number) & SHORT_LENGTH;
  if (short < 126) return short;
  if (short === 126) {
    const length = bytes.readUInt16BE(at + 2);
    return length < 126 ? -1 : length;
  }
  const high = bytes.readUInt32BE(at + 2);
  const length = high * 2 ** 32 + bytes.readUInt32BE(at + 6);
  return high > 0x7fffffff || length < 65536 ? -1 : length;
}

/** RFC 6455 section 7.4 and IANA's registry: what an endpoint may send. */
function isValidCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== NO_CODE && code !== 1006;
}
