// Any Duplex (TLS, a channel of SSH, a WebSocket) as the connection to a target. Where the kernel cannot read into our
// memory, its bytes are copied there, once, so that a frame header fits in front of them, and what comes in many chunks
// at a time goes on as one.
// What always holds: nothing is handed on while the last piece is in use, nothing waits longer than until the loop has
// read what is there, and the end comes after the last byte.
import type { Duplex } from 'node:stream';
import { HEAD_ROOM, ReadMemory } from './read-memory.js';
import { type TargetConnection, type TargetEvents, whyEnded } from './transport.js';
import { WriteQueue } from './write-queue.js';

/** As much as a record of TLS holds: after so much there is probably more, after less there is nothing for now. */
const FULL_CHUNK_BYTES = 16 * 1024;

export class StreamConnection implements TargetConnection {
  private readonly stream: Duplex;
  private readonly queue: WriteQueue;
  private readonly why: (error: Error | undefined) => string;
  private readonly memory = new ReadMemory();
  private events: TargetEvents | undefined;
  /** The last piece is in use until resume(). */
  private held = false;
  /** What came with it and is still to be handed on. */
  private rest: Buffer | undefined;
  /** Bytes in the present piece that have not been handed on. */
  private gathered = 0;
  private gathering: NodeJS.Immediate | undefined;
  /** The stream has ended, and what is to be said about it. */
  private endedBy: string | undefined;
  private failure: Error | undefined;
  private closed = false;
  private over = false;

  /**
   * @param stream nothing may have been read from it that is still missed, nor may anybody else read it. What it keeps
   *   itself, up to its high-water mark, is not counted here. Destroying it must end what lies below it. Who opened it
   *   listens for its errors as well: one may come before it is here, and would be nobody's
   * @param why what `ended` says: of the stream's error, or of an end without one
   */
  constructor(stream: Duplex, why: (error: Error | undefined) => string = whyEnded) {
    this.stream = stream;
    this.why = why;
    this.queue = new WriteQueue(stream, () => {
      if (!this.over) this.events?.drain();
    });
    // Between the opening of a stream and its being handed to us it may have ended already.
    this.failure = stream.errored ?? undefined;
    stream.on('error', (error: Error) => {
      this.failure ??= error;
    });
    stream.on('end', () => this.ended());
    const closed = () => {
      this.closed = true;
      this.ended();
      this.letGo();
    };
    if (stream.closed) closed();
    else stream.on('close', closed);
  }

  start(events: TargetEvents): void {
    this.events = events;
    if (this.over) return;
    this.stream.on('data', (chunk: Buffer) => this.take(chunk));
    this.stream.resume();
    // It broke before anybody listened; that is told as late as any other end.
    if (this.closed) process.nextTick(() => this.ended());
  }

  resume(): void {
    if (this.over || !this.held) return;
    this.held = false;
    this.memory.settle();
    const { rest } = this;
    this.rest = undefined;
    if (rest !== undefined) this.take(rest);
    if (this.endedBy !== undefined) this.ended();
    else if (!this.held) this.stream.resume();
    this.letGo();
  }

  write(bytes: Buffer): boolean {
    return this.over || this.queue.write(bytes);
  }

  end(): void {
    this.over = true;
    this.queue.end();
    // What still comes is nobody's; unread it would hide the target's own end.
    this.stream.resume();
    this.letGo();
  }

  destroy(): void {
    this.over = true;
    this.stream.destroy();
    this.letGo();
  }

  private take(chunk: Buffer): void {
    const { memory } = this;
    for (let at = 0; at < chunk.length; ) {
      if (this.over) return;
      memory.makeRoom(this.gathered + chunk.length - at);
      const bytes = chunk.copy(memory.room, this.gathered, at);
      this.gathered += bytes;
      at += bytes;
      if (this.gathered === memory.room.length) this.handOn();
      if (!this.held) continue;
      if (at < chunk.length) this.rest = chunk.subarray(at);
      return;
    }
    if (chunk.length < FULL_CHUNK_BYTES) this.handOn();
    else this.gathering ??= setImmediate(() => this.handOn());
  }

  private handOn(): void {
    clearImmediate(this.gathering);
    this.gathering = undefined;
    const { memory, events, gathered } = this;
    if (this.over || events === undefined || gathered === 0) return;
    this.gathered = 0;
    const taken = events.data(memory.memory, HEAD_ROOM, HEAD_ROOM + gathered);
    memory.adapt(gathered, !taken);
    if (taken) return;
    this.held = true;
    this.stream.pause();
  }

  /** When the stream is gone, so is the need of memory, except for what somebody still reads from. */
  private letGo(): void {
    if (!this.closed) return;
    if (this.held) this.memory.abandon();
    else this.memory.release();
  }

  /** Tells the end, once, and not before the last byte. */
  private ended(): void {
    this.endedBy ??= this.why(this.failure);
    this.handOn();
    if (this.over || this.events === undefined || this.rest !== undefined) return;
    this.over = true;
    this.events.ended(this.endedBy);
  }
}
