// What a viewer sends after the handshake, read from the wire into typed messages.
// What always holds: every length is checked before it is used, and an unknown message ends the connection,
// because without its length nothing after it can be read.
import type { ByteReader } from './byte-reader.js';
import { PIXEL_FORMAT_BYTES, type PixelFormat, parsePixelFormat } from './pixel-format.js';
import { ProtocolError } from './rfb-error.js';

/** An area of the screen, in pixels. */
export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A client-to-server message (RFC 6143 section 7.5). */
export type ClientMessage =
  | { readonly type: 'set-pixel-format'; readonly format: PixelFormat }
  | { readonly type: 'update-request'; readonly incremental: boolean; readonly area: Rectangle }
  | { readonly type: 'key'; readonly down: boolean; readonly keysym: number }
  | { readonly type: 'pointer'; readonly buttons: number; readonly x: number; readonly y: number }
  | { readonly type: 'cut-text'; readonly text: string }
  /** Read whole, of no consequence here. */
  | { readonly type: 'ignored' };

/** No real viewer names more encodings. */
export const ENCODINGS_MAX = 1024;
/** What is kept of a clipboard, in bytes; the rest is read and dropped. */
export const CUT_TEXT_KEPT_BYTES = 65_536;
/** A longer clipboard ends the connection, in bytes. */
export const CUT_TEXT_MAX_BYTES = 16 * 1024 * 1024;

/**
 * Reads the next message.
 * @throws ProtocolError for what is unknown or too large
 * @throws StreamEndedError where the connection ends
 */
export async function readClientMessage(reader: ByteReader): Promise<ClientMessage> {
  const type = await reader.readUint8();
  switch (type) {
    case 0:
      return readSetPixelFormat(reader);
    case 2:
      return readSetEncodings(reader);
    case 3:
      return readUpdateRequest(reader);
    case 4: {
      const bytes = await reader.read(7);
      return { type: 'key', down: bytes.readUInt8(0) !== 0, keysym: bytes.readUInt32BE(3) };
    }
    case 5: {
      const bytes = await reader.read(5);
      return {
        type: 'pointer',
        buttons: bytes.readUInt8(0),
        x: bytes.readUInt16BE(1),
        y: bytes.readUInt16BE(3),
      };
    }
    case 6:
      return readCutText(reader);
    default:
      throw new ProtocolError(`unknown message type ${type}`);
  }
}

async function readSetPixelFormat(reader: ByteReader): Promise<ClientMessage> {
  const bytes = await reader.read(3 + PIXEL_FORMAT_BYTES);
  const format = parsePixelFormat(bytes.subarray(3));
  if (format === undefined) throw new ProtocolError('a pixel format that is not supported');
  return { type: 'set-pixel-format', format };
}

/** Which encodings a viewer knows is of no interest here: all of them must understand Raw. */
async function readSetEncodings(reader: ByteReader): Promise<ClientMessage> {
  const count = (await reader.read(3)).readUInt16BE(1);
  if (count > ENCODINGS_MAX) throw new ProtocolError(`${count} encodings`);
  await reader.skip(count * 4);
  return { type: 'ignored' };
}

async function readUpdateRequest(reader: ByteReader): Promise<ClientMessage> {
  const bytes = await reader.read(9);
  const area = {
    x: bytes.readUInt16BE(1),
    y: bytes.readUInt16BE(3),
    width: bytes.readUInt16BE(5),
    height: bytes.readUInt16BE(7),
  };
  return { type: 'update-request', incremental: bytes.readUInt8(0) !== 0, area };
}

async function readCutText(reader: ByteReader): Promise<ClientMessage> {
  // A negative length marks the extended clipboard. It was never offered, so its content is passed over.
  const signedLength = (await reader.read(7)).readInt32BE(3);
  const length = Math.abs(signedLength);
  if (length > CUT_TEXT_MAX_BYTES) throw new ProtocolError(`a clipboard of ${length} bytes`);
  if (signedLength < 0) {
    await reader.skip(length);
    return { type: 'ignored' };
  }
  const kept = await reader.read(Math.min(length, CUT_TEXT_KEPT_BYTES));
  await reader.skip(length - kept.length);
  return { type: 'cut-text', text: kept.toString('latin1') };
}
