// The data phase of a WebSocket, as narrow as a console needs it; on `ws` for now, replaceable as a whole.
// What always holds: binary only; reading stops while the other side is slow, and answers to pings never pile up.
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/** Close codes of RFC 6455 section 7.4.1 that this side uses. */
export const CloseCode = { normal: 1000, goingAway: 1001, unsupportedData: 1003, serverError: 1011 } as const;

export interface ChannelEvents {
  /** Payload of a binary message, or of a part of one. */
  data(chunk: Buffer): void;
  /** What was sent has been taken; only after a send() that said no. */
  drain(): void;
  /** The browser showed that it is alive: any message or pong. */
  alive(): void;
  /** The browser broke the protocol: it is being told, and nothing that it sends counts any more. */
  violated(why: string): void;
  /** The connection is gone, once. `why` has the close code, for the log. */
  closed(why: string): void;
}

/** One browser. */
export interface BrowserChannel {
  /** To be called once, before anything else. */
  listen(events: ChannelEvents): void;
  /** @returns false when the browser is slow: send no more before `drain` */
  send(chunk: Buffer): boolean;
  ping(): void;
  /** Stops and resumes `data`. */
  pause(): void;
  resume(): void;
  /** Sends what is pending, then the Close frame; `closed` follows within the close timeout. */
  close(code: number, reason: string): void;
  /** Ends the connection at once; `closed` follows. */
  terminate(): void;
}

/** A BrowserChannel on a WebSocket of `ws` and the socket below it. */
export class WsChannel implements BrowserChannel {
  private readonly webSocket: WebSocket;
  private readonly socket: Socket;
  private pausedByOwner = false;
  private pausedByPongs = false;

  constructor(webSocket: WebSocket, socket: Socket) {
    this.webSocket = webSocket;
    this.socket = socket;
  }

  listen(events: ChannelEvents): void {
    const { webSocket, socket } = this;
    const drained = () => {
      this.pausedByPongs = false;
      this.applyPause();
      events.drain();
    };
    webSocket.on('message', (data, isBinary) => {
      if (webSocket.readyState !== webSocket.OPEN) return;
      if (!isBinary) {
        this.close(CloseCode.unsupportedData, 'Binary frames only');
        return events.violated('the browser sent a text frame');
      }
      events.alive();
      events.data(data as Buffer);
    });
    webSocket.on('pong', () => events.alive());
    webSocket.on('ping', (data) => this.answerPing(data));
    // `ws` itself answers with the close code that belongs to the violation.
    webSocket.on('error', (error) => {
      events.violated(
        `the browser broke the protocol: ${'code' in error ? String(error.code) : 'socket error'}`,
      );
    });
    webSocket.on('close', (code) => {
      socket.off('drain', drained);
      events.closed(`the browser left with close code ${code}`);
    });
    socket.on('drain', drained);
  }

  send(chunk: Buffer): boolean {
    if (this.webSocket.readyState === this.webSocket.OPEN) this.webSocket.send(chunk, { binary: true });
    return !this.socket.writableNeedDrain;
  }

  ping(): void {
    if (this.webSocket.readyState === this.webSocket.OPEN) this.webSocket.ping();
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
    // The browser's answering Close frame has to be read.
    this.pausedByPongs = false;
    this.resume();
    this.webSocket.close(code, reason);
  }

  terminate(): void {
    this.webSocket.terminate();
  }

  /** A browser that pings and does not read must not fill our memory with pongs. */
  private answerPing(data: Buffer): void {
    if (this.webSocket.readyState !== this.webSocket.OPEN) return;
    this.webSocket.pong(data);
    this.pausedByPongs = this.socket.writableNeedDrain;
    this.applyPause();
  }

  private applyPause(): void {
    if (this.webSocket.readyState !== this.webSocket.OPEN) return;
    if (this.pausedByOwner || this.pausedByPongs) this.webSocket.pause();
    else this.webSocket.resume();
  }
}
