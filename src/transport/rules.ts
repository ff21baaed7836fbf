// The rules of `targets`: for which hypervisor which way. The first that matches decides; without one it is plain TCP.
// What always holds: a rule holds what its way knows and nothing else, and there are paths of secrets here, never secrets.
import type { HostMatch } from './host-match.js';
import type { SshRule } from './ssh-rule.js';

export type Via = 'tcp' | 'tls' | 'ssh' | 'unix' | 'ws' | 'wss';

/** The files and names by which TLS is verified and what it shows. */
export interface TlsFiles {
  /** PEM: the authorities; without, the well-known ones. */
  readonly caFile?: string | undefined;
  /** PEM: our certificate with its chain, and its key; both or none. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** What the certificate must be for, in place of the VM's HOSTNAME. */
  readonly serverName?: string | undefined;
  /**
   * SHA-256 of the certificate, 64 hexadecimal digits in small letters. In place of the name; without `caFile` in place
   * of the authority as well.
   */
  readonly fingerprint?: string | undefined;
}

/** A port, or how far it is from the VM's own. */
export type PortRule = { readonly fixed: number } | { readonly shift: number };

/**
 * What a rule may ask of a target's VNC security; all that are named must hold:
 * - `tls`: RFB's own TLS, with a certificate or anonymous. Whatever encryption the way to the target has does not count.
 * - `x509`: TLS, and the target has shown a certificate that was verified.
 * - `vnc`: the target checks the VNC password.
 * - `plain`: the target checks a user name and a password.
 * - `password`: either of the two.
 */
export const securityRequirements = ['tls', 'x509', 'vnc', 'plain', 'password'] as const;

export type SecurityRequirement = (typeof securityRequirements)[number];

interface AnyRule {
  /** `targets[2]`, for messages. */
  readonly setting: string;
  readonly match: HostMatch;
  /** Dialled in place of the VM's HOSTNAME. */
  readonly address?: string | undefined;
  /** From the first packet to the last handshake of the way. */
  readonly connectTimeoutMs?: number | undefined;
  readonly sourceAddress?: string | undefined;
  /** For the handshake in the middle, not for the way. */
  readonly require: readonly SecurityRequirement[];
  readonly vncTls?: TlsFiles | undefined;
  /** The name that goes with the VM's VNC password where the VNC server asks for one (TLSPlain, X509Plain). */
  readonly vncUser?: string | undefined;
}

export interface TcpRule extends AnyRule {
  readonly via: 'tcp';
  readonly port?: PortRule | undefined;
}

export interface TlsRule extends AnyRule {
  readonly via: 'tls';
  readonly port?: PortRule | undefined;
  readonly tls: TlsFiles;
}

export interface UnixRule extends AnyRule {
  readonly via: 'unix';
  /** Absolute; `%i` is the VM's id. */
  readonly path: string;
}

export interface WebSocketRule extends AnyRule {
  readonly via: 'ws' | 'wss';
  readonly port?: PortRule | undefined;
  /** With a query where it needs one; `%i` is the VM's id, `%p` the VM's own port. */
  readonly path: string;
  /** In place of the target's own: `https://portal.example.com`, or `null`. */
  readonly origin?: string | undefined;
  /** Of `wss`. */
  readonly tls: TlsFiles;
}

export interface SshTargetRule extends AnyRule {
  readonly via: 'ssh';
  readonly ssh: SshRule;
}

export type TargetRule = TcpRule | TlsRule | UnixRule | WebSocketRule | SshTargetRule;

/** `targets[2] (via tls)`, for messages. */
export function nameRule(rule: TargetRule | undefined): string {
  return rule === undefined ? 'no rule of targets (via tcp)' : `${rule.setting} (via ${rule.via})`;
}
