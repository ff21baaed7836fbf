// How the data plane reaches targets: the ways of `targets`, and the security handshake in the middle.
// What always holds: new rules are taken whole, files and keys read before, or not at all; open consoles keep theirs.
import { type Logger, silent } from './log.js';
import type { SecureConsole } from './proxy/session.js';
import { type NextAttempt, secureTarget } from './rfb/secure-target.js';
import { openSsh } from './transport/open-ssh.js';
import { parseTargetRules } from './transport/parse-rules.js';
import type { SshPool } from './transport/ssh.js';
import type { ConnectTarget, TargetConnection, TransportTarget } from './transport/transport.js';
import { byRule, createWays, type Way, type Ways } from './transport/ways.js';

/** Reads what rules name, and keeps nothing. @throws StartError naming the rule and the file */
export async function checkTargets(targets: readonly unknown[]): Promise<void> {
  await new ConsoleTargets(silent).prepare(targets);
}

export class ConsoleTargets {
  private readonly logger: Logger;
  /** From the first rule by ssh on. */
  private ssh: SshPool | undefined;
  private ways: Ways | undefined;
  /** The way by which a target was reached is the one that its security is held to, whatever a reload says. */
  private readonly reachedBy = new WeakMap<TargetConnection, Way>();

  /** Reaches nothing before load(). */
  constructor(logger: Logger) {
    this.logger = logger;
  }

  /**
   * Reads what new rules name.
   * @param targets as configured, checked
   * @returns a function that takes them, for consoles to come
   * @throws StartError naming rules and files; then nothing has changed
   */
  async prepare(targets: readonly unknown[]): Promise<() => void> {
    const rules = parseTargetRules(targets);
    const ssh = this.ssh ?? (await openSsh(rules, this.logger));
    const ways = createWays(rules, ssh, this.ways);
    return () => {
      this.ssh = ssh;
      this.ways = ways;
      ssh?.renew();
    };
  }

  /** The same, and takes them. */
  async load(targets: readonly unknown[]): Promise<void> {
    const take = await this.prepare(targets);
    take();
  }

  readonly connect: ConnectTarget = async (target, signal) =>
    this.connectBy(await this.choose(target, signal), target, signal);

  readonly secure: SecureConsole = async (connection, target, { password }, signal) => {
    const way = this.reachedBy.get(connection);
    if (way === undefined) throw new TypeError('not a connection of ours');
    const username = way.rule?.vncUser;
    const options = {
      host: target.host,
      credentials: { password, ...(username === undefined ? {} : { username }) },
      require: way.rule?.require ?? [],
      ...(way.vncTls === undefined ? {} : { tls: way.vncTls }),
    };
    const next: NextAttempt = {
      reconnect: (present) => way.open(target, present),
      told: (why) => {
        const { host, port, vmId } = target;
        this.logger.info(
          { vm: vmId, target: `${host}:${port}`, reason: why },
          'another security type is tried',
        );
      },
    };
    const secured = await byRule(way, () => secureTarget(connection, options, signal, next));
    return secured.connection;
  };

  /** The way that a target takes. @throws the signal's reason */
  async choose(target: TransportTarget, signal: AbortSignal): Promise<Way> {
    if (this.ways === undefined) throw new TypeError('no rules were loaded');
    return this.ways.choose(target, signal);
  }

  /** As `connect`, by a way that was chosen. */
  async connectBy(way: Way, target: TransportTarget, signal: AbortSignal): Promise<TargetConnection> {
    const connection = await byRule(way, () => way.open(target, signal));
    this.reachedBy.set(connection, way);
    return connection;
  }

  async close(): Promise<void> {
    await this.ssh?.close();
  }
}
