// Revoke: tokens and their sessions end on every host. And who has a console open, for whoever may know.
// What always holds: an ended token stays known as such, so that a host that was cut off hears of it later.
import type { Audit } from '../audit.js';
import { GatewayError } from '../errors.js';
import { slices } from '../slices.js';
import type { Selection } from '../tokens/bus.js';
import { holderOf } from '../tokens/grant.js';
import type { SessionId, TokenRecord } from '../tokens/record.js';
import { end, isAlive, presentLeases, type TokenRules } from '../tokens/rules.js';
import type { StoredToken, TokenStore } from '../tokens/store.js';
import { fingerprint } from '../tokens/token.js';
import { isOfZone } from '../tokens/zone.js';
import type { SessionEndings } from './endings.js';
import { type Choosable, isSelected } from './selection.js';
import type { ServiceZone } from './service-zone.js';
import type { LiveSession, SessionRegistry } from './sessions.js';
import { trafficOf } from './upkeep.js';

/** Tokens that are ended before others have their turn: a store in memory does it within one of the loop. */
const AT_A_TIME = 32;

export interface RevokeParts {
  readonly store: TokenStore;
  readonly sessions: SessionRegistry;
  readonly endings: SessionEndings;
  /** The service's own: tokens of others are neither shown nor ended. */
  readonly zone: Pick<ServiceZone, 'own' | 'stamp'>;
  readonly rules: () => TokenRules;
  readonly audit: Audit;
}

/** Whose tokens are meant; nothing: everybody's. */
export type Whose = Pick<Selection, 'uid' | 'user'>;

export interface TokenView {
  readonly fingerprint: string;
  readonly vmId: number;
  readonly user: string;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly firstUsedAt: number | undefined;
  readonly sessions: number;
}

export interface SessionView {
  readonly session: SessionId;
  readonly fingerprint: string;
  readonly vmId: number;
  readonly user: string;
  readonly client: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Both ways; those of other hosts as of the last renewal of their leases. */
  readonly bytes: number;
}

export class Revocation {
  private readonly parts: RevokeParts;

  constructor(parts: RevokeParts) {
    this.parts = parts;
  }

  /**
   * Ends tokens of a VM.
   * @returns how many tokens it was, and sessions whose token is not known any more
   * @throws GatewayError `store-unavailable`
   */
  async revokeVm(vmId: number, whose: Whose, by: string): Promise<number> {
    const { store, zone } = this.parts;
    return this.revokeAmong(await store.ofVm(vmId, zone.own), { vmId, ...whose }, by);
  }

  /**
   * @param limit tokens looked at
   * @returns as revokeVm
   * @throws GatewayError `store-unavailable`; `over-limit` where there are more tokens, and then those looked at are
   * ended all the same
   */
  async revokeSelected(selection: Selection, limit: number, by: string): Promise<number> {
    const all = await this.parts.store.list(limit + 1);
    const revoked = await this.revokeAmong(all, selection, by);
    if (all.length <= limit) return revoked;
    throw new GatewayError('over-limit', {
      publicText: `${revoked} revoked, but there are more tokens than the ${limit} that were looked at: name the VM`,
    });
  }

  /** Live tokens. @throws GatewayError `store-unavailable` */
  async tokens(limit: number): Promise<TokenView[]> {
    const now = this.parts.store.now();
    const views: TokenView[] = [];
    for await (const slice of slices(await this.parts.store.list(limit))) {
      views.push(...this.alive(this.own(slice)).map((one) => tokenViewOf(one, now)));
    }
    return views;
  }

  /** @throws GatewayError `store-unavailable` */
  async sessionsOfVm(vmId: number, whose: Whose): Promise<SessionView[]> {
    const { store, zone } = this.parts;
    const stored = await store.ofVm(vmId, zone.own);
    return this.view(stored, { vmId, ...whose });
  }

  /** Of all hosts that share the store. @throws GatewayError `store-unavailable` */
  async allSessions(limit: number): Promise<SessionView[]> {
    return this.view(await this.parts.store.list(limit), {});
  }

