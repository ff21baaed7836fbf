// The rules about tokens, each a function of a record, a request and a time. No store and no clock in here: every store
// applies the same rules, as one atomic step.
// What always holds: a refusal changes nothing; a token that was not used in time, or not for a while, never opens again.
import { networkOf } from '../client-address.js';
import type { Grant } from './grant.js';
import type { Ending, Lease, SessionId, TokenRecord, Use } from './record.js';
import { isOfZone, type OwnZone } from './zone.js';

/** How long a session counts as being there without a word from its host. */
export const LEASE_MS = 60_000;
export const RENEW_EVERY_MS = 20_000;

/** Two pages with the same token must not take the console from each other for ever. */
export const TAKE_OVER_GAP_MS = 10_000;

/** An end with sessions is remembered so long that a host that was cut off for a while still hears of it. */
const REMEMBER_END_MS = 86_400_000;
/** One without: whoever issues and revokes in a loop must not fill the store. */
const REMEMBER_LONE_END_MS = LEASE_MS;

/** Of one token; the limits of sessions are lower. */
const MAX_LEASES = 256;

export interface TokenRules {
  /** Until the first use, where that is less than the grant says; undefined: as the grant says. */
  readonly ttlMs?: number | undefined;
  /** After the last session, for a reload or a change of network. */
  readonly graceMs: number;
  /** Since the token was issued; undefined: none. */
  readonly maxAgeMs: number | undefined;
  readonly sessions: 'single' | 'shared';
  readonly bindClient: boolean;
}

export interface Claim {
  readonly session: SessionId;
  /** The browser's address. */
  readonly client: string;
  /** A session that was asked and did not answer: it does not stand in the way. */
  readonly silent?: SessionId | undefined;
  /** The service's own: a grant of another is none here. Undefined: it is not looked at. */
  readonly zone?: OwnZone | undefined;
}

export type ClaimOutcome =
  | {
      readonly kind: 'granted';
      readonly grant: Grant;
      /** When the session has to end, milliseconds since 1970. */
      readonly endsAt: number | undefined;
      /** Sessions that have to make room, everywhere. */
      readonly replaced: readonly SessionId[];
    }
  | {
      readonly kind: 'not-valid';
      readonly why: 'unknown' | 'other zone' | 'expired' | 'used' | 'ended' | 'other client';
    }
  /** `holder` may be asked whether it is still there; undefined: it was just taken over. */
  | { readonly kind: 'in-use'; readonly holder: SessionId | undefined };

/** What a rule makes of a record: the same one where nothing changes. */
export interface Changed<R> {
  readonly record: TokenRecord | undefined;
  readonly result: R;
}

/** A grant that has just been issued. */
export function issued(grant: Grant): TokenRecord {
  return { grant, keepUntil: grant.expiresAt };
}

/** Somebody wants to open the console. */
export function claim(
  record: TokenRecord | undefined,
  request: Claim,
  rules: TokenRules,
  now: number,
): Changed<ClaimOutcome> {
  const refused = (result: ClaimOutcome) => ({ record, result });
  if (record === undefined) return refused({ kind: 'not-valid', why: 'unknown' });
  const { grant, use } = record;
  if (request.zone !== undefined && !isOfZone(grant.zone, request.zone)) {
    return refused({ kind: 'not-valid', why: 'other zone' });
  }
  const why = deadBecause(record, rules, now);
  if (why !== undefined) return refused({ kind: 'not-valid', why });
  const network = networkOf(request.client);
  if (rules.bindClient && use !== undefined && use.network !== network) {
    return refused({ kind: 'not-valid', why: 'other client' });
  }
  const present = presentLeases(use, now);
  const answering = present.filter(({ session }) => session !== request.silent);
  const standing = standingInTheWay(answering, request, rules, use, now);
  if (standing !== undefined) return refused(standing);
  // The silent one among them, unless it has left since it was asked.
  const replaced = rules.sessions === 'single' ? present : [];
  const { session, client } = request;
  const lease: Lease = { session, client, since: now, until: now + LEASE_MS, bytes: 0 };
  const next: Use = {
    firstAt: use?.firstAt ?? now,
    network: use?.network ?? network,
    leases: [...present.filter((one) => !replaced.includes(one)), lease],
    openUntil: use?.openUntil ?? 0,
    ...(use?.leftAt === undefined ? {} : { leftAt: use.leftAt }),
    takenOverAt: replaced.length > 0 ? now : use?.takenOverAt,
  };
  return {
    record: withUse(record, next, rules),
    result: {
      kind: 'granted',
      grant,
      endsAt: endOfAge(grant, rules),
      replaced: replaced.map(({ session }) => session),
    },
  };
}

export type RenewOutcome = 'renewed' | 'unknown' | 'taken-over' | Ending;

/**
 * A session is still there. One that was forgotten (its host was cut off from the store) is put back, unless somebody
 * else has the console meanwhile, or the token is dead, which counts as forgotten by all stores.
 */
