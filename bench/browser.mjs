// @ts-check
// The browser's side of a load, on a raw socket: request, frames and opening. Where a peer passes plain TCP on, the
// same bytes go without framing. What always holds: all connections read into one buffer, and nothing is copied.
import { connect } from 'node:net';
import { openings } from './conversation.mjs';
import { closeFrame, FrameReader, maskedFrame, pongFrame } from './frames.mjs';

/**
 * Where a peer is reached.
 * @typedef {object} Address
 * @property {number} port
 * @property {string} [path] path and query of the WebSocket; none: plain TCP
 * @property {readonly string[]} [paths] more of them, each with a token of its own
 * @property {import('./conversation.mjs').Opening} [opening] plain without
 */

const host = '127.0.0.1';
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024);
const endOfHeaders = '\r\n\r\n';
/** The example of RFC 6455 section 1.3, and the answer that belongs to it. */
const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const accepted = /^HTTP\/1\.1 101 [\s\S]*\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i;

/** @param {Address} address */
function upgradeRequest({ port, path }) {
  return (
    `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Origin: http://${host}:${port}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}${endOfHeaders}`
  );
}

export class Browser {
  /** Gets the payload that follows the opening: a view, valid during the call. */
  onPayload = (/** @type {Buffer} */ _part) => {};
  /** The connection ended, and not because of close(). */
  onFailure = (/** @type {Error} */ _error) => {};
  /** @type {import('node:net').Socket} */
  socket;
  #framed;
  #reader;
  #seen = Buffer.alloc(0);
  /** @type {readonly import('./conversation.mjs').Turn[]} */
  #turns;
  #turn = 0;
  #greeted = () => {};
  /** @type {(chunk: Buffer) => void} */
  #read;

  /**
   * Connects, and waits for the end of the opening.
   * @param {Address} address
   * @returns {Promise<Browser>}
   */
  static open(address) {
    return new Promise((resolve, reject) => {
      const browser = new Browser(address);
      browser.onFailure = reject;
      browser.#greeted = () => resolve(browser);
    });
  }

  /** @param {Address} address */
  constructor(address) {
    this.#framed = address.path !== undefined;
    this.#turns = openings[address.opening ?? 'plain'];
    this.#reader = new FrameReader(
      (part) => this.#take(part),
      (payload) => this.socket.write(pongFrame(payload)),
    );
    this.#read = this.#framed ? this.#readHead : this.#take;
    const callback = (/** @type {number} */ bytes) => {
      try {
        this.#read(readBuffer.subarray(0, bytes));
      } catch (error) {
        this.#fail(/** @type {Error} */ (error));
      }
      return true;
    };
    this.socket = connect({
      host,
      port: address.port,
      noDelay: true,
      onread: { buffer: readBuffer, callback },
    });
    this.socket.on('error', (error) => this.#fail(error));
    this.socket.on('close', () => this.#fail(new Error('the connection was closed')));
    if (this.#framed) this.socket.write(upgradeRequest(address));
  }

  /**
   * @param {Buffer} payload
   * @returns {Buffer} the bytes that carry it to this peer
   */
  wrap(payload) {
    return this.#framed ? maskedFrame(payload) : payload;
  }

  /** Ends as browsers do, and waits until the connection is gone. */
  close() {
    this.onFailure = () => {};
    if (this.socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      this.socket.once('close', resolve);
      if (this.#framed) this.socket.write(closeFrame);
      else this.socket.end();
    });
  }

  /** @param {Error} error */
  #fail(error) {
    this.socket.destroy();
    this.onFailure(error);
  }

  /** @param {Buffer} chunk */
  #readHead(chunk) {
    this.#seen = Buffer.concat([this.#seen, chunk]);
    const end = this.#seen.indexOf(endOfHeaders);
    if (end === -1) return;
    const rest = this.#seen.subarray(end + endOfHeaders.length);
    if (!accepted.test(this.#seen.toString('latin1'))) throw new Error('the peer did not upgrade');
    this.#seen = Buffer.alloc(0);
    this.#read = (part) => this.#reader.read(part);
    if (rest.length > 0) this.#read(rest);
  }

  /** @param {Buffer} part of the payload */
  #take(part) {
    const turn = this.#turns[this.#turn];
    if (turn === undefined) return this.onPayload(part);
    const { says, answer } = turn;
    const rest = part.subarray(says.length - this.#seen.length);
    this.#seen = Buffer.concat([this.#seen, part.subarray(0, says.length - this.#seen.length)]);
    if (this.#seen.length < says.length) return;
    if (!this.#seen.equals(says))
      throw new Error(`not the greeting of the target: ${JSON.stringify(this.#seen.toString('latin1'))}`);
    this.#seen = Buffer.alloc(0);
    if (answer.length > 0) this.socket.write(this.wrap(answer));
    if (++this.#turn === this.#turns.length) this.#greeted();
    if (rest.length > 0) this.#take(rest);
  }
}
