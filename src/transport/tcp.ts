// Plain TCP to a target: what websockify did, and what most clouds use inside their own network.
import { dial, type Hop } from './dial.js';
import { openSocketConnection } from './socket-connection.js';
import type { ConnectTarget, TargetConnection } from './transport.js';

/** By no rule at all. */
export const connectTcp: ConnectTarget = (target, signal) =>
  openTcp({ target, host: target.host, port: target.port }, signal);

/** @throws GatewayError `target-failed` */
export function openTcp(hop: Hop, signal: AbortSignal): Promise<TargetConnection> {
  return openSocketConnection((onread) => dial(hop, signal, onread));
}
