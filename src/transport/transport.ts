// The way from the proxy to a target. What always holds: host and port come from a grant; an attempt ends with its
// signal, and leaves no socket behind when it fails.

import { causeOf, GatewayError } from '../errors.js';

export interface TransportTarget {
  /** The hypervisor, as oned calls it: a name or an IP address. */
  readonly host: string;
  /** The VM's own. */
  readonly port: number;
  /** For ways whose path names the VM. */
  readonly vmId?: number | undefined;
}

export interface TargetEvents {
  /**
   * The target sent `memory[start, end)`; in front of `start` there is room to write a header.
   * @returns false when the memory is still being read from: nothing more is read before resume()
   */
  data(memory: Buffer, start: number, end: number): boolean;
  /** What was written has been taken; comes only after a write() that said no. */
  drain(): void;
  /** The target ended or reset the connection, once; not after end() or destroy(). */
  ended(why: string): void;
}

/** An open connection to a target. Nothing is handed on before start(). */
export interface TargetConnection {
  start(events: TargetEvents): void;
  /** The memory of the last `data` is free again: read on. */
  resume(): void;
  /** @returns false when the target is slow: write no more before `drain` */
  write(bytes: Buffer): boolean;
  /** What was written still goes out, then the connection ends; a target that does not read does not keep it. */
  end(): void;
  /** Ends the connection at once. */
  destroy(): void;
}

/**
 * Opens a connection to a target's VNC port.
 * @throws GatewayError `target-failed` saying why; the signal's reason when it fires first
 */
export type ConnectTarget = (target: TransportTarget, signal: AbortSignal) => Promise<TargetConnection>;

/** The error of a way that failed; `what` says where and why, for the log. */
export function targetFailed({ host, port }: TransportTarget, what: string): GatewayError {
  return new GatewayError('target-failed', { detail: `target ${host}:${port}: ${what}` });
}

/** What `ended` says of a connection that closed, or broke with an error. */
export function whyEnded(error: Error | undefined): string {
  if (error === undefined) return 'the target closed the connection';
  if (error instanceof GatewayError) return error.detail;
  const cause = causeOf(error);
  if (/^(ECONNRESET|EPIPE)$/.test(cause)) return 'the target reset the connection';
  return `the connection to the target broke: ${cause}`;
}
