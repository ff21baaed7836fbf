// One channel of an SSH connection as a stream that behaves as Node's own do: the library's streams never say that they
// are destroyed, forget the callbacks of writes when the other side closes, and know no slow connection.
// What always holds: once destroyed, nothing more is read or written, and the server is told once.
import { Duplex } from 'node:stream';

/** What a channel may hold on our side of the library, each way. */
const BUFFER_BYTES = 64 * 1024;
/** One SSH packet. */
const PIECE_BYTES = 32 * 1024;
/**
 * The library's window is 2 MiB and cannot be set. It is opened again when half of it is used and no more than a buffer
 * waits to be read, so that this is about all that a browser can leave here; a server that sends more does harm.
 */
const MAX_UNREAD_BYTES = 3 * 1024 * 1024;

/** What of the library's channel is used here, some of which its types leave out. */
export interface RawChannel extends Duplex {
  readonly stderr: Duplex;
  /** Bytes that the server may send at present. */
  readonly incoming: { window: number };
  close(): void;
}

/** The connection, as a channel needs it. */
export interface ChannelOwner {
  whenWritable(write: () => void): void;
  cancel(write: () => void): void;
  pass(channel: RawChannel, piece: Buffer, done: () => void): void;
  flooded(): void;
  /** The server has closed the channel too: its place is free. */
  released(): void;
}

type Done = (error?: Error | null) => void;

export class SshChannel extends Duplex {
  private readonly raw: RawChannel;
  private readonly owner: ChannelOwner;
  private readonly openWindow: () => void;
  /** Waits for its turn. */
  private turn: (() => void) | undefined;

  constructor(raw: RawChannel, owner: ChannelOwner) {
    super({ readableHighWaterMark: BUFFER_BYTES, writableHighWaterMark: BUFFER_BYTES });
    this.raw = raw;
    this.owner = owner;
    this.openWindow = limitUnread(raw, owner);
    raw.on('data', (bytes: Buffer) => {
      if (this.destroyed) return;
      if (this.push(bytes)) this.openWindow();
      else raw.pause();
    });
    raw.on('end', () => {
      if (!this.destroyed) this.push(null);
    });
    raw.on('error', (error) => this.destroy(error));
    raw.on('close', () => this.rawClosed());
    // Nothing comes there on a forwarded connection; what does is dropped, and takes no memory.
    raw.stderr.resume();
  }

  override _read(): void {
    this.raw.resume();
    this.openWindow();
  }

  override _write(bytes: Buffer, _encoding: string, done: Done): void {
    this.passOn(bytes, done);
  }

  override _final(done: Done): void {
    if (this.raw.writableEnded) done();
    else this.raw.end(() => done());
  }

  override _destroy(error: Error | null, done: Done): void {
    const { raw, owner } = this;
    if (this.turn !== undefined) owner.cancel(this.turn);
    // What still comes is read and dropped. No room is made for more: to the server a channel that we have closed may
    // already be another one, which would be allowed more than it may.
    raw.incoming.window = Number.POSITIVE_INFINITY;
    raw.resume();
    raw.close();
    done(error);
  }

  private passOn(bytes: Buffer, done: Done): void {
    const { raw, owner } = this;
    this.turn = () => {
      this.turn = undefined;
      // The server has closed the channel; its end is on its way to whoever writes.
      if (raw.writableEnded) return done();
      owner.pass(raw, bytes.subarray(0, PIECE_BYTES), () => {
        if (bytes.length <= PIECE_BYTES) done();
        else this.passOn(bytes.subarray(PIECE_BYTES), done);
      });
    };
    owner.whenWritable(this.turn);
  }

  /** The server has closed the channel; what it sent before is still read. */
  private rawClosed(): void {
    this.owner.released();
    if (this.readableEnded) this.destroy();
    else this.once('end', () => this.destroy());
  }
}

/**
 * The library opens the window again whether or not we have read, unless its stream says that it is full: so it always
 * does. Then the library waits until it is asked for more, which Node would do too early.
 * @returns asks for more, where there is room
 */
function limitUnread(raw: RawChannel, owner: ChannelOwner): () => void {
  const push = raw.push.bind(raw);
  const askForMore = raw._read.bind(raw);
  raw.push = (bytes: Buffer | null) => {
    if (bytes === null || raw.readableLength + bytes.length <= MAX_UNREAD_BYTES) push(bytes);
    else owner.flooded();
    return false;
  };
  raw._read = () => undefined;
  return () => {
    if (raw.readableLength <= BUFFER_BYTES) askForMore(0);
  };
}
