// The ways to a target, chosen by the rules of `targets`.
// What always holds: all files are read before the first target is asked for, so that a bad rule is told at once and
// the rules before it stay; a target's rule is chosen once, and an error says which it was.
import { GatewayError, StartError } from '../errors.js';
import { chooseRule, hopOf, portOf } from './choose.js';
import { dial } from './dial.js';
import type { HostMatch } from './host-match.js';
import { nameRule, type TargetRule } from './rules.js';
import type { SshDial } from './ssh-connection.js';
import type { SshIdentity } from './ssh-identity.js';
import type { SshRule } from './ssh-rule.js';
import { openTcp } from './tcp.js';
import { openTls, TlsClient } from './tls.js';
import { readTlsFiles } from './tls-files.js';
import type { TlsMaterial } from './tls-verification.js';
import {
  type ConnectTarget,
  type TargetConnection,
  type TransportTarget,
  targetFailed,
} from './transport.js';
import { connectUnix } from './unix.js';
import { fillIn } from './vm-path.js';
import { openWebSocket } from './websocket.js';

/** The way of rules with `via: ssh`. */
export interface SshConnector {
  /**
   * Reads what a rule says of who we are.
   * @param setting where the rule stands
   * @param known what need not be decrypted again
   * @throws StartError, a line for each problem
   */
  identify(setting: string, rule: SshRule, known: readonly SshIdentity[]): SshIdentity;
  /** @param dialSshd dials sshd, by what the rule says of addresses */
  connect(
    target: TransportTarget,
    rule: SshRule,
    identity: SshIdentity,
    signal: AbortSignal,
    dialSshd: SshDial,
  ): Promise<TargetConnection>;
}

/** One way to targets, with all that its rule names read. */
export interface Way {
  readonly match: HostMatch;
  /** undefined: no rule matched, which means plain TCP. */
  readonly rule: TargetRule | undefined;
  /** For a VNC server with X509, behind the way. */
  readonly vncTls: TlsMaterial | undefined;
  /** Within the rule's own time. Its errors name no rule. */
  readonly open: ConnectTarget;
}

export interface Ways {
  /** The way that a target takes. @throws the signal's reason when it fires first */
  choose(target: TransportTarget, signal: AbortSignal): Promise<Way>;
  /** Of the rules by ssh; the next reading need not decrypt them again. */
  readonly identities: readonly SshIdentity[];
}

/**
 * Reads all that the rules name.
 * @param rules a reload makes new ways: what is open stays open
 * @param ssh for rules by ssh; undefined where there is none
 * @param before the ways that these are to replace
 * @throws StartError with all problems of all files, one a line
 */
export function createWays(rules: readonly TargetRule[], ssh: SshConnector | undefined, before?: Ways): Ways {
  const reader = new Reader(ssh, before?.identities ?? []);
  const ways = rules.flatMap((rule) => reader.read(rule) ?? []);
  if (reader.problems.length > 0) throw new StartError(reader.problems.join('\n'));
  return {
    choose: async (target, signal) => (await chooseRule(ways, target, signal)) ?? PLAIN,
    identities: reader.identities,
  };
}

const PLAIN: Way = {
  match: { kind: 'any' },
  rule: undefined,
  vncTls: undefined,
  open: (target, signal) => openTcp(hopOf(undefined, target, target.port), signal),
};

/**
 * Takes a step on a way.
 * @throws what the step throws; a GatewayError `target-failed` says by which rule, to the log alone
 */
export async function byRule<T>({ rule }: Way, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (rule === undefined || !(error instanceof GatewayError) || error.code !== 'target-failed') throw error;
    const { detail, publicText } = error;
    throw new GatewayError('target-failed', { detail: `${detail}, by ${nameRule(rule)}`, publicText });
  }
}

/** Reads rule after rule, and notes all that is wrong with their files. */
class Reader {
  readonly problems: string[] = [];
  readonly identities: SshIdentity[] = [];
  private readonly ssh: SshConnector | undefined;
  private readonly known: readonly SshIdentity[];

  constructor(ssh: SshConnector | undefined, known: readonly SshIdentity[]) {
    this.ssh = ssh;
    this.known = known;
  }

  read(rule: TargetRule): Way | undefined {
    const open = this.take(() => this.openerOf(rule));
    const { match, setting, vncTls: files } = rule;
    const vncTls = files && this.take(() => readTlsFiles(`${setting}.vnc_tls`, files));
    return open && { match, rule, vncTls, open: inTime(rule, open) };
  }

  private take<T>(part: () => T): T | undefined {
    try {
      return part();
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      this.problems.push(error.message);
      return undefined;
    }
  }

  /** @throws StartError */
  private openerOf(rule: TargetRule): ConnectTarget {
    switch (rule.via) {
      case 'tcp':
        return (target, signal) => openTcp(hopOf(rule, target, portOf(rule.port, target)), signal);
      case 'tls': {
        const tls = new TlsClient(readTlsFiles(rule.setting, rule.tls));
        return (target, signal) => openTls(tls, hopOf(rule, target, portOf(rule.port, target)), signal);
      }
      case 'unix':
        return (target, signal) => connectUnix(fillIn(rule.path, target), target, signal);
      case 'ws':
      case 'wss': {
        const tls = rule.via === 'wss' ? new TlsClient(readTlsFiles(rule.setting, rule.tls)) : undefined;
        return (target, signal) =>
          openWebSocket(rule, tls, hopOf(rule, target, portOf(rule.port, target)), signal);
      }
      case 'ssh': {
        const { ssh } = this;
        if (ssh === undefined) throw new TypeError('a rule by ssh, and no SSH for it');
        const identity = ssh.identify(rule.setting, rule.ssh, [...this.identities, ...this.known]);
        this.identities.push(identity);
        return (target, signal) =>
          ssh.connect(target, rule.ssh, identity, signal, (sshd, attempt) =>
            // The rule's address, if there is one, is in the place of the host already.
            dial(hopOf(rule, sshd, sshd.port), attempt),
          );
      }
    }
  }
}

/** The rule's own deadline. A shared SSH connection outlasts the attempt of one console, and has deadlines of its own. */
function inTime({ via, connectTimeoutMs }: TargetRule, open: ConnectTarget): ConnectTarget {
  if (connectTimeoutMs === undefined || via === 'ssh') return open;
  return async (target, signal) => {
    const attempt = new AbortController();
    const abort = () => attempt.abort(signal.reason);
    const late = () =>
      attempt.abort(targetFailed(target, `no answer within ${connectTimeoutMs / 1000} s (connect_timeout)`));
    const timer = setTimeout(late, connectTimeoutMs);
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      return await open(target, attempt.signal);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  };
}
