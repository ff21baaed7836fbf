// A VNC server that plays a script over one real connection: sends what it is told, reads what it waits for, begins
// TLS in the middle. For targets that break RFB in ways in which no real server does.
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { createSecureContext, type SecureContextOptions, TLSSocket } from 'node:tls';
import { u32 } from './rfb-messages.ts';
import { type Behaviour, startVncTarget, type VncTarget } from './vnc-target.ts';

export interface Stage {
  socket: Socket;
  send(bytes: Buffer | string | readonly number[]): void;
  /** The next bytes of the client; fails where it leaves. */
  read(count: number): Promise<Buffer>;
  /** From here on everything is inside of TLS. `cutAt`: the connection ends after so many bytes of TLS's own. */
  beginTls(options: SecureContextOptions, cutAt?: number): void;
  /** The stream of the moment: the socket, or TLS. */
  stream(): Duplex;
  end(): void;
}

export type Script = (stage: Stage) => void | Promise<void>;

export interface ScriptOptions {
  /** Every byte in a write of its own. */
  bytewise?: boolean;
  /** The connection ends after so many bytes were sent. */
  cutAt?: number;
}

/** @returns a server; every connection plays the script from the start */
export function playScript(script: Script, options: ScriptOptions = {}): Promise<VncTarget> {
  return startVncTarget(behave(script, options));
}

function behave(
  script: Script,
  { bytewise = false, cutAt = Number.POSITIVE_INFINITY }: ScriptOptions,
): Behaviour {
  return (socket) => {
    let stream: Duplex = new Wire(socket, bytewise, cutAt);
    let arrived: Buffer = Buffer.alloc(0);
    let wake: () => void = () => undefined;
    const listenTo = (source: Duplex) => {
      source.on('data', (bytes: Buffer) => {
        arrived = Buffer.concat([arrived, bytes]);
        wake();
      });
      source.on('error', () => undefined);
      source.once('close', () => wake());
    };
    listenTo(stream);
    const stage: Stage = {
      socket,
      stream: () => stream,
      send: (content) => {
        stream.write(typeof content === 'string' ? Buffer.from(content, 'latin1') : Buffer.from(content));
      },
      read: async (count) => {
        while (arrived.length < count) {
          if (stream.destroyed) throw new Error('the client has left');
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        const bytes = arrived.subarray(0, count);
        arrived = arrived.subarray(count);
        return bytes;
      },
      beginTls: (context, tlsCutAt = Number.POSITIVE_INFINITY) => {
        stream.removeAllListeners('data');
        const wire = tlsCutAt === Number.POSITIVE_INFINITY ? stream : new Wire(stream, false, tlsCutAt);
        stream = new TLSSocket(wire, { isServer: true, secureContext: createSecureContext(context) });
        listenTo(stream);
      },
      end: () => {
        stream.end();
      },
    };
    // A client that leaves in the middle is what most of these tests are about.
    Promise.resolve(script(stage)).catch(() => undefined);
  };
}

/** Bytes on their way out, in pieces or up to a limit. */
class Wire extends Duplex {
  private readonly below: Duplex;
  private readonly bytewise: boolean;
  private left: number;

  constructor(below: Duplex, bytewise: boolean, cutAt: number) {
    super({ allowHalfOpen: true });
    this.below = below;
    this.bytewise = bytewise;
    this.left = cutAt;
    below.on('data', (bytes: Buffer) => {
      if (!this.push(bytes)) below.pause();
    });
    below.on('error', () => undefined);
    below.once('end', () => this.push(null));
    below.once('close', () => this.destroy());
  }

  override _read(): void {
    this.below.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const bytes = chunk.subarray(0, this.left);
    this.left -= bytes.length;
    let room = true;
    if (this.bytewise) for (const byte of bytes) room = this.below.write(Buffer.from([byte]));
    else if (bytes.length > 0) room = this.below.write(bytes);
    if (this.left === 0 && !this.below.writableEnded) this.below.end();
    if (room || this.below.writableEnded) done();
    else this.below.once('drain', done);
  }

  override _final(done: () => void): void {
    this.below.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.below.destroy();
    done(error);
  }
}

/** A reason: its length and its text. */
export function reason(text: string): Buffer {
  return Buffer.concat([u32(Buffer.byteLength(text)), Buffer.from(text)]);
}
