// One viewer of the demo's desktop, from its first byte to its last: handshake, input in, pictures out.
// What always holds: it gets pictures only when it asked and has taken the one before; whatever it sends, it ends
// alone, and at its end nothing of it stays behind.
import type { Socket } from 'node:net';
import { ByteReader } from './byte-reader.js';
import type { Canvas } from './canvas.js';
import { type Desktop, movePointer, pressKey, receiveClipboard, releaseInput } from './desktop.js';
import { encodeUpdate, takeChanges, UNKNOWN_PIXEL } from './framebuffer-update.js';
import { type PixelFormat, SERVER_FORMAT } from './pixel-format.js';
import { type ClientMessage, type Rectangle, readClientMessage } from './rfb-messages.js';
import { acceptViewer, type HandshakeOffer } from './server-handshake.js';

const HANDSHAKE_TIMEOUT_MS = 10_000;
/** For a refusal's last bytes to be taken. */
const FAREWELL_TIMEOUT_MS = 1_000;

/** A connected viewer. */
export interface Viewer {
  /** Whether a picture would be sent now. */
  isWaiting(): boolean;
  /** Sends what changed since the viewer's last picture, or nothing. */
  sendChanges(picture: Canvas): void;
  /** Fulfilled when the connection is closed; never rejected. */
  readonly closed: Promise<void>;
  destroy(): void;
}

/** Serves one connection. The desktop is changed by what the viewer does. */
export function serveViewer(socket: Socket, desktop: Desktop, offer: HandshakeOffer): Viewer {
  const screen = { x: 0, y: 0, width: offer.width, height: offer.height };
  const known = new Uint32Array(offer.width * offer.height).fill(UNKNOWN_PIXEL);
  let format: PixelFormat = SERVER_FORMAT;
  let wanted: Rectangle | undefined;

  const take = (message: ClientMessage) => {
    switch (message.type) {
      case 'set-pixel-format':
        format = message.format;
        break;
      case 'update-request': {
        const area = intersect(message.area, screen);
        if (!message.incremental) forget(known, screen.width, area);
        wanted = wanted === undefined ? area : unite(wanted, area);
        break;
      }
      case 'key':
        pressKey(desktop, message.keysym, message.down);
        break;
      case 'pointer':
        movePointer(
          desktop,
          Math.min(message.x, screen.width - 1),
          Math.min(message.y, screen.height - 1),
          message.buttons,
          Date.now(),
        );
        break;
      case 'cut-text':
        receiveClipboard(desktop, message.text);
        break;
    }
  };

  const reader = new ByteReader(socket);
  const run = async () => {
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_TIMEOUT_MS);
    try {
      await acceptViewer(reader, socket, offer);
    } finally {
      clearTimeout(timer);
    }
    desktop.viewerCount++;
    try {
      for (;;) take(await readClientMessage(reader));
    } finally {
      desktop.viewerCount--;
      releaseInput(desktop);
    }
  };

  const closed = run()
    // A broken protocol, a wrong password, a lost connection: all the same to the demo, the viewer is gone.
    .catch(() => {})
    .then(() => endSocket(socket, reader));
  return {
    isWaiting: () => wanted !== undefined && socket.writableLength === 0 && socket.writable,
    sendChanges(picture) {
      if (wanted === undefined) return;
      const rectangles = takeChanges(picture, known, wanted);
      if (rectangles.length === 0) return;
      wanted = undefined;
      socket.write(encodeUpdate(picture, rectangles, format));
    },
    closed,
    destroy: () => socket.destroy(),
  };
}

/** Ends a connection so that what was written still arrives, and soon whether or not the peer plays along. */
async function endSocket(socket: Socket, reader: ByteReader): Promise<void> {
  if (socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => socket.destroy(), FAREWELL_TIMEOUT_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    reader.discard();
    socket.end();
  });
}

function forget(known: Uint32Array, stride: number, area: Rectangle): void {
  for (let y = area.y; y < area.y + area.height; y++) {
    known.fill(UNKNOWN_PIXEL, y * stride + area.x, y * stride + area.x + area.width);
  }
}

function intersect(area: Rectangle, screen: Rectangle): Rectangle {
  const x = Math.min(area.x, screen.width);
  const y = Math.min(area.y, screen.height);
  return {
    x,
    y,
    width: Math.min(area.width, screen.width - x),
    height: Math.min(area.height, screen.height - y),
  };
}

/** The smallest rectangle around both. */
function unite(one: Rectangle, other: Rectangle): Rectangle {
  const x = Math.min(one.x, other.x);
  const y = Math.min(one.y, other.y);
  const right = Math.max(one.x + one.width, other.x + other.width);
  const bottom = Math.max(one.y + one.height, other.y + other.height);
  return { x, y, width: right - x, height: bottom - y };
}
