// The one place where a host becomes a socket: resolve, check, race.
// What always holds: the address that was checked is the one that is dialled; nothing is resolved in between.
import type { LookupAddress } from 'node:dns';
import { isIP, type OnReadOpts, type Socket } from 'node:net';
import { causeOf } from '../errors.js';
import { contains, type Network, type Permission, sortOut } from './addresses.js';
import { resolveName } from './names.js';
import { race } from './race.js';
import { type TransportTarget, targetFailed } from './transport.js';

/** Where a target's way begins. */
export interface Hop {
  /** For whose sake, for errors. */
  readonly target: TransportTarget;
  /** What to dial: the target's own host, or what a rule gives in its place. */
  readonly host: string;
  readonly port: number;
  /** What speaks for addresses that are denied otherwise; nothing without. */
  readonly permission?: Permission | undefined;
  /** Addresses elsewhere are not dialled. */
  readonly within?: Network | undefined;
  /** The address to come from; it decides the family, too. */
  readonly sourceAddress?: string | undefined;
}

const UNSPOKEN_FOR: Permission = { named: false };

/**
 * Opens a TCP connection to a hop.
 * @throws GatewayError `target-failed` naming every address and its cause; the signal's reason when it fires first
 */
export async function dial(hop: Hop, signal: AbortSignal, onread?: OnReadOpts): Promise<Socket> {
  const { target, host, port, sourceAddress: localAddress } = hop;
  const other = host === target.host && port === target.port ? '' : `${host}:${port}: `;
  const addresses = fitting(hop, await addressesOf(hop, other, signal), other);
  try {
    return await race({ addresses, port, localAddress, onread }, signal);
  } catch (error) {
    signal.throwIfAborted();
    // Each cause begins with its address; of a host that is one, that has been said.
    const causes = causeOf(error);
    const own = causes.startsWith(`${host} `) ? `${host} `.length : 0;
    throw targetFailed(target, `${other}${causes.slice(own)}`);
  }
}

async function addressesOf(
  { target, host, within }: Hop,
  other: string,
  signal: AbortSignal,
): Promise<readonly LookupAddress[]> {
  try {
    const all = await resolveName(host, signal);
    return within === undefined ? all : all.filter(({ address }) => contains(within, address));
  } catch (error) {
    signal.throwIfAborted();
    throw targetFailed(target, `${other}${host} cannot be resolved: ${causeOf(error)}`);
  }
}

/** Those that may be dialled, and can be from the source address. */
function fitting(hop: Hop, addresses: readonly LookupAddress[], other: string): readonly LookupAddress[] {
  const { target, host, sourceAddress } = hop;
  const { allowed, refused } = sortOut(host, addresses, hop.permission ?? UNSPOKEN_FOR);
  if (allowed.length === 0) {
    const what = refused.length > 0 ? refused.join(', ') : 'at no address that this rule is about';
    throw targetFailed(target, `${other}${host} is ${what}: dialled only where a rule of targets names it`);
  }
  if (sourceAddress === undefined) return allowed;
  const sameFamily = allowed.filter(({ family }) => family === isIP(sourceAddress));
  if (sameFamily.length > 0) return sameFamily;
  throw targetFailed(
    target,
    `${other}${host} has no address that source_address ${sourceAddress} could reach`,
  );
}
