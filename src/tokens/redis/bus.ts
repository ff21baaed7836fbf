// Messages between the hosts, by Redis's publish/subscribe, over a connection of its own.
// What always holds: who is not heard is subscribed again for ever; what comes in is hostile until its MAC and its form
// are proven, and what one host says it does not hear itself. A message that is sent again says nothing new: sessions are
// never the same twice, and a revocation is about those before it.
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Logger } from '../../log.js';
import type { BusMessage, SessionBus } from '../bus.js';
import type { SessionId } from '../record.js';
import { zoneSchema } from '../record-schema.js';
import { RedisBackoff } from './backoff.js';
import type { RedisCalls } from './calls.js';
import { type RedisAccess, RedisConnection } from './connection.js';
import { OPEN_TIMEOUT_MS } from './connections.js';
import type { Distrust } from './distrust.js';
import type { MacProblem, RedisMac } from './mac.js';
import type { RedisTopology } from './topology.js';

const MAX_MESSAGE_CHARS = 65_536;
/** Of one message; more sessions take several. */
const MAX_SESSIONS = 500;

const session = z
  .string()
  .min(1)
  .max(64)
  .transform((text) => text as SessionId);
const from = z.string().max(64);
const question = z.string().max(64);

const envelope = z.discriminatedUnion('type', [
  z.strictObject({
    ...{ from, type: z.literal('end'), sessions: z.array(session).max(MAX_SESSIONS) },
    why: z.enum(['taken-over', 'revoked', 'vm-gone']),
  }),
  z.strictObject({
    ...{ from, type: z.literal('revoke'), until: z.number() },
    selection: z.strictObject({
      zone: zoneSchema,
      fingerprint: z.string().max(64).optional(),
      vmId: z.number().int().optional(),
      uid: z.number().int().optional(),
      user: z.string().optional(),
    }),
  }),
  z.strictObject({ from, type: z.literal('probe'), session, question }),
  z.strictObject({ from, type: z.literal('probed'), question, alive: z.boolean() }),
]);

export interface RedisBusParts {
  readonly topology: RedisTopology;
  readonly calls: RedisCalls;
  readonly access: RedisAccess;
  readonly channel: string;
  readonly mac: RedisMac;
  readonly distrust: Distrust;
  readonly logger: Logger;
}

export class RedisBus implements SessionBus {
  private readonly parts: RedisBusParts;
  private readonly me = randomBytes(12).toString('hex');
  private readonly listeners: ((message: BusMessage) => void)[] = [];
  private readonly backoff = new RedisBackoff();
  private connection: RedisConnection | undefined;
  private pause: NodeJS.Timeout | undefined;
  private toldDeaf = false;
  private closed = false;

  constructor(parts: RedisBusParts) {
    this.parts = parts;
  }

  publish(message: BusMessage): void {
    for (const part of inParts(message)) {
      // Lost where Redis cannot be reached: the renewal of the lease tells the other host.
      this.send(part).catch(() => {});
    }
  }

  subscribe(listener: (message: BusMessage) => void): void {
    this.listeners.push(listener);
  }

  /** The first time; from then on it goes on by itself. @throws RedisRefusal, RedisUnreachable */
  async open(): Promise<void> {
    const connection = await this.listen();
    void connection.ended.then((cause) => this.goOn(cause));
  }

  /** The connection that listens, to be looked after. */
  get connections(): readonly RedisConnection[] {
    return this.connection?.isOpen ? [this.connection] : [];
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.pause);
    this.connection?.end();
  }

  private async send(message: BusMessage): Promise<void> {
    const { calls, channel, mac } = this.parts;
    const text = mac.sign('message', channel, JSON.stringify({ from: this.me, ...message }));
    await calls.toKey(channel, ['PUBLISH', channel, text]);
  }

  private async listen(): Promise<RedisConnection> {
    const { topology, access, channel } = this.parts;
    const deadline = performance.now() + OPEN_TIMEOUT_MS;
    const server = await topology.forSubscriber(deadline);
    const connection = await RedisConnection.open(server, access, deadline);
    try {
      await connection.subscribe(channel, (text) => this.heard(text), deadline);
      // An answer that nobody asked for: it shows that we may publish.
      await this.send({ type: 'probed', question: '', alive: false });
    } catch (error) {
      connection.end();
      throw error;
    }
    this.connection = connection;
    if (this.closed) connection.end();
    return connection;
  }

  private goOn(cause: string): void {
    if (this.closed) return;
    if (!this.toldDeaf) this.parts.logger.warn({ cause }, 'other hosts are not heard until Redis is back');
    this.toldDeaf = true;
    this.pause = setTimeout(() => void this.listenAgain(), Math.max(0, this.backoff.left));
    this.pause.unref();
  }

  private async listenAgain(): Promise<void> {
    try {
      await this.open();
      this.backoff.succeeded();
      if (this.toldDeaf) this.parts.logger.info('other hosts are heard again');
      this.toldDeaf = false;
    } catch (error) {
      this.backoff.failed();
      this.goOn(error instanceof Error ? error.message : 'unknown');
    }
  }

  private heard(text: string): void {
    const { channel, distrust } = this.parts;
    const message = this.parse(text);
    if (typeof message === 'string') distrust.tell(message, { channel });
    if (typeof message === 'string' || message.from === this.me) return;
    const { from: _, ...told } = message;
    for (const listener of this.listeners) listener(told);
  }

  private parse(text: string): (BusMessage & { readonly from: string }) | MacProblem | 'no message' {
    const { channel, mac } = this.parts;
    if (text.length > MAX_MESSAGE_CHARS) return 'no message';
    const opened = mac.open('message', channel, text);
    if (typeof opened === 'string') return opened;
    try {
      return envelope.parse(JSON.parse(opened.json));
    } catch {
      return 'no message';
    }
  }
}

function inParts(message: BusMessage): readonly BusMessage[] {
  if (message.type !== 'end') return [message];
  const parts: BusMessage[] = [];
  for (let i = 0; i < message.sessions.length; i += MAX_SESSIONS) {
    parts.push({ ...message, sessions: message.sessions.slice(i, i + MAX_SESSIONS) });
  }
  return parts;
}
