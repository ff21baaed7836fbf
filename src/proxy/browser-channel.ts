// The data phase of a WebSocket, as narrow as a console needs it. A session knows this and nothing of frames.

/** Close codes of RFC 6455 section 7.4.1 that a session uses. */
export const CloseCode = { normal: 1000, goingAway: 1001, protocolError: 1002, serverError: 1011 } as const;

export interface ChannelEvents {
  /** Payload that the browser sent; the bytes are the receiver's to keep. */
  data(bytes: Buffer): void;
  /** All that was sent has been taken; comes only after a send() that said no. */
  drain(): void;
  /** The browser showed that it is alive. */
  alive(): void;
  /** The browser closed, or broke the protocol and is being told: nothing that it sends counts any more. */
  left(why: string): void;
  /** The connection is gone, once, whoever ended it. */
  closed(why: string): void;
}

/** One browser. */
export interface BrowserChannel {
  /** To be called once, before anything else; nothing is read before. */
  listen(events: ChannelEvents): void;
  /**
   * Sends `memory[start, end)`. In front of `start` there is room for a header (HEADER_ROOM).
   * @returns false when the memory is still being read from: send no more, and leave it alone, before `drain`
   */
  send(memory: Buffer, start: number, end: number): boolean;
  /** Sends bytes of the caller's, for the few messages that are no relayed payload. */
  sendCopy(bytes: Buffer): void;
  ping(): void;
  /** Stops and resumes `data`. */
  pause(): void;
  resume(): void;
  /** Sends what is pending, then the Close frame; `closed` follows within the close timeout. */
  close(code: number, reason: string): void;
  /** Ends the connection at once; `closed` follows. */
  terminate(): void;
}
