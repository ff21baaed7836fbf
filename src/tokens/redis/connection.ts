// One connection to one Redis server: opened once, used until it fails, never repaired. Knows the client library.
// What always holds: every call ends by its deadline, and a server that missed one is not asked again on this
// connection; of what a server says in an error only the code is kept, for it may quote what it was sent.
import { createClient, ErrorReply } from '@redis/client';
import { causeOf } from '../../errors.js';
import type { RedisLogin, RedisServer } from './url.js';

/** How we show ourselves to a server. */
export interface RedisAccess {
  readonly login: RedisLogin | undefined;
  readonly database: number;
  /** PEM; undefined: plain TCP. */
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined;
}

/** The server said no. `code` is the first word of what it said, as `OOM`. */
export class RedisRefusal extends Error {
  readonly code: string;
  /** Where a cluster keeps the key instead. */
  readonly elsewhere: RedisServer | undefined;

  constructor(code: string, elsewhere?: RedisServer) {
    super(`Redis said ${code}`);
    this.code = code;
    this.elsewhere = elsewhere;
  }
}

/** There was no answer, and nobody knows whether the command was carried out. The message tells why. */
export class RedisUnreachable extends Error {}

/** Commands on their way; what comes on top is refused. */
const MAX_PENDING = 10_000;

/** Our name in `CLIENT LIST`. */
const CLIENT_NAME = 'vnctoken';

/** RESP, the protocol: replies and published messages may share a connection, so that a subscriber can ping. */
const PROTOCOL = 3;

type Client = ReturnType<typeof newClient>;

export class RedisConnection {
  readonly server: RedisServer;
  /** Settles when it is over, with the reason. */
  readonly ended: Promise<string>;
  private readonly client: Client;
  private cause: string | undefined;
  private tellEnd: (cause: string) => void = () => {};

  private constructor(server: RedisServer, client: Client) {
    this.server = server;
    this.client = client;
    this.ended = new Promise((resolve) => {
      this.tellEnd = resolve;
    });
    client.on('error', (error: unknown) => this.end(causeWord(error)));
    client.on('end', () => this.end('closed'));
  }

  /**
   * Connects and logs in.
   * @param deadline on the clock of `performance.now()`
   * @throws RedisRefusal, RedisUnreachable
   */
  static async open(server: RedisServer, access: RedisAccess, deadline: number): Promise<RedisConnection> {
    const client = newClient(server, access, deadline - performance.now());
    const connection = new RedisConnection(server, client);
    const connecting = client.connect();
    // Ended meanwhile, but the library may go on and connect all the same.
    const closeLate = () => {
      if (!connection.isOpen) client.destroy();
    };
    connecting.then(closeLate, closeLate);
    try {
      await byDeadline(connecting, deadline);
    } catch (error) {
      connection.end(causeWord(error));
      throw failure(error);
    }
    return connection;
  }

  get isOpen(): boolean {
    return this.cause === undefined;
  }

  /**
   * Sends a command at once, behind those that were sent before.
   * @param deadline on the clock of `performance.now()`
   * @throws RedisRefusal, RedisUnreachable
   */
  async call(command: readonly string[], deadline: number): Promise<unknown> {
    if (this.cause !== undefined) throw new RedisUnreachable(this.cause);
    try {
      return await byDeadline(this.client.sendCommand([...command]), deadline);
    } catch (error) {
      const told = failure(error);
      // A late answer must not be waited for behind others: the next connection starts afresh.
      if (told instanceof RedisUnreachable) this.end(told.message);
      throw told;
    }
  }

  /** From now on, until this connection ends. @throws RedisRefusal, RedisUnreachable */
  async subscribe(channel: string, listener: (message: string) => void, deadline: number): Promise<void> {
    try {
      await byDeadline(this.client.subscribe(channel, listener), deadline);
    } catch (error) {
      throw failure(error);
    }
  }

  /** What is under way fails. */
  end(cause = 'closed'): void {
    if (this.cause !== undefined) return;
    this.cause = cause;
    this.client.destroy();
    this.tellEnd(cause);
  }
}

function newClient({ host, port }: RedisServer, { login, database, tls }: RedisAccess, timeoutMs: number) {
  const socket = {
    ...{ host, port, connectTimeout: Math.max(1, Math.ceil(timeoutMs)) },
    // The library repairs nothing: whoever holds the connection knows better where to connect next.
    reconnectStrategy: false as const,
  };
  return createClient({
    RESP: PROTOCOL,
    socket: tls === undefined ? socket : { ...socket, tls: true, ...tls },
    ...(login?.user === undefined ? {} : { username: login.user }),
    ...(login === undefined ? {} : { password: login.password }),
    ...{ database, name: CLIENT_NAME, disableClientInfo: true, maintNotifications: 'disabled' },
    ...{ disableOfflineQueue: true, commandsQueueMaxLength: MAX_PENDING },
    // Deadlines are kept here, where they end the connection too.
    commandOptions: { timeout: 0 },
  });
}

/** `promise`, or a RedisUnreachable at the deadline. */
export async function byDeadline<T>(promise: Promise<T>, deadline: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const left = Math.max(0, deadline - performance.now());
    timer = setTimeout(() => reject(new RedisUnreachable('no answer in time')), left);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function failure(error: unknown): RedisRefusal | RedisUnreachable {
  if (error instanceof RedisRefusal || error instanceof RedisUnreachable) return error;
  if (error instanceof ErrorReply) return refusal(error.message);
  return new RedisUnreachable(causeWord(error));
}

/** Up to 6 and inside of a script, Redis puts the code further behind: `ERR Error running script …: -OOM …`. */
function refusal(text: string): RedisRefusal {
  // Up to 7.0, a script that lacks rights has no code of its own.
  if (/^(?:ERR )?.{0,200}The user executing the script can't/s.test(text)) return new RedisRefusal('NOPERM');
  const inScript = /^ERR Error running script .*?-([A-Z]{2,20}) /s.exec(text);
  const code = inScript?.[1] ?? /^([A-Z]{2,20})(?: |$)/.exec(text)?.[1] ?? 'ERR';
  const moved = /^(?:MOVED|ASK) \d{1,5} (\S{0,255}):(\d{1,5})$/.exec(text);
  if (moved === null) return new RedisRefusal(code);
  return new RedisRefusal(code, { host: moved[1] ?? '', port: Number(moved[2]) });
}

/** What the system or TLS said, as one code; never a text that could quote data. */
function causeWord(error: unknown): string {
  if (error instanceof RedisUnreachable) return error.message;
  if (error instanceof ErrorReply) return refusal(error.message).code;
  const cause = causeOf(error);
  if (/^[A-Z][A-Z0-9_]{2,60}$/.test(cause)) return cause;
  const name = error instanceof Error ? error.constructor.name : '';
  return { ConnectionTimeoutError: 'no answer in time' }[name] ?? 'connection closed';
}
