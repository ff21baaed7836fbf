// A VNC viewer without a window: connects as noVNC would and tells what it saw of the first picture.
// What always holds: nothing that the server sends is believed before it is bounded, and an aborted signal ends
// every wait.
import type { Duplex } from 'node:stream';
import { ByteReader, READ_MAX_BYTES } from './byte-reader.js';
import {
  authenticate,
  exchangeVersions,
  readServerInit,
  type Screen,
  type Security,
} from './client-handshake.js';
import { SERVER_FORMAT, serializePixelFormat } from './pixel-format.js';
import { ProtocolError } from './rfb-error.js';
import type { Rectangle } from './rfb-messages.js';

/** What was seen. */
export interface FirstPicture extends Screen {
  /** As the server greeted: `003.008`. */
  readonly version: string;
  readonly security: Security;
  readonly rectangles: readonly Rectangle[];
  /** Different colours in the picture, counted up to COLOURS_COUNTED_MAX. */
  readonly distinctColours: number;
}

/** An empty password: the server is expected to want none. */
export interface ViewingOptions {
  readonly password: string;
  readonly signal: AbortSignal;
}

const RAW = 0;
const PIXEL_BYTES = 4;

const CUT_TEXT_MAX_BYTES = 1024 * 1024;
const RECTANGLES_MAX = 4096;
const COLOURS_COUNTED_MAX = 65_536;

/**
 * Shakes hands over `stream` (RFB 3.8; None or VNC Authentication), asks for the whole screen and reads the first
 * FramebufferUpdate (RFC 6143 sections 7.1 to 7.6.1). Destroys the stream at the end, whatever it is.
 * @throws ProtocolError with what the server said or did wrong
 * @throws StreamEndedError where the connection ended; the signal's reason where that was it
 */
export async function viewFirstPicture(
  stream: Duplex,
  { password, signal }: ViewingOptions,
): Promise<FirstPicture> {
  signal.throwIfAborted();
  const abort = () => stream.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const reader = new ByteReader(stream);
    const version = await exchangeVersions(reader, stream);
    const security = await authenticate(reader, stream, password);
    stream.write(Buffer.from([1])); // ClientInit: shared
    const screen = await readServerInit(reader);
    requestPicture(stream, screen);
    return { version, security, ...screen, ...(await readPicture(reader, screen)) };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
    stream.destroy();
  }
}

/** SetPixelFormat, SetEncodings with Raw alone, and a request for everything. */
function requestPicture(stream: Duplex, { width, height }: Screen): void {
  const request = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  request.writeUInt16BE(width, 6);
  request.writeUInt16BE(height, 8);
  stream.write(
    Buffer.concat([
      Buffer.from([0, 0, 0, 0]),
      serializePixelFormat(SERVER_FORMAT),
      Buffer.from([2, 0, 0, 1, 0, 0, 0, RAW]),
      request,
    ]),
  );
}

async function readPicture(
  reader: ByteReader,
  screen: Screen,
): Promise<Pick<FirstPicture, 'rectangles' | 'distinctColours'>> {
  await skipToUpdate(reader);
  const count = (await reader.read(3)).readUInt16BE(1);
  if (count > RECTANGLES_MAX) throw new ProtocolError(`${count} rectangles in one update`);
  const rectangles: Rectangle[] = [];
  const colours = new Set<number>();
  for (let index = 0; index < count; index++) {
    const rectangle = await readRectangle(reader, screen);
    rectangles.push(rectangle);
    await countColours(reader, rectangle.width * rectangle.height * PIXEL_BYTES, colours);
  }
  return { rectangles, distinctColours: colours.size };
}

/** Bell and ServerCutText may come first; a colour map cannot, in true colour. */
async function skipToUpdate(reader: ByteReader): Promise<void> {
  for (;;) {
    const type = await reader.readUint8();
    if (type === 0) return;
    if (type === 3) {
      const length = (await reader.read(7)).readUInt32BE(3);
      if (length > CUT_TEXT_MAX_BYTES) throw new ProtocolError(`a clipboard of ${length} bytes`);
      await reader.skip(length);
    } else if (type !== 2) throw new ProtocolError(`unknown message type ${type}`);
  }
}

async function readRectangle(reader: ByteReader, screen: Screen): Promise<Rectangle> {
  const head = await reader.read(12);
  const x = head.readUInt16BE(0);
  const y = head.readUInt16BE(2);
  const width = head.readUInt16BE(4);
  const height = head.readUInt16BE(6);
  if (x + width > screen.width || y + height > screen.height) {
    throw new ProtocolError('a rectangle outside the screen');
  }
  const encoding = head.readInt32BE(8);
  if (encoding !== RAW) throw new ProtocolError(`encoding ${encoding}, though only Raw was asked for`);
  return { x, y, width, height };
}

async function countColours(reader: ByteReader, sizeBytes: number, colours: Set<number>): Promise<void> {
  for (let left = sizeBytes; left > 0; left -= READ_MAX_BYTES) {
    const pixels = await reader.read(Math.min(left, READ_MAX_BYTES));
    for (let at = 0; at < pixels.length && colours.size < COLOURS_COUNTED_MAX; at += PIXEL_BYTES) {
      colours.add(pixels.readUInt32LE(at) & 0xffffff);
    }
  }
}
