// A WebSocket that we opened, as a stream of bytes: binary messages, where one ends means nothing.
// What always holds: what is not read stops the socket from being read, at most one message later; one write is with the
// library at a time; a text message is a breach of protocol and no byte of it is handed on.
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

/** Normal, going away, and none given (RFC 6455 section 7.4.1). */
const ORDERLY: readonly number[] = [1000, 1001, 1005];

type Done = (error?: Error | null) => void;

export class WebSocketStream extends Duplex {
  private readonly socket: WebSocket;
  private isClosed = false;
  private closeCode = 1005;

  /** @param socket just opened: nothing may have been read yet */
  constructor(socket: WebSocket) {
    super({ allowHalfOpen: true });
    this.socket = socket;
    // One may come before the stream has come to whom it is for.
    this.on('error', () => undefined);
    socket.binaryType = 'nodebuffer';
    socket.on('message', (message: Buffer, isBinary: boolean) => {
      if (this.destroyed) return;
      if (!isBinary) this.destroy(new Error('a text message on its WebSocket'));
      else if (!this.push(message)) socket.pause();
    });
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', (code) => {
      this.isClosed = true;
      this.closeCode = code;
      if (!this.destroyed) this.push(null);
    });
  }

  /** The code of the other side's Close, where it is another than that of an end in order. */
  get oddCloseCode(): number | undefined {
    return ORDERLY.includes(this.closeCode) ? undefined : this.closeCode;
  }

  override _read(): void {
    if (this.socket.isPaused) this.socket.resume();
  }

  override _write(bytes: Buffer, _encoding: string, done: Done): void {
    if (bytes.length === 0) done();
    else this.socket.send(bytes, { binary: true }, done);
  }

  /** The Close frame goes out behind all that was written; it is over when the other side has answered it. */
  override _final(done: Done): void {
    if (this.isClosed) {
      done();
      return;
    }
    this.socket.once('close', () => done());
    this.socket.close(1000);
    // Its answer has to be read.
    this.socket.resume();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.socket.terminate();
    done(error);
  }
}
