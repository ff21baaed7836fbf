// Lets the RFB code of both sides ask a stream for exactly the bytes that come next.
// What always holds: nothing is taken from the stream before it is asked for, so a peer that sends faster than
// it is served is held back by its own socket; one read never holds more than READ_MAX_BYTES.
import type { Duplex } from 'node:stream';

/** The most that one `read` gives out, in bytes. */
export const READ_MAX_BYTES = 65_536;

/** The stream ended, failed or was destroyed before the bytes asked for had come. */
export class StreamEndedError extends Error {}

/** Reads a stream in pieces of known length. One reader a stream, one read at a time. */
export class ByteReader {
  readonly #stream: Duplex;
  #pending: (() => void) | undefined;
  readonly #wake = () => this.#pending?.();

  constructor(stream: Duplex) {
    this.#stream = stream;
    // One listener for good: adding it again for every wait would fire at once while a part of the bytes is there,
    // and again, and starve the socket that has the rest.
    for (const event of ['readable', 'end', 'close']) stream.on(event, this.#wake);
    // Without a listener a reset connection would be an uncaught exception; the pending read tells of it.
    stream.on('error', () => {});
  }

  /**
   * The next `length` bytes.
   * @throws StreamEndedError where fewer come
   */
  async read(length: number): Promise<Buffer> {
    if (length < 0 || length > READ_MAX_BYTES) throw new RangeError(`cannot read ${length} bytes at once`);
    if (length === 0) return Buffer.alloc(0);
    for (;;) {
      const chunk: unknown = this.#stream.read(length);
      if (chunk instanceof Buffer && chunk.length === length) return chunk;
      // A shorter chunk is what was left when the peer ended the stream.
      if (chunk !== null || this.#stream.readableEnded || this.#stream.destroyed) {
        throw new StreamEndedError('the connection ended early');
      }
      await this.#waitForBytes();
    }
  }

  /** Passes over `length` bytes without keeping them. */
  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; left -= READ_MAX_BYTES) await this.read(Math.min(left, READ_MAX_BYTES));
  }

  async readUint8(): Promise<number> {
    return (await this.read(1)).readUInt8();
  }

  async readUint32(): Promise<number> {
    return (await this.read(4)).readUInt32BE();
  }

  /** Drops whatever still comes, so that the stream's end can be seen; the reader is of no use any more. */
  discard(): void {
    this.#stream.off('readable', this.#wake);
    this.#stream.resume();
  }

  /** Until more bytes, or the end, are there; an error is always followed by 'close'. */
  #waitForBytes(): Promise<void> {
    return new Promise((resolve) => {
      this.#pending = resolve;
    });
  }
}
