// How the data plane reaches targets: the ways of `targets`, and the security handshake in the middle.
// What always holds: new rules are taken whole, files and keys read before, or not at all; open consoles keep theirs.
import { type Logger, silent } from './log.js';
import type { SecureConsole } from './proxy/session.js';
import { secureTarget } from './rfb/secure-target.js';
import { parseTargetRules } from './transport/parse-rules.js';
import { SshPool } from './transport/ssh.js';
import type { ConnectTarget, TargetConnection, TransportTarget } from './transport/transport.js';
import { byRule, createWays, type Way, type Ways } from './transport/ways.js';

/** Reads what rules name, and keeps nothing. @throws StartError naming the rule and the file */
export function checkTargets(targets: readonly unknown[]): void {
  new ConsoleTargets(targets, silent);
}

export class ConsoleTargets {
  private readonly ssh: SshPool;
  private ways: Ways;
  /** The way by which a target was reached is the one that its security is held to, whatever a reload says. */
  private readonly reachedBy = new WeakMap<TargetConnection, Way>();

  /** @param targets as configured, checked. @throws StartError naming the rule and the file */
  constructor(targets: readonly unknown[], logger: Logger) {
    this.ssh = new SshPool({ logger });
    this.ways = createWays(parseTargetRules(targets), this.ssh);
  }

  readonly connect: ConnectTarget = async (target, signal) =>
    this.connectBy(await this.choose(target, signal), target, signal);

  readonly secure: SecureConsole = async (connection, target, { password }, signal) => {
    const way = this.reachedBy.get(connection);
    if (way === undefined) throw new TypeError('not a connection of ours');
    const options = {
      host: target.host,
      credentials: { password },
      require: way.rule?.require ?? [],
      ...(way.vncTls === undefined ? {} : { tls: way.vncTls }),
    };
    const secured = await byRule(way, () => secureTarget(connection, options, signal));
    return secured.connection;
  };

  /** The way that a target takes. @throws the signal's reason */
  choose(target: TransportTarget, signal: AbortSignal): Promise<Way> {
    return this.ways.choose(target, signal);
  }

  /** As `connect`, by a way that was chosen. */
  async connectBy(way: Way, target: TransportTarget, signal: AbortSignal): Promise<TargetConnection> {
    const connection = await byRule(way, () => way.open(target, signal));
    this.reachedBy.set(connection, way);
    return connection;
  }

  /** @throws StartError, and then nothing has changed */
  reload(targets: readonly unknown[]): void {
    this.ways = createWays(parseTargetRules(targets), this.ssh, this.ways);
    this.ssh.renew();
  }

  close(): Promise<void> {
    return this.ssh.close();
  }
}
