// WebSocket frames of a browser in, payload and control events out (RFC 6455 section 5), strictly.
// What always holds: nothing is collected but a header and a control frame, at most 139 bytes; payload is unmasked in
// the buffer it came in and handed on at once, all of one read in one piece.
import {
  CONTROL,
  closeProblem,
  FIN,
  headerLength,
  headerProblem,
  MAX_CONTROL_BYTES,
  MAX_HEADER_BYTES,
  NO_CODE,
  OPCODE,
  Opcode,
  payloadLength,
} from './frame-header.js';
import { unmask, unmaskBytes } from './unmask.js';

export interface FrameEvents {
  /** Payload of data frames, in order; the bytes are the receiver's to keep. */
  onPayload(bytes: Buffer): void;
  onPing(data: Buffer): void;
  onPong(): void;
  /** A valid Close frame; `code` is 1005 where it has none. Nothing is read after it. */
  onClose(code: number): void;
  /** The protocol is broken; to be answered with this close code. Nothing is read after it. */
  onViolation(code: number, what: string): void;
}

/** Longer ones are unmasked by words where they lie, and moved after that. */
const UNMASK_AND_MOVE_UP_TO = 1024;

export class FrameReader {
  private readonly events: FrameEvents;
  /** A header that the end of a read cut in two; a silent session holds none. */
  private header: Buffer | undefined;
  private headerBytes = 0;
  private mask = 0;
  private opcode = 0;
  /** Payload of the present frame that is still to come, and that has come. */
  private remaining = 0;
  private seen = 0;
  private inFrame = false;
  /** Between the first and the last frame of a message. */
  private inMessage = false;
  private control: Buffer | undefined;
  /** How reading ended, to be told when the payload before it has been passed on. */
  private end: (() => void) | undefined;
  /** The gathered payload of the present read: `chunk[gatheredFrom, gatheredTo)`. */
  private gatheredFrom = 0;
  private gatheredTo = 0;

  constructor(events: FrameEvents) {
    this.events = events;
  }

  /** Reads what has come; `chunk` is changed in place and handed on in pieces. */
  read(chunk: Buffer): void {
    if (this.end !== undefined) return;
    this.gatheredFrom = 0;
    this.gatheredTo = 0;
    let at = 0;
    while (this.end === undefined) {
      if (!this.inFrame) {
        if (at >= chunk.length) break;
        at = this.readHeader(chunk, at);
        if (!this.inFrame) continue;
      }
      const to = Math.min(chunk.length, at + this.remaining);
      if (this.opcode & CONTROL) this.readControl(chunk, at, to);
      else this.readPayload(chunk, at, to);
      this.remaining -= to - at;
      this.seen += to - at;
      at = to;
      if (this.remaining > 0) break;
      this.inFrame = false;
      if (this.opcode & CONTROL) this.endControl();
    }
    this.flush(chunk);
    // Read through a method: a frame in between may have set it.
    this.tellEnd();
  }

  private tellEnd(): void {
    this.end?.();
  }

  /** @returns where the header ends; `inFrame` tells whether it was there whole */
  private readHeader(chunk: Buffer, at: number): number {
    // Whole in this chunk, as nearly all are: read where it lies.
    if (this.headerBytes === 0) {
      const length = headerLength(chunk, at, chunk.length);
      if (length > 0 && at + length <= chunk.length) {
        this.takeHeader(chunk, at, length);
        return at + length;
      }
    }
    this.header ??= Buffer.allocUnsafe(MAX_HEADER_BYTES);
    const { header } = this;
    let next = at;
    for (;;) {
      const length = headerLength(header, 0, this.headerBytes);
      if (length > 0 && this.headerBytes === length) {
        this.headerBytes = 0;
        this.header = undefined;
        this.takeHeader(header, 0, length);
        return next;
      }
      if (next >= chunk.length) return next;
      header[this.headerBytes++] = chunk[next++] as number;
    }
  }

  private takeHeader(bytes: Buffer, at: number, length: number): void {
    const problem = headerProblem(bytes, at, this.inMessage);
    if (problem !== undefined) {
      this.end = () => this.events.onViolation(problem.code, problem.what);
      return;
    }
    const first = bytes[at] as number;
    this.mask = bytes.readInt32LE(at + length - 4);
    this.opcode = first & OPCODE;
    this.remaining = payloadLength(bytes, at);
    this.seen = 0;
    this.inFrame = true;
    if (!(this.opcode & CONTROL)) this.inMessage = !(first & FIN);
  }

  private readPayload(chunk: Buffer, from: number, to: number): void {
    const length = to - from;
    if (length === 0) return;
    const { gatheredFrom, gatheredTo } = this;
    const gathered = gatheredTo - gatheredFrom;
    if (gathered > 0 && length <= UNMASK_AND_MOVE_UP_TO) {
      unmaskBytes(chunk, from, to, gatheredTo, this.mask, this.seen);
      this.gatheredTo += length;
      return;
    }
    unmask(chunk, from, to, this.mask, this.seen);
    // Moving the shorter part over the header between them costs less than passing on twice.
    if (gathered > length) {
      chunk.copyWithin(gatheredTo, from, to);
      this.gatheredTo += length;
    } else {
      chunk.copyWithin(from - gathered, gatheredFrom, gatheredTo);
      this.gatheredFrom = from - gathered;
      this.gatheredTo = to;
    }
  }

  private flush(chunk: Buffer): void {
    const { gatheredFrom: from, gatheredTo: to } = this;
    if (to === from) return;
    this.gatheredFrom = 0;
    this.gatheredTo = 0;
    this.events.onPayload(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to));
  }

  private readControl(chunk: Buffer, from: number, to: number): void {
    this.control ??= Buffer.allocUnsafe(MAX_CONTROL_BYTES);
    unmask(chunk, from, to, this.mask, this.seen);
    chunk.copy(this.control, this.seen, from, to);
  }

  private endControl(): void {
    const data = Buffer.from(this.control?.subarray(0, this.seen) ?? []);
    this.control = undefined;
    if (this.opcode === Opcode.ping) this.events.onPing(data);
    else if (this.opcode === Opcode.pong) this.events.onPong();
    else this.endClose(data);
  }

  private endClose(data: Buffer): void {
    const code = data.length < 2 ? NO_CODE : data.readUInt16BE(0);
    const problem = closeProblem(data, code);
    this.end = () => {
      if (problem === undefined) this.events.onClose(code);
      else this.events.onViolation(problem.code, problem.what);
    };
  }
}