export function renew(
  record: TokenRecord | undefined,
  session: {
    readonly id: SessionId;
    readonly client: string;
    readonly since: number;
    readonly bytes: number;
  },
  rules: TokenRules,
  now: number,
): Changed<RenewOutcome> {
  if (record === undefined) return { record, result: 'unknown' };
  if (record.ended !== undefined) return { record, result: record.ended };
  if (deadBecause(record, rules, now) !== undefined) return { record, result: 'unknown' };
  const present = presentLeases(record.use, now);
  const others = present.filter((one) => one.session !== session.id);
  if (others.length === present.length && others.length > 0 && rules.sessions === 'single')
    return { record, result: 'taken-over' };
  const { client, since, bytes } = session;
  const lease: Lease = { session: session.id, client, since, until: now + LEASE_MS, bytes };
  const use: Use = {
    ...(record.use ?? { firstAt: since, network: networkOf(client), openUntil: 0 }),
    leases: [...others, lease],
  };
  return { record: withUse(record, use, rules), result: 'renewed' };
}

/**
 * A session has ended by itself: the token stays open for the time of grace. Where the session was forgotten, the time
 * of grace began then, and where somebody else has the console, nothing changes.
 */
export function release(
  record: TokenRecord | undefined,
  session: SessionId,
  rules: TokenRules,
  now: number,
): Changed<void> {
  const { use } = record ?? {};
  const isPresent = presentLeases(use, now).some((one) => one.session === session);
  if (record === undefined || use === undefined || !isPresent) return { record, result: undefined };
  const next: Use = {
    ...use,
    leases: use.leases.filter((one) => one.session !== session),
    openUntil: Math.max(use.openUntil, now + rules.graceMs),
    leftAt: now,
  };
  return { record: withUse(record, next, rules), result: undefined };
}

/** The token is dead from now on. @returns the sessions that have to end, everywhere; undefined: it was not alive */
export function end(
  record: TokenRecord | undefined,
  why: Ending,
  rules: TokenRules,
  now: number,
): Changed<readonly SessionId[] | undefined> {
  if (record === undefined || deadBecause(record, rules, now) !== undefined) {
    return { record, result: undefined };
  }
  const sessions = presentLeases(record.use, now).map(({ session }) => session);
  // A lapsed lease counts: it may be a session of a host that cannot reach the store.
  const rememberMs = record.use?.leases.length ? REMEMBER_END_MS : REMEMBER_LONE_END_MS;
  return { record: { grant: record.grant, ended: why, keepUntil: now + rememberMs }, result: sessions };
}

/** Whether the token opens its console now, somebody on it or not. */
export function isAlive(record: TokenRecord, rules: TokenRules, now: number): boolean {
  return deadBecause(record, rules, now) === undefined;
}

/** Those who are on the console. */
export function presentLeases(use: Use | undefined, now: number): readonly Lease[] {
  return use?.leases.filter(({ until }) => until > now) ?? [];
}

function deadBecause(
  { grant, use, ended }: TokenRecord,
  rules: TokenRules,
  now: number,
): 'ended' | 'expired' | 'used' | undefined {
  if (ended !== undefined) return 'ended';
  if ((endOfAge(grant, rules) ?? Number.POSITIVE_INFINITY) <= now) return 'expired';
  if (use === undefined) return firstUseUntil(grant, rules) <= now ? 'expired' : undefined;
  return openUntil(use, rules) <= now ? 'used' : undefined;
}

/** The rules may have become stricter since the token was issued; they never give it more. */
function firstUseUntil({ issuedAt, expiresAt }: Grant, { ttlMs }: TokenRules): number {
  return ttlMs === undefined ? expiresAt : Math.min(expiresAt, issuedAt + ttlMs);
}

/** Of a console with somebody on it: when it would be closed if nobody said a word any more. */
function openUntil(use: Use, { graceMs }: TokenRules): number {
  const left = use.leftAt === undefined ? use.openUntil : Math.min(use.openUntil, use.leftAt + graceMs);
  return Math.max(left, ...use.leases.map(({ until }) => until + graceMs));
}

function endOfAge({ issuedAt }: Grant, { maxAgeMs }: TokenRules): number | undefined {
  return maxAgeMs === undefined ? undefined : issuedAt + maxAgeMs;
}

function withUse(record: TokenRecord, use: Use, rules: TokenRules): TokenRecord {
  const end = endOfAge(record.grant, rules) ?? Number.POSITIVE_INFINITY;
  return { grant: record.grant, use, keepUntil: Math.min(end, openUntil(use, rules)) };
}

/** What the sessions that are there have to say about one more. */
function standingInTheWay(
  present: readonly Lease[],
  request: Claim,
  rules: TokenRules,
  use: Use | undefined,
  now: number,
): ClaimOutcome | undefined {
  if (present.length >= MAX_LEASES) return { kind: 'in-use', holder: undefined };
  if (rules.sessions === 'shared') return undefined;
  // Several, where the tokens were shared until the configuration was changed: those elsewhere are asked first.
  const elsewhere = present.find(({ client }) => networkOf(client) !== networkOf(request.client));
  if (elsewhere !== undefined) return { kind: 'in-use', holder: elsewhere.session };
  if (present.length === 0 || use?.takenOverAt === undefined) return undefined;
  const sinceTakeOver = now - use.takenOverAt;
  // Less than nothing where the clock was set back.
  const tooSoon = sinceTakeOver >= 0 && sinceTakeOver < TAKE_OVER_GAP_MS;
  return tooSoon ? { kind: 'in-use', holder: undefined } : undefined;
}
