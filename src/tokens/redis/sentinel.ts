// One master behind Sentinels, which say where it is now.
// What always holds: a server that does not call itself master is not used; one that failed or was demoted is asked
// for again before the next command.
import { z } from 'zod';
import { RedisBackoff } from './backoff.js';
import {
  byDeadline,
  type RedisAccess,
  RedisConnection,
  RedisRefusal,
  RedisUnreachable,
} from './connection.js';
import { OPEN_TIMEOUT_MS, RedisConnections } from './connections.js';
import type { RedisTopology } from './topology.js';
import { type RedisServer, serverName } from './url.js';

const masterAddress = z.tuple([z.string().min(1).max(255), z.coerce.number().int().min(1).max(65_535)]);
const role = z.tuple([z.string()]).rest(z.unknown());

export interface RedisSentinelParts {
  readonly sentinels: readonly RedisServer[];
  readonly masterName: string;
  /** To the Sentinels. */
  readonly sentinelAccess: RedisAccess;
  /** To the master. */
  readonly access: RedisAccess;
}

export class RedisSentinel implements RedisTopology {
  private readonly parts: RedisSentinelParts;
  private readonly connections: RedisConnections;
  private readonly backoff = new RedisBackoff();
  private master: RedisServer | undefined;
  private looking: Promise<RedisServer> | undefined;
  private failure: unknown;

  constructor(parts: RedisSentinelParts) {
    this.parts = parts;
    this.connections = new RedisConnections(parts.access);
  }

  async call(_key: string, command: readonly string[], deadline: number): Promise<unknown> {
    return this.callAt(await this.present(deadline), command, deadline);
  }

  async callAt(server: RedisServer, command: readonly string[], deadline: number): Promise<unknown> {
    try {
      const connection = await this.connections.to(server, deadline);
      return await connection.call(command, deadline);
    } catch (error) {
      if (error instanceof RedisUnreachable || (error instanceof RedisRefusal && error.code === 'READONLY')) {
        if (this.master === server) this.master = undefined;
      }
      throw error;
    }
  }

  async masters(deadline: number): Promise<readonly RedisServer[]> {
    return [await this.present(deadline)];
  }

  forSubscriber(deadline: number): Promise<RedisServer> {
    return this.present(deadline);
  }

  get open(): readonly RedisConnection[] {
    return this.connections.open;
  }

  /** A master that was cut off lives on for a while beside its successor: only the Sentinels know. */
  async review(deadline: number): Promise<void> {
    await this.look(deadline);
  }

  close(): void {
    this.connections.close();
  }

  private present(deadline: number): Promise<RedisServer> {
    if (this.master !== undefined) return Promise.resolve(this.master);
    if (this.looking === undefined && this.backoff.left > 0) return Promise.reject(this.failure);
    return this.look(deadline);
  }

  private look(deadline: number): Promise<RedisServer> {
    this.looking ??= this.findMaster()
      .then(
        (server) => this.use(server),
        (error: unknown) => {
          this.failure = error;
          this.backoff.failed();
          throw error;
        },
      )
      .finally(() => {
        this.looking = undefined;
      });
    return byDeadline(this.looking, deadline);
  }

  private use(server: RedisServer): RedisServer {
    this.backoff.succeeded();
    this.connections.keepOnly([server]);
    // The same object for the same server, as `callAt` compares.
    if (this.master === undefined || serverName(this.master) !== serverName(server)) this.master = server;
    return this.master;
  }

  /** All are asked at once, for those that are down would cost the time of the others. */
  private async findMaster(): Promise<RedisServer> {
    const deadline = performance.now() + OPEN_TIMEOUT_MS;
    try {
      return await Promise.any(this.parts.sentinels.map((sentinel) => this.ask(sentinel, deadline)));
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error;
    }
  }

  private async ask(sentinel: RedisServer, deadline: number): Promise<RedisServer> {
    const connection = await RedisConnection.open(sentinel, this.parts.sentinelAccess, deadline);
    try {
      const command = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.parts.masterName];
      const address = masterAddress.safeParse(await connection.call(command, deadline));
      if (!address.success) throw new RedisUnreachable(`no Sentinel knows a master of that name`);
      const [host, port] = address.data;
      const server = { host, port };
      const master = await this.connections.to(server, deadline);
      const reply = role.safeParse(await master.call(['ROLE'], deadline));
      if (reply.data?.[0] !== 'master') throw new RedisUnreachable('no master yet');
      return server;
    } finally {
      connection.end();
    }
  }
}
