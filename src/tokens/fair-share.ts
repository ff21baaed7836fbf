// Who gives way where a VM's places are all taken and somebody else wants one: who has most, to whoever has fewer, so
// that nobody fills a VM that others may use as well. Pure.
// What always holds: a place goes over only where the newcomer has fewer even then, so that no two take it from each
// other in turn; whoever is alone on a VM may have all of it.
import { type Owner, ownerOf } from './owner.js';
import type { TokenRecord } from './record.js';
import { presentLeases } from './rules.js';
import type { StoredToken } from './store.js';

/**
 * @param newcomer who has at least two places fewer than those who may have to give way
 * @returns who may have to, those with most places first
 */
export function givingWay(counts: ReadonlyMap<Owner, number>, newcomer: Owner): readonly Owner[] {
  const own = counts.get(newcomer) ?? 0;
  return [...counts]
    .filter(([owner, count]) => owner !== newcomer && count >= own + 2)
    .sort(([, one], [, other]) => other - one)
    .map(([owner]) => owner);
}

/** How many places each owner has, on top of others. */
export function countByOwner(
  owners: Iterable<Owner>,
  others: ReadonlyMap<Owner, number> = new Map(),
): ReadonlyMap<Owner, number> {
  const counts = new Map(others);
  for (const owner of owners) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}

/**
 * Of tokens of one owner, the one that is missed least: never used, the oldest of these, or else one that nobody is
 * on. A console that somebody is on goes to nobody.
 * @param now milliseconds since 1970
 */
export function leastMissed(stored: readonly StoredToken[], now: number): StoredToken | undefined {
  const idle = stored.filter(({ record }) => presentLeases(record.use, now).length === 0);
  const unused = idle.filter(({ record }) => record.use === undefined);
  return oldest(unused) ?? oldest(idle);
}

/**
 * Of all tokens of a VM, the one that gives way to one more of the newcomer.
 * @param making tokens that are being made, and cannot give way yet
 */
export function tokenGivingWay(
  stored: readonly StoredToken[],
  newcomer: Owner,
  now: number,
  making?: ReadonlyMap<Owner, number>,
): StoredToken | undefined {
  const byOwner = (owner: Owner) => stored.filter(({ record }) => ownerOf(record.grant) === owner);
  const counts = countByOwner(
    stored.map(({ record }) => ownerOf(record.grant)),
    making,
  );
  for (const owner of givingWay(counts, newcomer)) {
    const token = leastMissed(byOwner(owner), now);
    if (token !== undefined) return token;
  }
  return undefined;
}

function oldest(stored: readonly StoredToken[]): StoredToken | undefined {
  const issuedAt = ({ record }: { readonly record: TokenRecord }) => record.grant.issuedAt;
  return stored.reduce<StoredToken | undefined>(
    (first, one) => (first === undefined || issuedAt(one) < issuedAt(first) ? one : first),
    undefined,
  );
}
