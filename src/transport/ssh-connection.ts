// The one SSH connection to a hypervisor, shared by its consoles: from the attempt that they wait for together to its
// one end.
// What always holds: over() is the only end, runs once, and takes every console with it, each with the reason; a
// connection that nobody waits for and no console uses does not stay.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type GatewayError, toGatewayError } from '../errors.js';
import type { Logger } from '../log.js';
import { untilAborted } from '../until-aborted.js';
import { knownHostsName } from './known-hosts.js';
import { connectToSshd, type SshAttempt } from './ssh-attempt.js';
import type { SshClient } from './ssh-client.js';
import { refusedChannel, SshConnectionLost, sshFailed } from './ssh-errors.js';

export type { SshDial } from './ssh-attempt.js';

export interface SshConnectionParts extends SshAttempt {
  readonly logger: Logger;
  /** It is over, once: nothing more can be opened over it. */
  readonly onOver: () => void;
  /** Its socket is gone, after onOver. */
  readonly onClosed: () => void;
}

export class SshConnection {
  /** As known_hosts calls the hypervisor. */
  readonly label: string;
  private readonly parts: SshConnectionParts;
  private readonly attempt = new AbortController();
  private readonly ready: Promise<SshClient>;
  /** Logged in. */
  private client: SshClient | undefined;
  private hasSocket = false;
  private isRetired = false;
  /** Consoles that wait for the connection or for a channel. */
  private waiting = 0;
  private readonly channels = new Set<Duplex>();
  private idleTimer: NodeJS.Timeout | undefined;
  /** Those who wait for a channel, to be told when the connection is over. */
  private readonly onLost = new Set<(reason: GatewayError) => void>();
  private overBecause: GatewayError | undefined;

  constructor(parts: SshConnectionParts) {
    this.parts = parts;
    this.label = knownHostsName(parts.way.host, parts.way.port);
    // Whatever step it is in: who waits hears of the end at once.
    this.ready = untilAborted(this.open(), this.attempt.signal);
    this.ready.catch((error: unknown) => this.over(toGatewayError(error)));
  }

  get isOpen(): boolean {
    return this.client !== undefined && !this.isOver;
  }

  private get isOver(): boolean {
    return this.overBecause !== undefined;
  }

  /**
   * Waits for the connection and opens a channel over it.
   * @throws GatewayError `target-failed`; SshConnectionLost where a new connection may do better; the signal's reason
   */
  async openChannel(port: number, signal: AbortSignal): Promise<Duplex> {
    this.waiting++;
    clearTimeout(this.idleTimer);
    try {
      const client = await untilAborted(this.ready, signal);
      return await this.requestChannel(client, port, signal);
    } finally {
      this.waiting--;
      this.leaveIfIdle();
    }
  }

  /** No console comes any more; those that are there stay. */
  retire(): void {
    this.isRetired = true;
    this.leaveIfIdle();
  }

  /** Ends the connection and all that goes over it. */
  close(): void {
    this.over(new SshConnectionLost(this.label, 'the service stops'), 'closed');
  }

  private async open(): Promise<SshClient> {
    const events = {
      socket: (socket: Socket) => {
        this.hasSocket = true;
        socket.once('close', () => this.parts.onClosed());
      },
      lost: (reason: GatewayError) => this.over(reason),
      released: () => this.leaveIfIdle(),
    };
    const client = await connectToSshd(this.parts, events, this.attempt.signal);
    if (this.overBecause !== undefined) {
      client.destroy();
      throw this.overBecause;
    }
    this.client = client;
    this.log('info', 'SSH connection opened');
    return client;
  }

  private requestChannel(client: SshClient, port: number, signal: AbortSignal): Promise<Duplex> {
    const { limits, way } = this.parts;
    if (this.overBecause !== undefined) throw this.overBecause;
    const destination = `${way.listen.includes(':') ? `[${way.listen}]` : way.listen}:${port}`;
    if (client.channels >= limits.channels)
      throw sshFailed(
        `${limits.channels} consoles go over the SSH connection to ${this.label}, there is no room`,
      );
    return new Promise((resolve, reject) => {
      let settled = false;
      const settle = (act: () => void) => {
        settled = true;
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        this.onLost.delete(fail);
        act();
      };
      const fail = (error: GatewayError) => settle(() => reject(error));
      const abort = () => settle(() => reject(signal.reason));
      const seconds = way.connectTimeoutMs / 1000;
      const late = `sshd of ${this.label} opened no channel to ${destination} within ${seconds} s`;
      const timer = setTimeout(() => fail(sshFailed(late)), way.connectTimeoutMs);
      signal.addEventListener('abort', abort);
      this.onLost.add(fail);
      client.openChannel(way.listen, port, (refusal, channel) => {
        if (settled) return channel?.destroy();
        settle(() => {
          if (channel !== undefined) resolve(this.adopt(channel));
          else reject(refusedChannel(this.label, destination, refusal ?? { reason: undefined, text: '' }));
        });
      });
    });
  }

  private adopt(channel: Duplex): Duplex {
    this.channels.add(channel);
    channel.once('close', () => this.channels.delete(channel));
    // Whoever uses the channel listens too; the end of the connection must not depend on it.
    channel.on('error', () => undefined);
    return channel;
  }

  /** Nobody waits and no channel is left: an attempt ends at once, a connection that is open a little later. */
  private leaveIfIdle(): void {
    clearTimeout(this.idleTimer);
    if (this.isOver || this.waiting > 0) return;
    if (this.client === undefined) {
      this.over(sshFailed(`nobody waited for the SSH connection to ${this.label}`), 'closed');
    } else if (this.client.channels === 0) {
      const ended = new SshConnectionLost(this.label, 'it was idle');
      this.idleTimer = setTimeout(
        () => this.over(ended, 'closed'),
        this.isRetired ? 0 : this.parts.limits.idleMs,
      );
    }
  }

  private over(reason: GatewayError, how: 'closed' | 'failed' = 'failed'): void {
    if (this.isOver) return;
    this.overBecause = reason;
    clearTimeout(this.idleTimer);
    this.attempt.abort(reason);
    this.parts.onOver();
    for (const fail of this.onLost) fail(reason);
    for (const channel of this.channels) channel.destroy(reason);
    if (!this.hasSocket) this.parts.onClosed();
    if (this.client === undefined) return;
    if (how === 'closed') this.client.end();
    else this.client.destroy();
    this.log(how === 'closed' ? 'info' : 'warn', 'SSH connection closed', reason.detail);
  }

  private log(level: 'info' | 'warn', message: string, reason?: string): void {
    const { way, logger } = this.parts;
    const { host, address, port, user } = way;
    logger[level](
      { host, address, port, sshUser: user, ...(reason === undefined ? {} : { reason }) },
      message,
    );
  }
}
