// How hypervisors are reached by SSH, as a rule of `targets` says it, and the bounds of all SSH connections.
// What always holds: there are paths of secrets here, and never a secret.

export interface SshRule {
  /** Whom to log in as; default `oneadmin`. */
  readonly user?: string | undefined;
  /** sshd's port; default 22. */
  readonly port?: number | undefined;
  /** Path of a private key that only its owner may read. */
  readonly keyFile?: string | undefined;
  /** Path of the file whose first line is the key's passphrase; only its owner may read it. */
  readonly passphraseFile?: string | undefined;
  /** Path of an ssh-agent's socket; tried after the key where both are given. */
  readonly agent?: string | undefined;
  /** known_hosts files; one that does not exist is empty. */
  readonly knownHosts: readonly string[];
  /** Where the console listens, seen from the hypervisor; default 127.0.0.1. */
  readonly listen?: string | undefined;
  /** Where to reach the hypervisor, instead of by its name. */
  readonly address?: string | undefined;
  /** For each step: TCP, handshake with login, channel; default 10,000. */
  readonly connectTimeoutMs?: number | undefined;
}

/** A rule with its defaults. */
export interface SshWay {
  readonly user: string;
  /** The hypervisor's name in OpenNebula. */
  readonly host: string;
  /** What is dialled: the rule's address, or the name. */
  readonly address: string;
  readonly port: number;
  readonly listen: string;
  readonly knownHosts: readonly string[];
  readonly connectTimeoutMs: number;
}

export function wayTo(host: string, rule: SshRule): SshWay {
  return {
    user: rule.user ?? 'oneadmin',
    host,
    address: rule.address ?? host,
    port: rule.port ?? 22,
    listen: rule.listen ?? '127.0.0.1',
    knownHosts: rule.knownHosts,
    connectTimeoutMs: rule.connectTimeoutMs ?? 10_000,
  };
}

export interface SshLimits {
  /** Connections to hypervisors in all, those that are being made included. */
  readonly connections: number;
  /** Consoles over one connection, those that are being opened included. */
  readonly channels: number;
  /** Consoles that wait for a connection or a channel, in all. */
  readonly waiting: number;
  /** A connection without consoles is closed after this. */
  readonly idleMs: number;
  /** How often sshd is asked for a sign of life, and how many questions may stay unanswered. */
  readonly keepaliveMs: number;
  readonly keepaliveCount: number;
}

export const SSH_LIMITS: SshLimits = {
  connections: 1_000,
  channels: 1_000,
  waiting: 1_000,
  idleMs: 60_000,
  keepaliveMs: 10_000,
  keepaliveCount: 3,
};
