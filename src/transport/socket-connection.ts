// A socket of the kernel's, TCP or Unix, as the connection to a target.
// What always holds: the kernel reads into memory that we chose, and not again before that memory is free.
import type { OnReadOpts, Socket } from 'node:net';
import { HEAD_ROOM, ReadMemory } from './read-memory.js';
import { type TargetConnection, type TargetEvents, whyEnded } from './transport.js';
import { WriteQueue } from './write-queue.js';

/**
 * Opens a socket and takes it over.
 * @param open makes the socket with the given `onread`, and gives it back connected, its errors listened for. Of several
 *   sockets that share the `onread`, one alone may ever connect
 */
export async function openSocketConnection(
  open: (onread: OnReadOpts) => Promise<Socket>,
): Promise<TargetConnection> {
  const connection = new SocketConnection();
  connection.adopt(await open(connection.onread));
  return connection;
}

class SocketConnection implements TargetConnection {
  readonly onread: OnReadOpts = {
    // Asked at the beginning and after every read, held or not; nothing is read there before resume().
    buffer: () => this.memory.room,
    callback: (bytes) => this.take(bytes),
  };
  private readonly memory = new ReadMemory();
  private socket!: Socket;
  private queue!: WriteQueue;
  private events: TargetEvents | undefined;
  /** The last read, as long as it is in use: the memory that it lies in, and its length. */
  private heldMemory: Buffer | undefined;
  private heldBytes = 0;
  private over = false;
  private failure: Error | undefined;

  adopt(socket: Socket): void {
    this.socket = socket;
    this.queue = new WriteQueue(socket, () => {
      if (!this.over) this.events?.drain();
    });
    // Between its opening and now it may have ended already; that is seen at start().
    this.failure = socket.errored ?? undefined;
    socket.on('error', (error) => {
      this.failure ??= error;
    });
    socket.on('end', () => this.ended());
    socket.on('close', () => {
      this.ended();
      if (this.heldMemory === undefined) this.memory.release();
      else this.memory.abandon();
    });
  }

  start(events: TargetEvents): void {
    this.events = events;
    // What came before anybody listened.
    if (this.heldMemory !== undefined && this.handOn(this.heldMemory, this.heldBytes)) this.resume();
    // It broke before anybody listened; that is told as late as any other end.
    if (this.socket.closed || this.socket.readableEnded) process.nextTick(() => this.ended());
  }

  resume(): void {
    if (this.over) return;
    this.heldMemory = undefined;
    this.memory.settle();
    this.socket.resume();
  }

  write(bytes: Buffer): boolean {
    return this.over || this.queue.write(bytes);
  }

  end(): void {
    this.over = true;
    this.queue.end();
  }

  destroy(): void {
    this.over = true;
    this.socket.destroy();
  }

  /** @returns whether reading goes on, as Node's `onread` wants it */
  private take(bytes: number): boolean {
    const { memory } = this.memory;
    const taken = this.handOn(memory, bytes);
    if (!taken) {
      this.heldMemory = memory;
      this.heldBytes = bytes;
    }
    this.memory.adapt(bytes, !taken);
    return taken;
  }

  /** @returns false where the memory is in use until resume() */
  private handOn(memory: Buffer, bytes: number): boolean {
    if (this.over || this.events === undefined) return false;
    return this.events.data(memory, HEAD_ROOM, HEAD_ROOM + bytes);
  }

  private ended(): void {
    if (this.over || this.events === undefined) return;
    this.over = true;
    this.events.ended(whyEnded(this.failure));
  }
}
