// Looks after connections that nobody uses: one that does not answer is ended here, before somebody waits for it.
// What always holds: of two beats the second waits for the first.
import type { RedisConnection } from './connection.js';
import type { RedisTopology } from './topology.js';

const BEAT_EVERY_MS = 5000;
const BEAT_TIMEOUT_MS = 2000;

export class RedisHeartbeat {
  private readonly topology: RedisTopology;
  private readonly more: () => readonly RedisConnection[];
  private timer: NodeJS.Timeout | undefined;
  private beating: Promise<void> | undefined;

  /** @param more connections besides those of the topology */
  constructor(topology: RedisTopology, more: () => readonly RedisConnection[]) {
    this.topology = topology;
    this.more = more;
  }

  start(): void {
    this.timer = setInterval(() => void this.beat(), BEAT_EVERY_MS);
    this.timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.beating;
  }

  /** A connection that misses it has ended; whoever holds it hears of that. */
  beat(): Promise<void> {
    this.beating ??= this.pingAll().finally(() => {
      this.beating = undefined;
    });
    return this.beating;
  }

  private async pingAll(): Promise<void> {
    const deadline = performance.now() + BEAT_TIMEOUT_MS;
    const pings = [...this.topology.open, ...this.more()].map((one) => one.call(['PING'], deadline));
    await Promise.allSettled([...pings, this.topology.review(deadline)]);
  }
}
