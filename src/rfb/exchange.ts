// A conversation of questions and answers over a connection that will be handed on: asks for exactly the bytes that
// come next. What always holds: nothing is read ahead (what nobody asked for stays in the connection's own memory,
// which stops the target), and after start() every read is passed on as it is, without a copy.
import type { GatewayError } from '../errors.js';
import type { TargetConnection, TargetEvents } from '../transport/transport.js';
import { targetFailed } from './failure.js';

interface Held {
  readonly memory: Buffer;
  start: number;
  readonly end: number;
}

/** To be made once for a connection that nobody has started; from start() on it is that connection. */
export class Exchange implements TargetConnection, TargetEvents {
  private readonly connection: TargetConnection;
  /** Who gets everything from start() on. */
  private events: TargetEvents | undefined;
  /** A read of which something is left. */
  private held: Held | undefined;
  private endedBy: string | undefined;
  private wake: (() => void) | undefined;

  constructor(connection: TargetConnection) {
    this.connection = connection;
    connection.start(this);
  }

  /**
   * The next `count` bytes, in memory of their own. One read at a time. It waits as long as the target is silent:
   * whoever gives up destroys the connection and forgets the promise.
   * @param what is waited for, for the error: "its greeting"
   * @throws GatewayError `target-failed` where the connection ends before they have come
   */
  async read(count: number, what: string): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let missing = count; missing > 0; ) {
      const piece = await this.readSome(missing);
      if (piece === undefined) throw this.endedBefore(what);
      pieces.push(piece);
      missing -= piece.length;
    }
    return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces, count);
  }

  /** As read(), but of a connection that ends early, or when `patience` is over, it gives what had come until then. */
  async readUntil(count: number, patience: AbortSignal): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let missing = count; missing > 0; ) {
      const piece = await this.readSome(missing, patience);
      if (piece === undefined) break;
      pieces.push(piece);
      missing -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  async readUint8(what: string): Promise<number> {
    return (await this.read(1, what)).readUInt8();
  }

  async readUint32(what: string): Promise<number> {
    return (await this.read(4, what)).readUInt32BE();
  }

  /** Between one byte and `most`, as they come. @returns undefined where the connection has ended, or `patience` is over */
  async readSome(most: number, patience?: AbortSignal): Promise<Buffer | undefined> {
    while (this.held === undefined) {
      if (this.endedBy !== undefined || patience?.aborted) return undefined;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        patience?.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    const { held } = this;
    const until = Math.min(held.start + most, held.end);
    const bytes = Buffer.from(held.memory.subarray(held.start, until));
    held.start = until;
    if (until === held.end) {
      this.held = undefined;
      this.connection.resume();
    }
    return bytes;
  }

  /** The error of a connection that has ended too early. */
  endedBefore(what: string): GatewayError {
    return targetFailed(`${this.endedBy ?? 'the connection ended'} before ${what}`);
  }

  /** Hands the connection on: first what was read and not asked for, then all that comes. */
  start(events: TargetEvents): void {
    this.events = events;
    const { held } = this;
    this.held = undefined;
    if (held !== undefined && events.data(held.memory, held.start, held.end)) this.connection.resume();
    if (this.endedBy !== undefined) events.ended(this.endedBy);
  }

  resume(): void {
    this.connection.resume();
  }

  /** What a handshake writes is small: it need not look at the result. */
  write(bytes: Buffer): boolean {
    return this.connection.write(bytes);
  }

  end(): void {
    this.connection.end();
  }

  destroy(): void {
    this.connection.destroy();
  }

  data(memory: Buffer, start: number, end: number): boolean {
    if (this.events !== undefined) return this.events.data(memory, start, end);
    this.held = { memory, start, end };
    this.wake?.();
    return false;
  }

  drain(): void {
    this.events?.drain();
  }

  ended(why: string): void {
    this.endedBy = why;
    if (this.events !== undefined) this.events.ended(why);
    else this.wake?.();
  }
}
