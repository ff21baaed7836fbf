// The browser's bytes on their way to the VM, message by message: what may pass goes on, what may not is left out.
// What always holds: what goes on are whole messages whose length every server reads alike, so that nothing can be hidden
// in one; long messages are counted, not kept; where nothing is left out no byte is copied.
import { ClientJudge, type JudgeOptions } from './client-judge.js';
import { bodyBytes, headBytes } from './client-messages.js';

/** Enough for most heads; for a longer one (SetEncodings, SetDesktopSize) it grows to 4100 bytes at most. */
const HELD_BYTES = 32;

export class ClientFilter {
  /** Messages that went on, changed ones among them, and messages that did not. */
  passed = 0;
  dropped = 0;
  private readonly judge: ClientJudge;
  private initialised = false;
  /** The beginning of a message whose head is not there as a whole. */
  private held: Buffer = Buffer.allocUnsafe(HELD_BYTES);
  private heldBytes = 0;
  /** What is left of a long message, and whether it goes on. */
  private bodyLeft = 0;
  private bodyPasses = false;

  /** Bytes are expected from ClientInit on. */
  constructor(options: JudgeOptions) {
    this.judge = new ClientJudge(options);
  }

  /** Whether all that came were whole messages. */
  get isBetweenMessages(): boolean {
    return this.heldBytes === 0 && this.bodyLeft === 0;
  }

  /** The server has said that it reads the longer pointer messages. */
  longPointersConfirmed(): void {
    this.judge.pointers.confirmed();
  }

  /**
   * @returns what goes on, in order: mostly `bytes` itself, else parts of it or new buffers
   * @throws RfbViolation: the session is to be ended, and nothing of `bytes` goes on
   */
  push(bytes: Buffer): Buffer[] {
    const out: Buffer[] = [];
    let at = this.initialised ? 0 : this.takeClientInit(bytes, out);
    // What lies between goes on and is not in `out` yet.
    let start = out.length === 0 ? 0 : at;
    while (at < bytes.length) {
      if (this.bodyLeft > 0) {
        const length = Math.min(this.bodyLeft, bytes.length - at);
        this.bodyLeft -= length;
        at += length;
        if (!this.bodyPasses) start = at;
        continue;
      }
      if (this.heldBytes > 0) {
        at = start = this.takeHeld(bytes, at, out);
        continue;
      }
      const available = bytes.length - at;
      const length = headBytes(bytes, at, available, this.judge.pointers.mayBeLong);
      const verdict = length > available ? this.hold(bytes, at) : this.take(bytes, at, length);
      const end = at + Math.min(length, available);
      if (verdict !== true) {
        if (at > start) out.push(bytes.subarray(start, at));
        if (verdict !== false) out.push(verdict);
        start = end;
      }
      at = end;
    }
    if (start === 0 && out.length === 0) return at === 0 ? out : [bytes];
    if (at > start) out.push(bytes.subarray(start, at));
    return out;
  }

  /** @returns how many bytes that took */
  private takeClientInit(bytes: Buffer, out: Buffer[]): number {
    const [shared] = bytes;
    if (shared === undefined) return 0;
    this.initialised = true;
    const verdict = this.judge.judgeClientInit(shared);
    if (verdict !== true) out.push(verdict);
    return 1;
  }

  /** Decides on a message whose head is there. */
  private take(bytes: Buffer, at: number, length: number): boolean | Buffer {
    const verdict = this.judge.judge(bytes, at, length);
    this.bodyLeft = bodyBytes(bytes, at);
    this.bodyPasses = verdict !== false;
    if (verdict === false) this.dropped++;
    else this.passed++;
    return verdict;
  }

  private hold(bytes: Buffer, at: number): false {
    this.append(bytes, at, bytes.length);
    return false;
  }

  /** Goes on with a head that is held. @returns where its bytes end in `bytes` */
  private takeHeld(bytes: Buffer, from: number, out: Buffer[]): number {
    let at = from;
    for (;;) {
      const length = headBytes(this.held, 0, this.heldBytes, this.judge.pointers.mayBeLong);
      if (length <= this.heldBytes) break;
      if (at === bytes.length) return at;
      const end = Math.min(at + length - this.heldBytes, bytes.length);
      this.append(bytes, at, end);
      at = end;
    }
    const verdict = this.take(this.held, 0, this.heldBytes);
    if (verdict !== false)
      out.push(verdict === true ? Buffer.from(this.held.subarray(0, this.heldBytes)) : verdict);
    this.heldBytes = 0;
    return at;
  }

  private append(bytes: Buffer, from: number, to: number): void {
    const length = this.heldBytes + to - from;
    if (length > this.held.length) {
      const longer = Buffer.allocUnsafe(length);
      this.held.copy(longer, 0, 0, this.heldBytes);
      this.held = longer;
    }
    bytes.copy(this.held, this.heldBytes, from, to);
    this.heldBytes = length;
  }
}
