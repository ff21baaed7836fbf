// Which server to ask: the interface that a single server, one behind Sentinels, and a cluster have in common.
// What always holds: a call ends by its deadline, redirections included; what fails is not done twice in secret.
import type { RedisAccess, RedisConnection } from './connection.js';
import { RedisConnections } from './connections.js';
import type { RedisServer } from './url.js';

/** Deadlines are on the clock of `performance.now()`; everything throws RedisRefusal and RedisUnreachable. */
export interface RedisTopology {
  /** Sends a command to the server that has the key. */
  call(key: string, command: readonly string[], deadline: number): Promise<unknown>;
  /** Sends a command to one server. */
  callAt(server: RedisServer, command: readonly string[], deadline: number): Promise<unknown>;
  /** Those that together have all keys. */
  masters(deadline: number): Promise<readonly RedisServer[]>;
  /** One whose subscribers hear everything that is published. */
  forSubscriber(deadline: number): Promise<RedisServer>;
  /** Connections that are there, to be looked after. */
  readonly open: readonly RedisConnection[];
  /** From time to time: looks whether the servers are still the right ones. */
  review(deadline: number): Promise<void>;
  close(): void;
}

/** One server, always the same. */
export class RedisSingle implements RedisTopology {
  private readonly server: RedisServer;
  private readonly connections: RedisConnections;

  constructor(server: RedisServer, access: RedisAccess) {
    this.server = server;
    this.connections = new RedisConnections(access);
  }

  call(_key: string, command: readonly string[], deadline: number): Promise<unknown> {
    return this.callAt(this.server, command, deadline);
  }

  async callAt(server: RedisServer, command: readonly string[], deadline: number): Promise<unknown> {
    const connection = await this.connections.to(server, deadline);
    return connection.call(command, deadline);
  }

  masters(): Promise<readonly RedisServer[]> {
    return Promise.resolve([this.server]);
  }

  forSubscriber(): Promise<RedisServer> {
    return Promise.resolve(this.server);
  }

  get open(): readonly RedisConnection[] {
    return this.connections.open;
  }

  review(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.connections.close();
  }
}
