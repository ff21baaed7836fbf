// A cluster: every key belongs to one of 16384 slots, and every slot to one master.
// What always holds: a command is sent on as the cluster redirects it, a few times at most; the map of the slots is
// asked for again after every surprise, once at a time.
import { z } from 'zod';
import { RedisBackoff } from './backoff.js';
import {
  byDeadline,
  type RedisAccess,
  type RedisConnection,
  RedisRefusal,
  RedisUnreachable,
} from './connection.js';
import { OPEN_TIMEOUT_MS, RedisConnections } from './connections.js';
import type { RedisTopology } from './topology.js';
import { type RedisServer, serverName } from './url.js';

const SLOTS = 16_384;
const MAX_REDIRECTIONS = 5;

const node = z.tuple([z.string().max(255).nullable(), z.number().int().min(1).max(65_535)]).rest(z.unknown());
const slot = z
  .number()
  .int()
  .min(0)
  .max(SLOTS - 1);
/** `CLUSTER SLOTS`: first slot, last slot, master, replicas. */
const slotMap = z
  .array(z.tuple([slot, slot, node]).rest(z.unknown()))
  .min(1)
  .max(SLOTS);

interface Range {
  readonly from: number;
  readonly to: number;
  readonly master: RedisServer;
}

export class RedisCluster implements RedisTopology {
  /** Those of `redis_url`, for a start and as a last resort. */
  private readonly seeds: readonly RedisServer[];
  private readonly connections: RedisConnections;
  private readonly backoff = new RedisBackoff();
  private map: readonly Range[] = [];
  private looking: Promise<void> | undefined;
  private failure: unknown;

  constructor(seeds: readonly RedisServer[], access: RedisAccess) {
    this.seeds = seeds;
    this.connections = new RedisConnections(access);
  }

  async call(key: string, command: readonly string[], deadline: number): Promise<unknown> {
    if (this.map.length === 0) await this.look(deadline);
    const keySlot = slotOf(key);
    let server = this.map.find(({ from, to }) => from <= keySlot && keySlot <= to)?.master;
    if (server === undefined) {
      this.lookLater();
      throw new RedisUnreachable('no server has the slot');
    }
    let asking = false;
    for (let i = 0; i <= MAX_REDIRECTIONS; i++) {
      try {
        return await this.callAt(server, command, deadline, asking);
      } catch (error) {
        if (!(error instanceof RedisRefusal) || error.elsewhere === undefined) throw error;
        // The map comes only after this command, which need not wait for it.
        if (error.code === 'MOVED') this.lookLater();
        asking = error.code === 'ASK';
        const { host, port } = error.elsewhere;
        server = { host: host === '' ? server.host : host, port };
      }
    }
    throw new RedisUnreachable('too many redirections');
  }

  async callAt(
    server: RedisServer,
    command: readonly string[],
    deadline: number,
    asking = false,
  ): Promise<unknown> {
    try {
      const connection = await this.connections.to(server, deadline);
      // Both are sent at once, so that nothing comes between them.
      if (asking) connection.call(['ASKING'], deadline).catch(() => {});
      return await connection.call(command, deadline);
    } catch (error) {
      const lost = error instanceof RedisUnreachable;
      if (lost || (error instanceof RedisRefusal && ['CLUSTERDOWN', 'READONLY'].includes(error.code))) {
        this.lookLater();
      }
      throw error;
    }
  }

  async masters(deadline: number): Promise<readonly RedisServer[]> {
    if (this.map.length === 0) await this.look(deadline);
    return distinct(this.map.map(({ master }) => master));
  }

  /** Any of them, for a cluster hands on to all of its nodes what is published on one. */
  async forSubscriber(deadline: number): Promise<RedisServer> {
    const servers = await this.masters(deadline);
    const server = servers[Math.floor(Math.random() * servers.length)];
    if (server === undefined) throw new RedisUnreachable('no server has the slot');
    return server;
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

  /** Asks for the map, unless that failed a moment ago; nobody waits. */
  private lookLater(): void {
    if (this.looking !== undefined || this.backoff.left <= 0) {
      this.look(performance.now() + OPEN_TIMEOUT_MS).catch(() => {});
    }
  }

  private look(deadline: number): Promise<void> {
    if (this.looking === undefined && this.backoff.left > 0) return Promise.reject(this.failure);
    this.looking ??= this.fetchMap().finally(() => {
      this.looking = undefined;
    });
    return byDeadline(this.looking, deadline);
  }

  /** All known servers are asked at once, for those that are down would cost the time of the others. */
  private async fetchMap(): Promise<void> {
    const known = distinct([...this.map.map(({ master }) => master), ...this.seeds]);
    const deadline = performance.now() + OPEN_TIMEOUT_MS;
    try {
      const before = JSON.stringify(this.map);
      this.map = await Promise.any(known.map((server) => this.mapFrom(server, deadline)));
      // A surprise that the map does not explain (a master is down, nobody in its place) may last.
      if (JSON.stringify(this.map) === before) this.backoff.failed();
      else this.backoff.succeeded();
      this.connections.keepOnly([...this.map.map(({ master }) => master), ...this.seeds]);
    } catch (error) {
      this.failure = error instanceof AggregateError ? error.errors[0] : error;
      this.backoff.failed();
      throw this.failure;
    }
  }

  private async mapFrom(server: RedisServer, deadline: number): Promise<readonly Range[]> {
    const connection = await this.connections.to(server, deadline);
    const [slots, info] = await Promise.all([
      connection.call(['CLUSTER', 'SLOTS'], deadline),
      connection.call(['CLUSTER', 'INFO'], deadline),
    ]);
    // A server that is cut off from the others knows an old map.
    if (!String(info).includes('cluster_state:ok')) throw new RedisRefusal('CLUSTERDOWN');
    const reply = slotMap.safeParse(slots);
    if (!reply.success) throw new RedisUnreachable('the cluster has no slots');
    return reply.data.map(([from, to, [host, port]]) => {
      // Without a name of its own it is the one that was asked.
      const master = { host: host === null || host === '' || host === '?' ? server.host : host, port };
      return { from, to, master };
    });
  }
}

function distinct(servers: readonly RedisServer[]): RedisServer[] {
  return [...new Map(servers.map((server) => [serverName(server), server])).values()];
}

/** CRC-16/XMODEM of the key, as the cluster's specification has it; keys of ours have no {hash tag}. */
export function slotOf(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
    crc &= 0xffff;
  }
  return crc % SLOTS;
}
