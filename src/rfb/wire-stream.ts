// A connection to a target as the stream that Node's TLS wants below itself.
// What always holds: while TLS does not read, the target is not read; what TLS writes waits while the target is slow.
import { Duplex } from 'node:stream';
import type { TargetConnection } from '../transport/transport.js';
import { targetFailed } from './failure.js';

/** Of a TLS handshake. A chain of certificates has some kilobytes. */
const HANDSHAKE_BYTES = 256 * 1024;

export class WireStream extends Duplex {
  /** How the connection ended, once it has. */
  endedBy: string | undefined;
  private readonly wire: TargetConnection;
  private handshakeBytes: number | undefined = 0;
  /** TLS has asked for more since the last push. */
  private wanted = false;
  private held = false;
  private afterDrain: (() => void) | undefined;

  constructor(wire: TargetConnection) {
    super({ allowHalfOpen: false });
    this.wire = wire;
    wire.start({
      data: (memory, start, end) => this.receive(memory.subarray(start, end)),
      drain: () => {
        const { afterDrain } = this;
        this.afterDrain = undefined;
        afterDrain?.();
      },
      ended: (why) => {
        this.endedBy = why;
        this.push(null);
      },
    });
  }

  /** From now on as many bytes may come as will. */
  settle(): void {
    this.handshakeBytes = undefined;
  }

  override _read(): void {
    this.wanted = true;
    if (!this.held) return;
    this.held = false;
    this.wire.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.wire.write(chunk)) done();
    else this.afterDrain = done;
  }

  override _final(done: () => void): void {
    this.wire.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // After end() the connection is still sending, and looks after itself.
    if (!this.writableFinished) this.wire.destroy();
    done(error);
  }

  private receive(bytes: Buffer): boolean {
    if (this.destroyed) return true;
    if (this.handshakeBytes !== undefined) {
      this.handshakeBytes += bytes.length;
      if (this.handshakeBytes > HANDSHAKE_BYTES) {
        this.destroy(targetFailed('the TLS handshake of the target does not end'));
        return true;
      }
    }
    this.wanted = false;
    // TLS may keep them, and the memory is the connection's.
    this.held = !this.push(Buffer.from(bytes)) && !this.wanted;
    return !this.held;
  }
}
