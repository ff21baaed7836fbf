// The way from the proxy to a target. What always holds: host and port come from a grant; an attempt ends with its
// signal, and leaves no socket behind when it fails.
import type { Duplex } from 'node:stream';

export interface TransportTarget {
  readonly host: string;
  readonly port: number;
}

/**
 * Opens a connection to a target's VNC port. The stream ends when the target ends its side.
 * @throws GatewayError `target-failed` saying why; the signal's reason when it fires first
 */
export type ConnectTarget = (target: TransportTarget, signal: AbortSignal) => Promise<Duplex>;
