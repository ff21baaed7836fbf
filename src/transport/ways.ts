// The ways to a target, chosen by the rules of `targets`.
// What always holds: all files are read before the first target is asked for, so that a bad rule is told at once and
// the rules before it stay; a target's rule is chosen once, and an error says which it was.
import { GatewayError, StartError } from '../errors.js';
import { chooseRule, hopOf, portOf } from './choose.js';
import { dial } from './dial.js';
import type { HostMatch } from './host-match.js';
import { nameRule, type TargetRule } from './rules.js';
import type { SshDial } from './ssh-connection.js';
import type { SshRule } from './ssh-rule.js';
import { openTcp } from './tcp.js';
import { openTls, TlsClient } from './tls.js';
import { readTlsFiles, type TlsMaterial } from './tls-files.js';
import {
  type ConnectTarget,
  type TargetConnection,
  type TransportTarget,
  targetFailed,
} from './transport.js';
import { connectUnix } from './unix.js';
import { fillIn } from './vm-path.js';
import { openWebSocket } from './websocket.js';

/** The way of rules with `via: ssh`: a pool that has been given the same rules. */
export interface SshConnector {
  /** @param dialSshd dials sshd, by what the rule says of addresses */
  connect(
    target: TransportTarget,
    rule: SshRule,
    signal: AbortSignal,
    dialSshd: SshDial,
  ): Promise<TargetConnection>;
}

/** What a pool of SSH connections has to know of rules. */
export function sshRulesOf(rules: readonly TargetRule[]): SshRule[] {
  return rules.flatMap((rule) => (rule.via === 'ssh' ? rule.ssh : []));
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

/** Chooses a target's way. @throws the signal's reason when it fires first */
export type ChooseWay = (target: TransportTarget, signal: AbortSignal) => Promise<Way>;

/**
 * @param rules a reload makes a new one: what is open stays open, and files are read again
 * @throws StartError with all problems of all files, one a line
 */
export function createWays(rules: readonly TargetRule[], ssh: SshConnector): ChooseWay {
  const ways = readAll(rules, ssh);
  return async (target, signal) => (await chooseRule(ways, target, signal)) ?? PLAIN;
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

function readAll(rules: readonly TargetRule[], ssh: SshConnector): Way[] {
  const problems: string[] = [];
  const read = <T>(part: () => T): T | undefined => {
    try {
      return part();
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };
  const ways = rules.flatMap((rule): Way[] => {
    const { match } = rule;
    const open = read(() => openerOf(rule, ssh));
    const vncTls = read(() => rule.vncTls && readTlsFiles(`${rule.setting}.vnc_tls`, rule.vncTls));
    return open === undefined ? [] : [{ match, rule, vncTls, open: inTime(rule, open) }];
  });
  if (problems.length > 0) throw new StartError(problems.join('\n'));
  return ways;
}

/** Reads what the rule names. @throws StartError */
function openerOf(rule: TargetRule, ssh: SshConnector): ConnectTarget {
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
    case 'ssh':
      return (target, signal) =>
        ssh.connect(target, rule.ssh, signal, (sshd, attempt) =>
          // The pool has put the rule's address in the place of the host, if there is one.
          dial(hopOf(rule, sshd, sshd.port), attempt),
        );
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
