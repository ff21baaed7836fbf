// Plain TCP to a target: what websockify did, and what most clouds use inside their own network.
// What always holds: the kernel reads into memory that we chose, and not again before that memory is free.
import { connect, type Socket } from 'node:net';
import { causeOf, GatewayError } from '../errors.js';
import { QUEUED_PIECES, TARGET_QUEUE_BYTES } from '../high-water.js';
import { rememberedLookup } from './names.js';
import { HEAD_ROOM, ReadMemory } from './read-memory.js';
import type { ConnectTarget, TargetConnection, TargetEvents } from './transport.js';

/** A target that vanished without a word is noticed by the kernel after this and its probes. */
const KEEP_ALIVE_DELAY_MS = 60_000;
/** How long a target may take to read the last bytes of a browser that has left. */
const END_TIMEOUT_MS = 5_000;
const NOTHING = Buffer.alloc(0);

export const connectTcp: ConnectTarget = ({ host, port }, signal) =>
  new Promise<TargetConnection>((resolve, reject) => {
    signal.throwIfAborted();
    const connection = new TcpConnection(host, port);
    const { socket } = connection;
    const abort = () => {
      socket.destroy();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      resolve(connection);
    });
    socket.once('error', (error) => {
      signal.removeEventListener('abort', abort);
      reject(new GatewayError('target-failed', { detail: `target ${host}:${port}: ${causeOf(error)}` }));
    });
  });

class TcpConnection implements TargetConnection {
  readonly socket: Socket;
  private readonly memory = new ReadMemory();
  private events: TargetEvents | undefined;
  /** The last read, as long as it is in use: the memory that it lies in, and its length. */
  private heldMemory: Buffer | undefined;
  private heldBytes = 0;
  /** Writes that the kernel has not taken yet. */
  private queuedPieces = 0;
  private over = false;
  private wasReset = false;

  constructor(host: string, port: number) {
    const { memory } = this;
    this.socket = connect({
      host,
      port,
      lookup: rememberedLookup,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
      onread: {
        // Asked at the beginning and after every read, held or not; nothing is read there before resume().
        buffer: () => memory.room,
        callback: (bytes) => this.take(bytes),
      },
    });
    this.socket.on('error', () => {
      this.wasReset = true;
    });
    this.socket.on('close', () => {
      this.tellEnd(this.wasReset ? 'the target reset the connection' : 'the target closed the connection');
      if (this.heldMemory === undefined) memory.release();
      else memory.abandon();
    });
  }

  start(events: TargetEvents): void {
    this.events = events;
    this.socket.on('end', () => this.tellEnd('the target closed the connection'));
    this.socket.on('drain', () => this.drained());
    // What came before anybody listened.
    if (this.heldMemory !== undefined && this.handOn(this.heldMemory, this.heldBytes)) this.resume();
  }

  resume(): void {
    if (this.over) return;
    this.heldMemory = undefined;
    this.memory.settle();
    this.socket.resume();
  }

  write(bytes: Buffer): boolean {
    if (this.over) return true;
    const { socket } = this;
    // What has to wait must not keep a much larger read alive.
    const copied = socket.writableLength > 0 && bytes.length < bytes.buffer.byteLength / 2;
    socket.write(copied ? Buffer.from(bytes) : bytes);
    if (socket.writableLength === 0) {
      this.queuedPieces = 0;
      return true;
    }
    this.queuedPieces++;
    if (socket.writableLength <= TARGET_QUEUE_BYTES && this.queuedPieces <= QUEUED_PIECES) return true;
    // Below its high-water mark a stream does not say when it has drained, unless it is asked.
    if (!socket.writableNeedDrain) socket.write(NOTHING, () => this.drained());
    return false;
  }

  end(): void {
    this.over = true;
    if (this.socket.closed) return;
    const giveUp = setTimeout(() => this.socket.destroy(), END_TIMEOUT_MS);
    this.socket.once('close', () => clearTimeout(giveUp));
    this.socket.destroySoon();
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

  private drained(): void {
    this.queuedPieces = 0;
    if (!this.over) this.events?.drain();
  }

  private tellEnd(why: string): void {
    if (this.over || this.events === undefined) return;
    this.over = true;
    this.events.ended(why);
  }
}