  /** Those that the store knows of, and those of this host that it does not. */
  private async view(stored: readonly StoredToken[], selection: Selection): Promise<SessionView[]> {
    const matches = (one: Choosable) => isSelected(selection, one);
    const now = this.parts.store.now();
    const here = () => this.parts.sessions.all().filter(matches);
    const traffic = await trafficOf(here());
    const known: SessionView[] = [];
    for await (const slice of slices(stored)) {
      const wanted = this.own(slice).filter(({ hash, record: { grant } }) => matches({ hash, grant }));
      for (const one of this.alive(wanted)) known.push(...sessionViewsOf(one, now, traffic));
    }
    const shown = new Set(known.map(({ session }) => session));
    const others = here().filter((one) => !shown.has(one.id));
    return [...known, ...others.map((one) => viewOf(one, traffic.get(one.id) ?? 0))];
  }

  /** Sessions of this host are its own, whatever it has become since they began. */
  private own(stored: readonly StoredToken[]): readonly StoredToken[] {
    const { own } = this.parts.zone;
    return stored.filter(({ record }) => isOfZone(record.grant.zone, own));
  }

  private alive(stored: readonly StoredToken[]): readonly StoredToken[] {
    const rules = this.parts.rules();
    const now = this.parts.store.now();
    return stored.filter(({ record }) => isAlive(record, rules, now));
  }

  /** Ends tokens, and sessions whose token the store has forgotten; only those of this host are counted. */
  private async revokeAmong(
    stored: readonly StoredToken[],
    selection: Selection,
    by: string,
  ): Promise<number> {
    const { sessions, endings, store, zone } = this.parts;
    const matches = (one: Choosable) => isSelected(selection, one);
    const until = store.now();
    const ended = await this.endTokens(this.own(stored), matches, by);
    endings.revokeElsewhere(selection, zone.stamp, until);
    // Those that have been told to end already are nobody's doing here.
    const orphans = sessions
      .all()
      .filter((one) => matches(one) && !ended.sessions.has(one.id) && !sessions.isLeaving(one.id));
    for (const orphan of orphans) this.endOrphan(orphan, by);
    return ended.tokens + orphans.length;
  }

  private async endTokens(
    stored: readonly StoredToken[],
    matches: (one: Choosable) => boolean,
    by: string,
  ): Promise<{ tokens: number; sessions: ReadonlySet<SessionId> }> {
    const ended = { tokens: 0, sessions: new Set<SessionId>() };
    const wanted = stored.filter(({ hash, record: { grant } }) => matches({ hash, grant }));
    for await (const slice of slices(wanted, AT_A_TIME)) await this.endEach(slice, by, ended);
    return ended;
  }

  private async endEach(
    stored: readonly StoredToken[],
    by: string,
    ended: { tokens: number; sessions: Set<SessionId> },
  ): Promise<void> {
    const { store, endings, audit } = this.parts;
    const rules = this.parts.rules();
    for (const { hash, record } of stored) {
      const { vmId } = record.grant;
      const revoke = (present: TokenRecord | undefined, now: number) => end(present, 'revoked', rules, now);
      const sessions = await store.update({ hash }, revoke);
      if (sessions === undefined) continue;
      ended.tokens++;
      for (const id of sessions) ended.sessions.add(id);
      audit('revoked', { vm: vmId, ...holderOf(record.grant), by, fingerprint: fingerprint(hash) });
      endings.end(sessions, 'revoked');
    }
  }

  /** A session whose token the store has forgotten. */
  private endOrphan({ id, grant, hash }: LiveSession, by: string): void {
    this.parts.audit('revoked', { vm: grant.vmId, ...holderOf(grant), by, fingerprint: fingerprint(hash) });
    this.parts.endings.endHere(id, 'revoked');
  }
}

function tokenViewOf({ hash, record: { grant, use } }: StoredToken, now: number): TokenView {
  return {
    fingerprint: fingerprint(hash),
    vmId: grant.vmId,
    user: grant.user,
    issuedAt: grant.issuedAt,
    expiresAt: grant.expiresAt,
    firstUsedAt: use?.firstAt,
    sessions: presentLeases(use, now).length,
  };
}

function sessionViewsOf(
  { hash, record: { grant, use } }: StoredToken,
  now: number,
  traffic: ReadonlyMap<string, number>,
): SessionView[] {
  return presentLeases(use, now).map(({ session, client, since, bytes }) => ({
    ...{ session, fingerprint: fingerprint(hash), vmId: grant.vmId, user: grant.user, client, since },
    bytes: traffic.get(session) ?? bytes,
  }));
}

function viewOf({ id, hash, grant, client, since }: LiveSession, bytes: number): SessionView {
  const { vmId, user } = grant;
  return { session: id, fingerprint: fingerprint(hash), vmId, user, client, since, bytes };
}
