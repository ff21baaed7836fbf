// What a handshake with a target is given: the secrets it may prove with, and what the operator asks of the target.
// What always holds: nothing of it comes from the browser.
import type { SecurityRequirement } from '../transport/rules.js';
import type { TlsMaterial } from '../transport/tls-verification.js';

/** What the service may prove itself with. Secrets: not for logs. */
export interface Credentials {
  /** The VM's VNC password; empty where it has none. */
  readonly password: string;
  /** For targets that ask for a name as well (TLSPlain, X509Plain); never empty. */
  readonly username?: string;
}

export interface SecurityOptions {
  /** The target's HOSTNAME or address: what its certificate must be for, where `tls` names nothing else. */
  readonly host: string;
  readonly credentials: Credentials;
  /** What the target must offer at least; empty: anything. */
  readonly require: readonly SecurityRequirement[];
  /** For targets with X509*; without, the well-known authorities and no client certificate. */
  readonly tls?: TlsMaterial;
  /** How long a target that refuses may take to say why; default 1,000. */
  readonly reasonWaitMs?: number;
}
