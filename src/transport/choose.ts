// Which rule a target takes, and where its way begins by that rule.
// What always holds: a host is resolved only where a rule by address has to be looked at, or to be dialled.
import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import { contains } from './addresses.js';
import type { Hop } from './dial.js';
import { matchesName } from './host-match.js';
import { resolveName } from './names.js';
import type { PortRule, TargetRule } from './rules.js';
import { type TransportTarget, targetFailed } from './transport.js';

/**
 * The first rule that matches the target's host.
 * A host that cannot be resolved has no address, so that rules by address are not about it: they come after those by
 * name for hosts of which this may be so.
 * @returns undefined where there is none: plain TCP
 * @throws the signal's reason when it fires first
 */
export async function chooseRule<T extends Pick<TargetRule, 'match'>>(
  rules: readonly T[],
  { host }: TransportTarget,
  signal: AbortSignal,
): Promise<T | undefined> {
  let addresses: readonly LookupAddress[] | undefined;
  for (const rule of rules) {
    const { match } = rule;
    let matches = matchesName(match, host);
    if (match.kind === 'network') {
      addresses ??= await addressesOf(host, signal);
      matches = addresses.some(({ address }) => contains(match.network, address));
    }
    if (matches) return rule;
  }
  return undefined;
}

async function addressesOf(host: string, signal: AbortSignal): Promise<readonly LookupAddress[]> {
  try {
    return await resolveName(host, signal);
  } catch {
    signal.throwIfAborted();
    return [];
  }
}

/** A target's first hop by a rule that matched it, at a port of the rule's. */
export function hopOf(rule: TargetRule | undefined, target: TransportTarget, port: number): Hop {
  if (rule === undefined) return { target, host: target.host, port };
  const { match, address, sourceAddress } = rule;
  if (address !== undefined) {
    return { target, host: address, port, permission: { named: isIP(address) !== 0 }, sourceAddress };
  }
  const network = match.kind === 'network' ? match.network : undefined;
  const permission = { named: match.kind === 'name', network };
  return { target, host: target.host, port, permission, within: network, sourceAddress };
}

/** @throws GatewayError `target-failed` where there is no such port */
export function portOf(rule: PortRule | undefined, target: TransportTarget): number {
  if (rule === undefined) return target.port;
  const port = 'fixed' in rule ? rule.fixed : target.port + rule.shift;
  if (port >= 1 && port <= 65_535) return port;
  throw targetFailed(target, `port ${port} is none, which is what the rule makes of it`);
}
