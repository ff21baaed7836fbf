// The data phase of a WebSocket: `ws` does the handshake and hands the socket over, from there on the frames are ours.
// What always holds: every state has a way out that a timer guards; answers to pings never pile up; one `closed`.
import type { Socket } from 'node:net';
import type { BrowserChannel, ChannelEvents } from './browser-channel.js';
import { type FrameEvents, FrameReader } from './frame-reader.js';
import { closeFrame, HEADER_ROOM, pingFrame, pongFrame, writeHeader } from './frame-writer.js';

/** How long a browser may take to read what is queued, and to answer a Close frame. */
const CLOSE_TIMEOUT_MS = 10_000;
/** After both Close frames only the end of TCP is missing. */
const END_TIMEOUT_MS = 2_000;
const NOTHING = Buffer.alloc(0);

type State = 'open' | 'closing' | 'ending';

/** What `ws` constructs and calls in place of its own WebSocket class. */
export class BrowserSocket implements BrowserChannel, FrameEvents {
  private socket!: Socket;
  private events!: ChannelEvents;
  private state: State = 'open';
  private timer: NodeJS.Timeout | undefined;
  private pausedByOwner = false;
  private pausedByPongs = false;
  private awaitsDrain = false;
  private readonly reader = new FrameReader(this);

  /** Called by `ws` when it has answered the handshake; `head` came in the same packet. */
  setSocket(socket: Socket, head: Buffer): void {
    this.socket = socket;
    socket.setTimeout(0);
    socket.setNoDelay(true);
    if (head.length > 0) socket.unshift(head);
  }

  listen(events: ChannelEvents): void {
    this.events = events;
    this.socket
      .on('data', (chunk: Buffer) => {
        if (this.state === 'ending') return;
        events.alive();
        this.reader.read(chunk);
      })
      .on('drain', () => this.drained())
      .on('end', () => this.ended())
      .on('close', () => {
        clearTimeout(this.timer);
        // Where it left in order, that was told before; this is what remains.
        events.closed('the browser vanished');
      });
  }

  send(memory: Buffer, start: number, end: number): boolean {
    if (this.state !== 'open') return true;
    const { socket } = this;
    socket.write(memory.subarray(writeHeader(memory, start, end - start), end));
    // Zero: the kernel has a copy of all of it, and the memory may be used again.
    if (socket.writableLength === 0) return true;
    this.awaitsDrain = true;
    this.askForDrain();
    return false;
  }

  sendCopy(bytes: Buffer): void {
    const memory = Buffer.allocUnsafe(HEADER_ROOM + bytes.length);
    bytes.copy(memory, HEADER_ROOM);
    this.send(memory, HEADER_ROOM, memory.length);
  }

  ping(): void {
    if (this.state === 'open') this.socket.write(pingFrame());
  }

  pause(): void {
    this.pausedByOwner = true;
    this.applyPause();
  }

  resume(): void {
    this.pausedByOwner = false;
    this.applyPause();
  }

  close(code: number, reason: string): void {
    if (this.state !== 'open') return;
    this.state = 'closing';
    this.socket.write(closeFrame(code, reason));
    // The browser's answering Close frame has to be read.
    this.socket.resume();
    this.guard(CLOSE_TIMEOUT_MS);
  }

  terminate(): void {
    this.state = 'ending';
    this.socket.destroy();
  }

  onPayload(bytes: Buffer): void {
    if (this.state === 'open') this.events.data(bytes);
  }

  /** A browser that pings and does not read must not fill our memory with pongs. */
  onPing(data: Buffer): void {
    if (this.state !== 'open') return;
    this.socket.write(pongFrame(data));
    this.pausedByPongs = this.socket.writableNeedDrain;
    this.applyPause();
  }

  onPong(): void {
    this.events.alive();
  }

  /** The browser's Close frame: the answer to ours, or to be answered with its own code. */
  onClose(code: number): void {
    const itsOwn = this.state === 'open';
    this.state = 'ending';
    if (itsOwn) this.socket.end(closeFrame(code, ''));
    else this.socket.end();
    this.guard(itsOwn ? CLOSE_TIMEOUT_MS : END_TIMEOUT_MS);
    if (itsOwn) this.events.left(`the browser left with close code ${code}`);
  }

  onViolation(code: number, what: string): void {
    const told = this.state === 'open';
    this.close(code, what);
    // Nothing more is understood, not even the answer to that Close: TCP ends when it has gone out.
    this.state = 'ending';
    this.socket.end();
    if (told) this.events.left(`the browser broke the protocol: ${what} (close code ${code})`);
  }

  /** The browser ended TCP: after a Close that is right, without one it is code 1006. */
  private ended(): void {
    const early = this.state === 'open';
    // Ended by us already, and now by both.
    if (this.state === 'ending') return;
    this.state = 'ending';
    this.socket.end();
    this.guard(END_TIMEOUT_MS);
    if (early) this.events.left('the browser left with close code 1006');
  }

  private drained(): void {
    if (this.pausedByPongs && !this.socket.writableNeedDrain) {
      this.pausedByPongs = false;
      this.applyPause();
    }
    if (!this.awaitsDrain || this.state !== 'open') return;
    // A ping or a pong may have been written meanwhile.
    if (this.socket.writableLength > 0) {
      this.askForDrain();
      return;
    }
    this.awaitsDrain = false;
    this.events.drain();
  }

  /** Below its high-water mark a stream does not say when it has drained, unless it is asked. */
  private askForDrain(): void {
    if (this.socket.writableNeedDrain) return;
    this.socket.write(NOTHING, (error) => {
      if (!error) this.drained();
    });
  }

  private applyPause(): void {
    if (this.state !== 'open') return;
    if (this.pausedByOwner || this.pausedByPongs) this.socket.pause();
    else this.socket.resume();
  }

  private guard(timeoutMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.socket.destroy(), timeoutMs);
  }
}
