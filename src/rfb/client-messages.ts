// The messages that a browser may send after ClientInit, and how long each is (RFC 6143 section 7.5, the rfbproto
// document for the extensions, noVNC 1.7's core/rfb.js for what is really sent).
// What always holds: every length is checked before it is used; an unknown message throws, for its length is unknown too.
import { RfbViolation } from './client-violation.js';

/** The first byte of a message. */
export const ClientType = {
  setPixelFormat: 0,
  setEncodings: 2,
  updateRequest: 3,
  key: 4,
  pointer: 5,
  cutText: 6,
  continuousUpdates: 150,
  fence: 248,
  xvp: 250,
  setDesktopSize: 251,
  qemu: 255,
} as const;

/** The second byte of a QEMU message. */
export const QemuType = { key: 0, audio: 1 } as const;

/** No viewer names more encodings (noVNC: about thirty). */
export const ENCODINGS_MAX = 1024;
/** In bytes. Servers take far less: QEMU a mebibyte, TigerVNC a quarter of it. */
export const CUT_TEXT_MAX_BYTES = 16 * 1024 * 1024;
/** In bytes (rfbproto, ClientFence). */
const FENCE_MAX_BYTES = 64;
/** Set in a pointer's button mask: one more byte of buttons follows, where that was agreed upon. */
export const POINTER_MARKER = 0x80;
const SCREEN_BYTES = 16;
const CUT_TEXT_BYTES = 8;
const EXTENDED_FLAGS_BYTES = 4;
/** The second part of a QEMU audio message: enable, disable, set-format. */
const AUDIO_BYTES = [4, 4, 10];

/**
 * How many bytes from the start of a message must be seen to know what it is and how long it is. With a result above
 * `available` nothing is known yet: ask again with so many.
 * @param available bytes from `at` on, at least 1
 * @param longPointers whether a pointer message may have its longer form (client-pointers.ts)
 * @throws RfbViolation
 */
export function headBytes(bytes: Buffer, at: number, available: number, longPointers: boolean): number {
  const type = bytes[at];
  switch (type) {
    case ClientType.pointer:
      if (!longPointers) return 6;
      return available < 2 ? 2 : (bytes[at + 1] ?? 0) & POINTER_MARKER ? 7 : 6;
    case ClientType.key:
      return 8;
    case ClientType.updateRequest:
    case ClientType.continuousUpdates:
      return 10;
    case ClientType.qemu:
      return qemuBytes(bytes, at, available);
    case ClientType.cutText:
      if (available < CUT_TEXT_BYTES) return CUT_TEXT_BYTES;
      return CUT_TEXT_BYTES + (cutTextBytes(bytes, at) < 0 ? EXTENDED_FLAGS_BYTES : 0);
    case ClientType.fence:
      return 9;
    case ClientType.xvp:
      return 4;
    case ClientType.setDesktopSize:
      return available < 8 ? 8 : 8 + SCREEN_BYTES * (bytes[at + 6] ?? 0);
    case ClientType.setPixelFormat:
      return 20;
    case ClientType.setEncodings:
      return available < 4 ? 4 : 4 + 4 * encodingCount(bytes, at);
    default:
      throw new RfbViolation(`the browser sent an unknown message (type ${type})`);
  }
}

/** How many bytes follow a head that is there as a whole; only for messages that carry somebody's text or token. */
export function bodyBytes(bytes: Buffer, at: number): number {
  switch (bytes[at]) {
    case ClientType.cutText: {
      const length = cutTextBytes(bytes, at);
      return length < 0 ? -length - EXTENDED_FLAGS_BYTES : length;
    }
    case ClientType.fence: {
      const length = bytes.readUInt8(at + 8);
      if (length > FENCE_MAX_BYTES) throw new RfbViolation(`the browser sent a fence of ${length} bytes`);
      return length;
    }
    default:
      return 0;
  }
}

/** @returns the announced length of a ClientCutText; below 0: its amount, and an Extended Clipboard message */
export function cutTextBytes(bytes: Buffer, at: number): number {
  const length = bytes.readInt32BE(at + 4);
  const amount = Math.abs(length);
  if (amount > CUT_TEXT_MAX_BYTES || (length < 0 && amount < EXTENDED_FLAGS_BYTES)) {
    throw new RfbViolation(`the browser announced a clipboard of ${length} bytes`);
  }
  return length;
}

function encodingCount(bytes: Buffer, at: number): number {
  const count = bytes.readUInt16BE(at + 2);
  if (count > ENCODINGS_MAX) throw new RfbViolation(`the browser named ${count} encodings`);
  return count;
}

function qemuBytes(bytes: Buffer, at: number, available: number): number {
  if (available < 2) return 2;
  const subtype = bytes[at + 1];
  if (subtype === QemuType.key) return 12;
  if (subtype !== QemuType.audio) {
    throw new RfbViolation(`the browser sent an unknown QEMU message (type ${subtype})`);
  }
  if (available < 4) return 4;
  const operation = bytes.readUInt16BE(at + 2);
  const length = AUDIO_BYTES[operation];
  if (length === undefined) {
    throw new RfbViolation(`the browser sent an unknown QEMU audio message (${operation})`);
  }
  return length;
}
