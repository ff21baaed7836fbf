// What a record means that a former process left behind. What always holds: whoever was on a console then is not there
// any more; nobody gets more time by a crash than the sessions of that process can have had.
import type { Lease, TokenRecord } from '../record.js';
import { LEASE_MS } from '../rules.js';

/** Between two processes the wall clock may have been put right by a little. */
const TOLERANCE_MS = 60_000;

/**
 * @param lastAlive when the process that wrote the record was last known to be alive, milliseconds since 1970
 * @returns the record as it counts now, without leases; undefined: it opens nothing any more
 */
export function recovered(
  record: TokenRecord,
  lastAlive: number | undefined,
  now: number,
): TokenRecord | undefined {
  if (record.ended !== undefined || isFromFuture(record, now + TOLERANCE_MS)) return undefined;
  const next = record.use === undefined ? record : withoutLeases(record, lastAlive, now);
  return next.keepUntil > now ? next : undefined;
}

/** The leases are over: the time of grace after them begins when they would have run out. */
function withoutLeases(record: TokenRecord, lastAlive: number | undefined, now: number): TokenRecord {
  const { use } = record;
  if (use === undefined || use.leases.length === 0) return record;
  const ends = use.leases.map(({ until }) => until);
  const proven = lastAlive === undefined ? 0 : lastAlive + LEASE_MS;
  const end = Math.min(Math.max(...ends, proven), now + LEASE_MS);
  // The time of grace is not known here, but that the record was kept for it is.
  const keepUntil = record.keepUntil + end - Math.max(...ends);
  return { ...record, keepUntil, use: { ...use, leases: [], openUntil: Math.max(use.openUntil, keepUntil) } };
}

/** Written while the clock was wrong: how long it would live nobody can tell. */
function isFromFuture({ grant, use }: TokenRecord, latest: number): boolean {
  const since = (lease: Lease) => lease.since;
  return Math.max(grant.issuedAt, use?.firstAt ?? 0, ...(use?.leases.map(since) ?? [])) > latest;
}
