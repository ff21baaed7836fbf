// Which of its two forms a browser's PointerEvent has: six bytes, or seven with more buttons, where that was agreed upon
// (ExtendedMouseButtons of rfbproto; noVNC 1.7 sends back and forward so).
// What always holds: every server reads alike what goes on. Some read seven bytes as soon as a browser has offered to
// send them, some when they have said themselves that they do, old ones never. So seven go on only where the server has
// said so, and six never with the bit that means a seventh, once that was offered.
import { POINTER_MARKER } from './client-messages.js';

const SHORT_BYTES = 6;

export class ClientPointers {
  private state: 'plain' | 'offered' | 'agreed' | 'withdrawn' = 'plain';
  private readonly offerIsEnough: boolean;

  /** @param offerIsEnough the server's word is not waited for: no pointer goes on to it, or it may be told anything */
  constructor(offerIsEnough: boolean) {
    this.offerIsEnough = offerIsEnough;
  }

  /** Whether the marker says that a seventh byte follows. */
  get mayBeLong(): boolean {
    return this.state === 'agreed';
  }

  /** Not any more where it was taken back: what a server makes of an offer that comes and goes is not known. */
  get mayBeOffered(): boolean {
    return this.state !== 'withdrawn';
  }

  /** A SetEncodings goes on, and ExtendedMouseButtons is among its offers or not. */
  offered(isAmong: boolean): void {
    if (this.offerIsEnough) this.state = isAmong ? 'agreed' : 'plain';
    else if (!isAmong && this.state !== 'plain') this.state = 'withdrawn';
    else if (isAmong && this.state === 'plain') this.state = 'offered';
  }

  /** The server has said that it reads seven bytes. */
  confirmed(): void {
    if (this.state === 'offered') this.state = 'agreed';
  }

  /** @returns true where a message of `length` bytes may go on as it is, or what may in its place */
  judge(bytes: Buffer, at: number, length: number): true | Buffer {
    const buttons = bytes.readUInt8(at + 1);
    if (length > SHORT_BYTES || this.state === 'plain' || (buttons & POINTER_MARKER) === 0) return true;
    const message = Buffer.from(bytes.subarray(at, at + length));
    message.writeUInt8(buttons & ~POINTER_MARKER, 1);
    return message;
  }
}
