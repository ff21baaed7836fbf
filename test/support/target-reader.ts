// The receiving side of a connection to a target, as a session is: it takes bytes, or holds the memory that they lie in
// and gives it back later. What is held is watched: nothing may change in it, and nothing more may come.
import { HEAD_ROOM } from '../../src/transport/read-memory.ts';
import type { TargetConnection } from '../../src/transport/transport.ts';
import { waitFor } from './wait.ts';

export class TargetReader {
  /** Breaches of what a connection promises, in words. */
  readonly breaches: string[] = [];
  readonly ends: string[] = [];
  drains = 0;
  /** Whether the next piece is held. */
  hold = false;
  private readonly connection: TargetConnection;
  private readonly chunks: Buffer[] = [];
  private bytes = 0;
  private held: { memory: Buffer; was: Buffer } | undefined;

  constructor(connection: TargetConnection) {
    this.connection = connection;
  }

  start(): this {
    this.connection.start({
      data: (memory, start, end) => this.take(memory, start, end),
      drain: () => {
        this.drains++;
      },
      ended: (why) => {
        this.ends.push(why);
      },
    });
    return this;
  }

  get isHolding(): boolean {
    return this.held !== undefined;
  }

  get receivedBytes(): number {
    return this.bytes;
  }

  /** How many bytes came at a time. */
  get pieces(): readonly number[] {
    return this.chunks.map(({ length }) => length);
  }

  received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  /** Gives back what is held. */
  giveBack(): void {
    if (this.held === undefined) return;
    const { memory, was } = this.held;
    if (!memory.equals(was)) this.breaches.push('held memory has changed');
    this.held = undefined;
    this.connection.resume();
  }

  /** Takes all from now on. */
  flow(): void {
    this.hold = false;
    this.giveBack();
  }

  async waitForBytes(bytes: number): Promise<Buffer> {
    await waitFor(() => this.bytes >= bytes, { what: `${bytes} bytes of the target`, deadlineMs: 30_000 });
    return this.received();
  }

  async waitForEnd(): Promise<string> {
    return waitFor(() => this.ends[0], { what: 'the end of the connection', deadlineMs: 20_000 });
  }

  private take(memory: Buffer, start: number, end: number): boolean {
    if (this.held !== undefined) this.breaches.push('bytes came while memory was held');
    if (this.ends.length > 0) this.breaches.push('bytes came after the end');
    if (start < HEAD_ROOM || end <= start || end > memory.length) {
      this.breaches.push(`bytes ${start} to ${end} of ${memory.length}`);
    }
    const was = Buffer.from(memory.subarray(start, end));
    // As a frame header would be.
    memory.fill(0xee, start - HEAD_ROOM, start);
    this.chunks.push(was);
    this.bytes += was.length;
    if (!this.hold) return true;
    this.held = { memory: memory.subarray(start, end), was };
    return false;
  }
}
