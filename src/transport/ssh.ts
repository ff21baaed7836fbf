// The SSH way to targets: one connection to a hypervisor, shared by all consoles on it, and closed when none is left.
// What always holds: no shell and no local port; a connection that is over is found by no new console; the numbers of
// connections, of consoles on each and of those that wait are bounded.
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.js';
import type { Logger } from '../log.js';
import { dial } from './dial.js';
import type { SshDial } from './ssh-attempt.js';
import { SshConnection } from './ssh-connection.js';
import { SshConnectionLost, sshFailed } from './ssh-errors.js';
import { KnownHostsFiles } from './ssh-host-keys.js';
import { readIdentity, type SshIdentity } from './ssh-identity.js';
import { SSH_LIMITS, type SshLimits, type SshRule, wayTo } from './ssh-rule.js';
import { StreamConnection } from './stream-connection.js';
import { type TargetConnection, type TransportTarget, targetFailed } from './transport.js';

export type { SshDial } from './ssh-attempt.js';
export type { SshLimits, SshRule } from './ssh-rule.js';

export interface SshPoolOptions {
  readonly logger: Logger;
  readonly limits?: Partial<SshLimits>;
}

export class SshPool {
  private readonly logger: Logger;
  private readonly limits: SshLimits;
  private readonly knownHosts: KnownHostsFiles;
  /** Those that new consoles use, by hypervisor and rule. */
  private readonly current = new Map<string, SshConnection>();
  /** All whose sockets are not gone. */
  private readonly all = new Set<SshConnection>();
  private waiting = 0;
  private closing = false;
  private onEmpty: (() => void) | undefined;

  constructor(options: SshPoolOptions) {
    this.logger = options.logger;
    this.limits = { ...SSH_LIMITS, ...options.limits };
    this.knownHosts = new KnownHostsFiles(options.logger);
  }

  /** Who we are by a rule: see readIdentity(). */
  readonly identify = readIdentity;

  /**
   * Opens a console's way through the hypervisor's sshd.
   * @param target its host is the hypervisor, its port that of the console there
   * @param identity who we are by the rule
   * @param dialSshd dials the hypervisor where there is no connection to it yet: a rule may permit more addresses
   * @throws GatewayError `target-failed` saying what refused; the signal's reason when it fires first
   */
  async connect(
    target: TransportTarget,
    rule: SshRule,
    identity: SshIdentity,
    signal: AbortSignal,
    dialSshd: SshDial = dialUnspokenFor,
  ): Promise<TargetConnection> {
    signal.throwIfAborted();
    if (this.waiting >= this.limits.waiting)
      throw targetFailed(target, `${this.limits.waiting} consoles wait for SSH connections already`);
    this.waiting++;
    try {
      const connectionTo = () => this.connectionTo(target.host, rule, identity, dialSshd);
      return new StreamConnection(await openChannel(connectionTo, target.port, signal));
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'target-failed') throw error;
      throw targetFailed(target, error.detail);
    } finally {
      this.waiting--;
    }
  }

  /** After a reload: consoles that are open stay; the next one takes a new connection. */
  renew(): void {
    for (const connection of this.current.values()) connection.retire();
    this.current.clear();
  }

  /** Ends all connections and what goes over them. */
  async close(): Promise<void> {
    this.closing = true;
    const closed = new Promise<void>((resolve) => {
      this.onEmpty = resolve;
    });
    for (const connection of this.all) connection.close();
    if (this.all.size > 0) await closed;
  }

  private connectionTo(host: string, rule: SshRule, identity: SshIdentity, dialSshd: SshDial): SshConnection {
    if (this.closing) throw new GatewayError('stopping');
    // The same file may hold another key after a reload.
    const key = JSON.stringify([host.toLowerCase(), rule, identity.digest]);
    return this.current.get(key) ?? this.begin(key, host, rule, identity, dialSshd);
  }

  private begin(
    key: string,
    host: string,
    rule: SshRule,
    identity: SshIdentity,
    dialSshd: SshDial,
  ): SshConnection {
    const { limits, knownHosts, logger } = this;
    if (this.all.size >= limits.connections)
      throw sshFailed(`${limits.connections} SSH connections are open, there is no room for another`);
    const connection: SshConnection = new SshConnection({
      way: wayTo(host, rule),
      identity,
      limits,
      knownHosts,
      dial: dialSshd,
      logger,
      onOver: () => {
        if (this.current.get(key) === connection) this.current.delete(key);
      },
      onClosed: () => {
        this.all.delete(connection);
        if (this.all.size === 0) this.onEmpty?.();
      },
    });
    this.current.set(key, connection);
    this.all.add(connection);
    return connection;
  }
}

async function openChannel(
  connectionTo: () => SshConnection,
  port: number,
  signal: AbortSignal,
): Promise<Duplex> {
  const connection = connectionTo();
  const wasOpen = connection.isOpen;
  try {
    return await connection.openChannel(port, signal);
  } catch (error) {
    // It broke before we asked, as after a restart of the hypervisor, and only the question has shown it.
    if (!wasOpen || !(error instanceof SshConnectionLost) || signal.aborted) throw error;
    return await connectionTo().openChannel(port, signal);
  }
}

/** By name or address as the system resolves it, and to no address that a rule would have to speak for. */
const dialUnspokenFor: SshDial = (sshd, signal) => dial({ target: sshd, ...sshd }, signal);
