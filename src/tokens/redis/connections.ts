// One connection to each server that is asked, made when it is needed and made anew when it has ended.
// What always holds: nobody waits for a server that could not be reached a moment ago, and nobody for longer than his
// own deadline; there is no queue for better times.
import { RedisBackoff } from './backoff.js';
import { byDeadline, type RedisAccess, RedisConnection, RedisUnreachable } from './connection.js';
import { type RedisServer, serverName } from './url.js';

/** For a connection and its login, however long those who wait for it would. */
export const OPEN_TIMEOUT_MS = 2000;

interface Entry {
  readonly backoff: RedisBackoff;
  connection?: RedisConnection | undefined;
  opening?: Promise<RedisConnection> | undefined;
  failure?: unknown;
}

export class RedisConnections {
  private readonly access: RedisAccess;
  private readonly entries = new Map<string, Entry>();
  private closed = false;

  constructor(access: RedisAccess) {
    this.access = access;
  }

  /** @param deadline on the clock of `performance.now()`. @throws RedisRefusal, RedisUnreachable */
  async to(server: RedisServer, deadline: number): Promise<RedisConnection> {
    const entry = this.entryOf(server);
    if (entry.connection?.isOpen) return entry.connection;
    if (entry.opening === undefined && entry.backoff.left > 0) throw entry.failure;
    entry.opening ??= this.connect(server, entry).finally(() => {
      entry.opening = undefined;
    });
    return byDeadline(entry.opening, deadline);
  }

  /** Those that are there now. */
  get open(): readonly RedisConnection[] {
    return [...this.entries.values()].flatMap(({ connection }) => (connection?.isOpen ? [connection] : []));
  }

  /** Ends connections to all other servers. */
  keepOnly(servers: readonly RedisServer[]): void {
    const names = new Set(servers.map(serverName));
    for (const [name, { connection }] of this.entries) {
      if (names.has(name)) continue;
      this.entries.delete(name);
      connection?.end();
    }
  }

  /** For good. */
  close(): void {
    this.closed = true;
    this.keepOnly([]);
  }

  private entryOf(server: RedisServer): Entry {
    const name = serverName(server);
    const entry = this.entries.get(name) ?? { backoff: new RedisBackoff() };
    this.entries.set(name, entry);
    return entry;
  }

  private async connect(server: RedisServer, entry: Entry): Promise<RedisConnection> {
    try {
      if (this.closed) throw new RedisUnreachable('closed');
      const connection = await RedisConnection.open(server, this.access, performance.now() + OPEN_TIMEOUT_MS);
      // Given up meanwhile: nobody would end it.
      if (this.entries.get(serverName(server)) !== entry) connection.end();
      entry.connection = connection;
      entry.backoff.succeeded();
      return connection;
    } catch (error) {
      entry.failure = error;
      entry.backoff.failed();
      throw error;
    }
  }
}
