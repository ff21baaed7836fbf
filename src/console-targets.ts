// How the data plane reaches targets: the ways of `targets`, and the security handshake in the middle.
// What always holds: new rules are taken whole, files and keys read before, or not at all; open consoles keep theirs.
import { type Logger, silent } from './log.js';
import type { SecureConsole } from './proxy/session.js';
import { secureTarget } from './rfb/secure-target.js';
import type { TlsSettings } from './rfb/tls-settings.js';
import { chooseRule } from './transport/choose.js';
import { createConnect, sshRulesOf } from './transport/connect.js';
import { parseTargetRules } from './transport/parse-rules.js';
import { nameRule, type TargetRule } from './transport/rules.js';
import { SshPool } from './transport/ssh.js';
import { readTlsFiles } from './transport/tls-files.js';
import type { ConnectTarget, TargetConnection, TransportTarget } from './transport/transport.js';

interface Ways {
  readonly rules: readonly TargetRule[];
  readonly connect: ConnectTarget;
  readonly vncTls: ReadonlyMap<TargetRule, TlsSettings>;
}

/** Reads what rules name, and keeps nothing. @throws StartError naming the rule and the file */
export function checkTargets(targets: readonly unknown[]): void {
  new ConsoleTargets(targets, silent);
}

export class ConsoleTargets {
  private readonly ssh: SshPool;
  private ways: Ways;
  /** The rules by which a target was reached are those that its security is held to. */
  private readonly reachedBy = new WeakMap<TargetConnection, Ways>();

  /** @param targets as configured, checked. @throws StartError naming the rule and the file */
  constructor(targets: readonly unknown[], logger: Logger) {
    const rules = parseTargetRules(targets);
    this.ssh = new SshPool({ rules: sshRulesOf(rules), logger });
    this.ways = this.waysOf(rules);
  }

  readonly connect: ConnectTarget = async (target, signal) => {
    const { ways } = this;
    const connection = await ways.connect(target, signal);
    this.reachedBy.set(connection, ways);
    return connection;
  };

  readonly secure: SecureConsole = async (connection, target, { password }, signal) => {
    const { rules, vncTls } = this.reachedBy.get(connection) ?? this.ways;
    const rule = await chooseRule(rules, target, signal);
    const tls = rule === undefined ? undefined : vncTls.get(rule);
    const options = {
      host: target.host,
      credentials: { password },
      require: rule?.require ?? [],
      ...(tls === undefined ? {} : { tls }),
    };
    return (await secureTarget(connection, options, signal)).connection;
  };

  /** Names the rule that a target takes, for people. @throws the signal's reason */
  async ruleOf(target: TransportTarget, signal: AbortSignal): Promise<string> {
    return nameRule(await chooseRule(this.ways.rules, target, signal));
  }

  /** @throws StartError, and then nothing has changed */
  reload(targets: readonly unknown[]): void {
    const rules = parseTargetRules(targets);
    const ways = this.waysOf(rules);
    this.ssh.reload(sshRulesOf(rules));
    this.ways = ways;
  }

  close(): Promise<void> {
    return this.ssh.close();
  }

  private waysOf(rules: readonly TargetRule[]): Ways {
    const vncTls = rules.flatMap((rule): [TargetRule, TlsSettings][] =>
      rule.vncTls === undefined ? [] : [[rule, readTlsFiles(`${rule.setting}.vnc_tls`, rule.vncTls)]],
    );
    return { rules, connect: createConnect(rules, { ssh: this.ssh }), vncTls: new Map(vncTls) };
  }
}
