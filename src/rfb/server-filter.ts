// The VM's bytes on their way to the browser, read message by message where something in them counts: ServerCutText is left
// out where the VM's clipboard must not get there, and it is heard whether the server reads longer pointer messages.
// What always holds: pictures are counted and not looked at; nothing waits and nothing is copied but to close a gap, so that
// names and texts may be of any length; what cannot be measured ends the session, when it is to be measured and not when it
// is announced. It rests on the browser's filter, which offers the server no other encodings.
import { Encoding } from './client-encodings.js';
import { RfbViolation } from './client-violation.js';
import { PIXEL_FORMAT_BYTES, PixelFormat } from './server-pixel-format.js';
import { rectangleSteps } from './server-rectangles.js';
import type { Step } from './server-tight.js';

const ServerType = {
  update: 0,
  colourMap: 1,
  bell: 2,
  cutText: 3,
  endOfContinuousUpdates: 150,
  fence: 248,
  xvp: 250,
} as const;

/** ServerInit without its name: width and height, the pixel format, the length of the name. */
const SERVER_INIT_BYTES = 24;
const SCREEN_SIZE_BYTES = 4;
/** The longest head is a Tight palette: 256 colours of three bytes. */
const HEAD_BYTES = 768;
const COLOUR_BYTES = 6;

export interface ServerFilterOptions {
  /** ServerCutText is left in. */
  readonly passesCutText?: boolean;
  /** Told each time the server says that it reads longer pointer messages, before the browser can know. */
  readonly longPointersRead?: () => void;
}

export class ServerFilter {
  /** ServerCutText messages left out. */
  dropped = 0;
  private readonly message: Step = { head: 1, read: (bytes, at) => this.takeType(bytes.readUInt8(at)) };
  private readonly rectangle: Step = { head: 12, read: (bytes, at) => this.takeRectangle(bytes, at) };
  /** What the next bytes are, once `skipLeft` have gone by. */
  private step: Step = { head: SERVER_INIT_BYTES, read: (bytes, at) => this.takeServerInit(bytes, at) };
  private skipLeft = 0;
  private readonly held: Buffer = Buffer.allocUnsafe(HEAD_BYTES);
  private heldBytes = 0;
  /** Of the FramebufferUpdate that is being read. */
  private rectanglesLeft = 0;
  private isDropping = false;
  private announced: PixelFormat | undefined;
  private chosen: PixelFormat | undefined;
  private readonly options: ServerFilterOptions;

  /** Bytes are expected from ServerInit on. */
  constructor(options: ServerFilterOptions = {}) {
    this.options = options;
  }

  /** Whether all that came were whole messages. */
  get isBetweenMessages(): boolean {
    return this.step === this.message && this.skipLeft === 0;
  }

  /** As the browser sets it (`pixelFormatSet` of its filter). It may be quicker than ServerInit, and counts all the same. */
  setPixelFormat(format: PixelFormat): void {
    this.chosen = format;
  }

  /** That of ServerInit, once it has come. */
  get announcedFormat(): PixelFormat | undefined {
    return this.announced;
  }

  /**
   * Takes out of `memory[start, end)` what the browser must not see, and closes the gaps.
   * @param end above `start`; bytes are expected from ServerInit on
   * @returns the end of what is left, which begins at `start`; maybe nothing
   * @throws RfbViolation: the session is to be ended, and nothing of it goes on
   */
  keep(memory: Buffer, start: number, end: number): number {
    // memory[start, kept) is what is left so far, and memory[run, at) is to follow it.
    let kept = start;
    let run = start;
    let at = start;
    while (at < end) {
      if (this.skipLeft > 0) {
        const length = Math.min(this.skipLeft, end - at);
        this.skipLeft -= length;
        at += length;
      } else {
        if (this.step === this.message && memory[at] === ServerType.cutText && !this.options.passesCutText) {
          kept = append(memory, kept, run, at);
          this.isDropping = true;
          this.dropped++;
        }
        at = this.takeHead(memory, at, end);
      }
      if (this.isDropping) run = at;
      if (this.isBetweenMessages) this.isDropping = false;
    }
    return append(memory, kept, run, end);
  }

  /** @returns where the bytes end that this has taken */
  private takeHead(memory: Buffer, at: number, end: number): number {
    const { step } = this;
    if ('skip' in step) throw new TypeError('a step without a head');
    const missing = step.head - this.heldBytes;
    const taken = Math.min(missing, end - at);
    if (this.heldBytes === 0 && taken === missing) {
      this.follow(step.read(memory, at));
    } else {
      memory.copy(this.held, this.heldBytes, at, at + taken);
      this.heldBytes += taken;
      if (taken === missing) {
        this.heldBytes = 0;
        this.follow(step.read(this.held, 0));
      }
    }
    return at + taken;
  }

  private follow(step: Step): void {
    if ('head' in step) {
      this.step = step;
      return;
    }
    this.skipLeft = step.skip;
    this.step = this.rectanglesLeft > 0 ? this.rectangle : this.message;
  }

  private takeServerInit(bytes: Buffer, at: number): Step {
    const formatAt = at + SCREEN_SIZE_BYTES;
    this.announced = new PixelFormat(bytes.subarray(formatAt, formatAt + PIXEL_FORMAT_BYTES));
    return { skip: bytes.readUInt32BE(at + SERVER_INIT_BYTES - 4) };
  }

  private takeType(type: number): Step {
    switch (type) {
      case ServerType.update:
        return { head: 3, read: (bytes, at) => this.takeUpdate(bytes.readUInt16BE(at + 1)) };
      case ServerType.colourMap:
        return { head: 5, read: (bytes, at) => ({ skip: bytes.readUInt16BE(at + 3) * COLOUR_BYTES }) };
      // Of the extended clipboard as well, whose length is below 0.
      case ServerType.cutText:
        return { head: 7, read: (bytes, at) => ({ skip: Math.abs(bytes.readInt32BE(at + 3)) }) };
      case ServerType.fence:
        return { head: 8, read: (bytes, at) => ({ skip: bytes.readUInt8(at + 7) }) };
      case ServerType.xvp:
        return { skip: 3 };
      case ServerType.bell:
      case ServerType.endOfContinuousUpdates:
        return { skip: 0 };
      default:
        throw new RfbViolation(`the server sent an unknown message (type ${type})`);
    }
  }

  private takeUpdate(rectangles: number): Step {
    this.rectanglesLeft = rectangles;
    return { skip: 0 };
  }

  private takeRectangle(bytes: Buffer, at: number): Step {
    const [width, height] = [bytes.readUInt16BE(at + 4), bytes.readUInt16BE(at + 6)];
    const encoding = bytes.readInt32BE(at + 8);
    if (encoding === Encoding.extendedMouseButtons) this.options.longPointersRead?.();
    this.rectanglesLeft = encoding === Encoding.lastRect ? 0 : this.rectanglesLeft - 1;
    return rectangleSteps({ width, height, encoding }, this.pixelBytes);
  }

  /** In the format that is in force. @throws RfbViolation where it has no size that is known */
  private readonly pixelBytes = (): number => {
    const format = this.chosen ?? this.announced;
    if (format === undefined) throw new TypeError('a picture before ServerInit');
    return format.bytesPerPixel;
  };
}

/** Moves `memory[from, to)` to `kept`. @returns where it ends then */
function append(memory: Buffer, kept: number, from: number, to: number): number {
  if (kept !== from && to > from) memory.copyWithin(kept, from, to);
  return kept + to - from;
}
