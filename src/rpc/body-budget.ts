// How many bytes of unfinished calls this host holds at a time, whoever sends them. What always holds: where there are
// too many, the address (IPv6: the /64) that holds most of them loses the oldest of its own, and nobody else anything.
import type { IncomingMessage } from 'node:http';
import { networkOf } from '../client-address.js';

/** So much at least; a few calls of `max_body` always fit. */
const LEAST_BYTES = 16 * 1024 * 1024;
const LEAST_BODIES = 4;

interface Sender {
  bytes: number;
  /** The oldest first. */
  readonly bodies: Set<Body>;
}

interface Body {
  bytes: number;
  readonly drop: () => void;
}

export class BodyBudget {
  private readonly maxBytes: number;
  private readonly maxBodyBytes: number;
  private readonly senders = new Map<string, Sender>();
  private bytes = 0;

  /** @param maxBytes of all unfinished bodies together; for tests */
  constructor(maxBodyBytes: number, maxBytes = Math.max(LEAST_BYTES, LEAST_BODIES * maxBodyBytes)) {
    this.maxBodyBytes = maxBodyBytes;
    this.maxBytes = maxBytes;
  }

  /**
   * Counts a body from its first byte until its last, or its end otherwise.
   * @param drop refuses the call; its body counts no more from then on
   */
  hold(request: IncomingMessage, client: string, drop: () => void): void {
    const network = networkOf(client);
    const body: Body = { bytes: 0, drop };
    const count = (bytes: number) => this.count(network, body, bytes);
    const onData = (chunk: Buffer) => count(chunk.length);
    // What is packed becomes as long as a body may be, with a few bytes.
    if (request.headers['content-encoding'] !== undefined) count(this.maxBodyBytes);
    else request.on('data', onData);
    const over = () => {
      request.off('data', onData);
      this.release(network, body);
    };
    request.once('end', over);
    request.once('close', over);
  }

  private count(network: string, body: Body, bytes: number): void {
    const sender = this.senders.get(network) ?? { bytes: 0, bodies: new Set<Body>() };
    this.senders.set(network, sender);
    sender.bodies.add(body);
    sender.bytes += bytes;
    body.bytes += bytes;
    this.bytes += bytes;
    while (this.bytes > this.maxBytes) this.dropOne();
  }

  private dropOne(): void {
    let [most, network]: [Sender | undefined, string] = [undefined, ''];
    for (const [name, sender] of this.senders) {
      if (most === undefined || sender.bytes > most.bytes) [most, network] = [sender, name];
    }
    const [oldest] = most?.bodies ?? [];
    if (oldest === undefined) throw new TypeError('bytes of nobody');
    this.release(network, oldest);
    oldest.drop();
  }

  private release(network: string, body: Body): void {
    const sender = this.senders.get(network);
    if (sender === undefined || !sender.bodies.delete(body)) return;
    sender.bytes -= body.bytes;
    this.bytes -= body.bytes;
    if (sender.bodies.size === 0) this.senders.delete(network);
  }
}
