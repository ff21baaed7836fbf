// The ways to a target, chosen by the rules of `targets`.
// What always holds: all files are read before the first target is asked for, so that a bad rule is told at once and
// the rules before it stay; an error says which rule it came by.
import { GatewayError, StartError } from '../errors.js';
import { chooseRule, hopOf, portOf } from './choose.js';
import { dial } from './dial.js';
import { nameRule, type TargetRule } from './rules.js';
import type { SshDial } from './ssh-connection.js';
import type { SshRule } from './ssh-rule.js';
import { openTcp } from './tcp.js';
import { openTls, TlsClient } from './tls.js';
import { readTlsFiles } from './tls-files.js';
import type { ConnectTarget, TargetConnection, TransportTarget } from './transport.js';
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

export interface ConnectDeps {
  readonly ssh: SshConnector;
}

/** What a pool of SSH connections has to know of rules. */
export function sshRulesOf(rules: readonly TargetRule[]): SshRule[] {
  return rules.flatMap((rule) => (rule.via === 'ssh' ? rule.ssh : []));
}

interface Way {
  readonly match: TargetRule['match'];
  readonly rule: TargetRule;
  readonly open: ConnectTarget;
}

/**
 * @param rules a reload makes a new one: what is open stays open, and files are read again
 * @throws StartError with all problems of all files, one a line
 */
export function createConnect(rules: readonly TargetRule[], deps: ConnectDeps): ConnectTarget {
  const ways = waysOf(rules, deps);
  return async (target, signal) => {
    const way = await chooseRule(ways, target, signal);
    if (way === undefined) return openTcp(hopOf(undefined, target, target.port), signal);
    try {
      return await inTime(way, target, signal);
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'target-failed') throw error;
      throw new GatewayError('target-failed', { detail: `${error.detail}, by ${nameRule(way.rule)}` });
    }
  };
}

function waysOf(rules: readonly TargetRule[], deps: ConnectDeps): Way[] {
  const problems: string[] = [];
  const ways = rules.flatMap((rule) => {
    try {
      return { rule, match: rule.match, open: wayOf(rule, deps) };
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      problems.push(error.message);
      return [];
    }
  });
  if (problems.length > 0) throw new StartError(problems.join('\n'));
  return ways;
}

/** Reads what the rule names. @throws StartError */
function wayOf(rule: TargetRule, deps: ConnectDeps): ConnectTarget {
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
        deps.ssh.connect(target, rule.ssh, signal, (sshd, attempt) =>
          // The pool has put the rule's address in the place of the host, if there is one.
          dial(hopOf(rule, sshd, sshd.port), attempt),
        );
  }
}

/** The rule's own deadline. A shared SSH connection outlasts the attempt of one console, and has deadlines of its own. */
async function inTime(
  { rule, open }: Way,
  target: TransportTarget,
  signal: AbortSignal,
): Promise<TargetConnection> {
  const { connectTimeoutMs } = rule;
  if (connectTimeoutMs === undefined || rule.via === 'ssh') return open(target, signal);
  const attempt = new AbortController();
  const abort = () => attempt.abort(signal.reason);
  const detail = `target ${target.host}:${target.port}: no answer within ${connectTimeoutMs / 1000} s (connect_timeout)`;
  const late = () => attempt.abort(new GatewayError('target-failed', { detail }));
  const timer = setTimeout(late, connectTimeoutMs);
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    return await open(target, attempt.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
