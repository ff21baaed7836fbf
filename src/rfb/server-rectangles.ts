// How long a rectangle of a FramebufferUpdate is, for each encoding that is let through in SetEncodings.
// What always holds: pixels are counted and never looked at; an encoding that is not known here throws.
import { Encoding } from './client-encodings.js';
import { RfbViolation } from './client-violation.js';
import { type Step, tightSteps } from './server-tight.js';

export interface Rectangle {
  readonly width: number;
  readonly height: number;
  /** Signed, 32 bits. */
  readonly encoding: number;
}

const NOTHING: Step = { skip: 0 };
const SCREEN_BYTES = 16;
const CURSOR_WITH_ALPHA = 1;

/**
 * @param pixelBytes of a pixel on the wire: 1, 2 or 4; asked only where the length depends on it, and may throw
 * @throws RfbViolation, as every step of it
 */
export function rectangleSteps({ width, height, encoding }: Rectangle, pixelBytes: () => number): Step {
  const pixels = width * height;
  switch (encoding) {
    case Encoding.raw:
      return { skip: pixels && pixels * pixelBytes() };
    case Encoding.copyRect:
      return { skip: 4 };
    case Encoding.rre:
      return counted(4, (count) => pixelBytes() + count * (pixelBytes() + 8));
    case Encoding.zlib:
    case Encoding.zrle:
    case Encoding.desktopName:
      return counted(4, (length) => length);
    case Encoding.tight:
    case Encoding.tightPng:
      return tightSteps(width, height);
    case Encoding.cursor:
      return { skip: pixels && pixels * pixelBytes() + Math.ceil(width / 8) * height };
    case Encoding.vmwareCursor:
      return vmwareCursor(pixels, pixelBytes);
    case Encoding.extendedDesktopSize:
      return { head: 4, read: (bytes, at) => ({ skip: bytes.readUInt8(at) * SCREEN_BYTES }) };
    case Encoding.ledState:
      return { skip: 1 };
    case Encoding.desktopSize:
    case Encoding.lastRect:
    case Encoding.qemuKey:
    case Encoding.extendedMouseButtons:
      return NOTHING;
    default:
      throw new RfbViolation(`the server used an encoding that was not offered (${encoding})`);
  }
}

function counted(head: number, skip: (count: number) => number): Step {
  return { head, read: (bytes, at) => ({ skip: skip(bytes.readUInt32BE(at)) }) };
}

/** With alpha four bytes a pixel, else two pictures in the screen's own format. */
function vmwareCursor(pixels: number, pixelBytes: () => number): Step {
  return {
    head: 2,
    read: (bytes, at) => ({
      skip: pixels && pixels * (bytes.readUInt8(at) === CURSOR_WITH_ALPHA ? 4 : 2 * pixelBytes()),
    }),
  };
}
