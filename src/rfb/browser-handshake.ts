// RFB's security handshake with a browser that the token has let in already: no security at all (RFC 6143 section 7.1).
// What always holds: it is a pure state machine that keeps at most the eleven bytes of an unfinished version; what
// follows the handshake, ClientInit first, is given back as it came.
import { checkGreeting } from '../transport/greeting.js';
import { NONE } from './security-types.js';
import { interpretVersion, versionMessage } from './version.js';

/** The browser broke RFB; the message is for the log, and safe to be told. */
export class BrowserHandshakeError extends Error {
  override readonly name = 'BrowserHandshakeError';
}

export interface HandshakeStep {
  /** For the browser, in this order. */
  readonly send: readonly Buffer[];
  /** With `done` alone: what came after the handshake, a part of the pushed bytes; missing where nothing did. */
  readonly rest?: Buffer;
  readonly done: boolean;
}

const VERSION_BYTES = 12;

const DICTATED_NONE = Buffer.from([0, 0, 0, NONE]);
const OFFERED_NONE = Buffer.from([1, NONE]);
const RESULT_OK = Buffer.from([0, 0, 0, 0]);

export class BrowserHandshake {
  private state: 'version' | 'choice' | 'done' = 'version';
  private version: Buffer = Buffer.alloc(0);
  /** RFB 3.8 alone confirms that there is no security. */
  private confirms = false;

  /** What a browser is to be sent first. */
  greeting(): Buffer {
    return versionMessage('3.8');
  }

  /**
   * The next bytes of the browser, however they are cut. Not to be called again after `done`.
   * @throws BrowserHandshakeError for what RFB does not allow; the handshake is then of no more use
   */
  push(bytes: Buffer): HandshakeStep {
    const send: Buffer[] = [];
    let rest = bytes;
    if (this.state === 'version') rest = this.takeVersion(rest, send);
    if (this.state === 'choice') rest = this.takeChoice(rest, send);
    if (this.state !== 'done') return { send, done: false };
    return rest.length > 0 ? { send, rest, done: true } : { send, done: true };
  }

  private takeVersion(bytes: Buffer, send: Buffer[]): Buffer {
    const missing = VERSION_BYTES - this.version.length;
    this.version = Buffer.concat([this.version, bytes.subarray(0, missing)]);
    if (checkGreeting(this.version) === 'wrong') {
      throw new BrowserHandshakeError('the browser does not speak RFB');
    }
    if (this.version.length === VERSION_BYTES) this.answerVersion(send);
    return bytes.subarray(missing);
  }

  /** One that answers with its own number, above ours, is taken at ours, as servers do. */
  private answerVersion(send: Buffer[]): void {
    const version = interpretVersion(this.version);
    if (version === undefined) {
      throw new BrowserHandshakeError('the browser asks for a version of RFB that is older than 3.3');
    }
    this.confirms = version === '3.8';
    this.state = version === '3.3' ? 'done' : 'choice';
    send.push(version === '3.3' ? DICTATED_NONE : OFFERED_NONE);
  }

  private takeChoice(bytes: Buffer, send: Buffer[]): Buffer {
    if (bytes.length === 0) return bytes;
    if (bytes[0] !== NONE) {
      throw new BrowserHandshakeError('the browser chose a security type that was not offered');
    }
    if (this.confirms) send.push(RESULT_OK);
    this.state = 'done';
    return bytes.subarray(1);
  }
}
