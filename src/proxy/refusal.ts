// Saying no. A program reads an HTTP status; a browser cannot, so its page is told in RFB, where every noVNC shows the
// reason. What always holds: the connection is over within a few seconds, whatever the peer does.
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { GatewayError } from '../errors.js';
import { endWith } from '../http-refusal.js';
import { interpretVersion, type RfbVersion, versionMessage } from '../rfb/version.js';
import { type BrowserChannel, CloseCode } from './browser-channel.js';

/** How long a browser may take for its RFB version; it is told the reason then all the same. */
const VERSION_TIMEOUT_MS = 2_000;
/** From the upgrade to the end of the connection. */
const RFB_LINGER_MS = 4_000;

const VERSION_BYTES = 12;

/** Answers an upgrade with an HTTP status and ends the connection. */
export function refuseUpgrade(socket: Duplex, refused: GatewayError, ref: string): void {
  const body = `${refused.toldAs(ref)}\n`;
  const version = refused.code === 'wrong-version' ? ['Sec-WebSocket-Version: 13', 'Upgrade: websocket'] : [];
  const lines = [
    `HTTP/1.1 ${refused.httpStatus} ${STATUS_CODES[refused.httpStatus] ?? 'Refused'}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...version,
  ];
  // What the peer has sent is read, or the kernel would answer it with a reset that overtakes the refusal.
  socket.resume();
  endWith(socket, `${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** What the Close frame says that ends a refusal in RFB. */
export interface RefusalClose {
  readonly code: number;
  readonly reason: string;
}

/**
 * Tells an upgraded browser in RFB, and closes: version, zero security types, reason (RFC 6143 section 7.1.2). To be
 * made while the browser has not had a byte.
 */
export class RfbRefusal {
  private readonly browser: BrowserChannel;
  private readonly reason: string;
  private readonly close: RefusalClose;
  private readonly impatience = setTimeout(() => this.tell(), VERSION_TIMEOUT_MS);
  private readonly giveUp = setTimeout(() => this.browser.terminate(), RFB_LINGER_MS);
  private answer = Buffer.alloc(0);
  private told = false;

  constructor(browser: BrowserChannel, reason: string, close: RefusalClose) {
    this.browser = browser;
    this.reason = reason;
    this.close = close;
    browser.sendCopy(versionMessage('3.8'));
  }

  /** Takes what the browser sends: its version, and nothing else that counts. */
  read(bytes: Buffer): void {
    if (this.told) return;
    this.answer = Buffer.concat([this.answer, bytes]).subarray(0, VERSION_BYTES);
    if (this.answer.length === VERSION_BYTES) this.tell();
  }

  /** The browser's connection is gone. */
  over(): void {
    clearTimeout(this.impatience);
    clearTimeout(this.giveUp);
  }

  private tell(): void {
    if (this.told) return;
    this.told = true;
    clearTimeout(this.impatience);
    this.browser.sendCopy(noSecurityTypes(interpretVersion(this.answer), this.reason));
    this.browser.close(this.close.code, this.close.reason);
  }
}

/** Refuses a browser that nobody has listened to yet. */
export function refuseInRfb(browser: BrowserChannel, reason: string, onClosed: () => void): void {
  const refusal = new RfbRefusal(browser, reason, { code: CloseCode.normal, reason: '' });
  browser.listen({
    data: (bytes) => refusal.read(bytes),
    drain: () => {},
    alive: () => {},
    left: () => {},
    closed: () => {
      refusal.over();
      onClosed();
    },
  });
}

/** In version 3.3 the server decides by a 32-bit number, later it offers a list: both say zero here. */
function noSecurityTypes(version: RfbVersion | undefined, reason: string): Buffer {
  const text = Buffer.from(reason);
  const none = Buffer.alloc(version === '3.3' ? 4 : 1);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([none, length, text]);
}
