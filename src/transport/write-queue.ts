// What is on its way to a target, over any stream: the writing half of every connection.
// What always holds: what waits is bounded in bytes and in pieces, and `drained` comes only after a write that said no.
import type { Duplex } from 'node:stream';
import { QUEUED_PIECES, TARGET_QUEUE_BYTES } from '../high-water.js';

/** How long a target may take to read the last bytes of a browser that has left. */
const END_TIMEOUT_MS = 5_000;
const NOTHING = Buffer.alloc(0);

export class WriteQueue {
  private readonly stream: Duplex;
  private readonly onDrained: () => void;
  /** Writes that the stream has not taken yet. */
  private pieces = 0;
  /** A write said no, and `drained` has not come since. */
  private full = false;
  private closed = false;

  constructor(stream: Duplex, onDrained: () => void) {
    this.stream = stream;
    this.onDrained = onDrained;
    stream.on('drain', () => this.drained());
    stream.on('close', () => {
      this.closed = true;
    });
  }

  /** @returns false when the target is slow: write no more before `drained` */
  write(bytes: Buffer): boolean {
    const { stream } = this;
    // What has to wait must not keep a much larger read alive.
    const copied = stream.writableLength > 0 && bytes.length < bytes.buffer.byteLength / 2;
    if (stream.writableLength === 0) this.pieces = 0;
    stream.write(copied ? Buffer.from(bytes) : bytes);
    if (stream.writableLength === 0) return true;
    this.pieces++;
    if (stream.writableLength <= TARGET_QUEUE_BYTES && this.pieces <= QUEUED_PIECES) return true;
    this.full = true;
    // Below its high-water mark a stream does not say when it has drained, unless it is asked.
    if (!stream.writableNeedDrain) stream.write(NOTHING, () => this.drained());
    return false;
  }

  /** What was written still goes out, then the stream is destroyed; at the latest when the target's time is over. */
  end(): void {
    const { stream } = this;
    if (this.closed || stream.destroyed) return;
    const giveUp = setTimeout(() => stream.destroy(), END_TIMEOUT_MS);
    stream.once('close', () => clearTimeout(giveUp));
    if (stream.writableFinished) stream.destroy();
    else {
      stream.once('finish', () => stream.destroy());
      if (!stream.writableEnded) stream.end();
    }
  }

  private drained(): void {
    this.pieces = 0;
    if (!this.full) return;
    this.full = false;
    this.onDrained();
  }
}
