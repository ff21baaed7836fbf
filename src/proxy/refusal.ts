// Saying no. A program reads an HTTP status; a browser cannot, so its page is told in RFB, where every noVNC shows the
// reason. What always holds: the connection is over within a few seconds, whatever the peer does.
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { GatewayError } from '../errors.js';
import { type BrowserChannel, CloseCode } from './browser-channel.js';

/** How long a refused peer may take to read why. */
const HTTP_LINGER_MS = 2_000;
/** How long a browser may take for its RFB version; it is told the reason then all the same. */
const VERSION_TIMEOUT_MS = 2_000;
/** From the upgrade to the end of the connection. */
const RFB_LINGER_MS = 4_000;

const VERSION = 'RFB 003.008\n';

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
  const giveUp = setTimeout(() => socket.destroy(), HTTP_LINGER_MS);
  giveUp.unref();
  socket.once('close', () => clearTimeout(giveUp));
  // What the peer has sent is read, or the kernel would answer it with a reset that overtakes the refusal.
  socket.resume();
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** Tells an upgraded browser in RFB: version, zero security types, reason (RFC 6143 section 7.1.2). */
export function refuseInRfb(browser: BrowserChannel, reason: string, onClosed: () => void): void {
  let answer = Buffer.alloc(0);
  let told = false;
  const tell = () => {
    if (told) return;
    told = true;
    clearTimeout(impatience);
    browser.sendCopy(noSecurityTypes(answer.toString('latin1'), reason));
    browser.close(CloseCode.normal, '');
  };
  const impatience = setTimeout(tell, VERSION_TIMEOUT_MS);
  const giveUp = setTimeout(() => browser.terminate(), RFB_LINGER_MS);
  browser.listen({
    data: (chunk) => {
      if (told) return;
      answer = Buffer.concat([answer, chunk]).subarray(0, VERSION.length);
      if (answer.length === VERSION.length) tell();
    },
    drain: () => {},
    alive: () => {},
    left: () => {},
    closed: () => {
      clearTimeout(impatience);
      clearTimeout(giveUp);
      onClosed();
    },
  });
  browser.sendCopy(Buffer.from(VERSION));
}

/** In version 3.3 the server decides by a 32-bit number, later it offers a list: both say zero here. */
function noSecurityTypes(version: string, reason: string): Buffer {
  const text = Buffer.from(reason);
  const none = Buffer.alloc(version === 'RFB 003.003\n' ? 4 : 1);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([none, length, text]);
}
