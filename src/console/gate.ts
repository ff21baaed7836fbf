// Redeem: from what a browser presents to the grant that it stands for, and the session that it becomes.
// What always holds: unknown, expired, used and forged tokens are one and the same refusal, after the same one
// operation of the store; a store that cannot answer is never taken for a refusal.
import { randomUUID } from 'node:crypto';
import type { Audit } from '../audit.js';
import { networkOf, UNNAMED_CLIENT } from '../client-address.js';
import { causeOf, GatewayError } from '../errors.js';
import { type Grant, holderOf } from '../tokens/grant.js';
import type { SessionId } from '../tokens/record.js';
import { type ClaimOutcome, claim, release, type TokenRules } from '../tokens/rules.js';
import type { TokenKey, TokenStore } from '../tokens/store.js';
import { fingerprint } from '../tokens/token.js';
import { SlidingCounter } from './counters.js';
import type { SessionEndings } from './endings.js';
import type { Pace } from './pace.js';
import type { ServiceZone } from './service-zone.js';
import type { Arrival, SessionPlace, SessionRegistry } from './sessions.js';
import type { VncAccess } from './vnc-access.js';

/** Somebody at the door. */
export interface Knock {
  readonly key: TokenKey;
  readonly client: string;
  readonly ref: string;
}

/** Somebody who was let in; `grant` tells where the VM is now. */
export interface Admitted {
  readonly session: SessionId;
  readonly grant: Grant;
  /** Where the service answers the VNC server. Holds a secret. */
  readonly vnc?: VncAccess | undefined;
}

export interface SessionEnd {
  readonly reason: string;
  readonly bytesToBrowser: number;
  readonly bytesToTarget: number;
  readonly seconds: number;
  /** Not by the will of anybody: the target or the browser broke something. */
  readonly failed?: boolean | undefined;
}

/** The gate as the data plane of one process sees it. */
export interface Door {
  /** @throws GatewayError `token-not-valid`, `store-unavailable`, `token-in-use`, `over-limit`, `too-many-…` */
  open(knock: Knock): Promise<Admitted>;
  /** Once for every session that was opened. */
  closed(session: SessionId, end: SessionEnd): void;
}

/** The gate as the control plane sees it, with many processes behind it. */
export interface ConsoleGate {
  /** @throws GatewayError as Door's */
  open(knock: Knock, place: SessionPlace): Promise<Admitted>;
  closed(session: SessionId, end: SessionEnd): void;
  /** A process is gone, and all its sessions with it. */
  lost(place: SessionPlace): void;
}

export interface GateSettings extends TokenRules {
  /** Of one address in a minute. */
  readonly maxUnknownTokens: number;
}

export interface GateParts {
  readonly pace: Pick<Pace, 'pass'>;
  readonly store: TokenStore;
  readonly sessions: SessionRegistry;
  readonly endings: SessionEndings;
  readonly audit: Audit;
  /** The service's own: a grant of another opens nothing here. */
  readonly zone: Pick<ServiceZone, 'own' | 'learnAsService'>;
  /** Asked at every knock, so that it may change while running. */
  readonly settings: () => GateSettings;
  /** Addresses that stand for many clients have no limit of their own. */
  readonly isExempt: (client: string) => boolean;
  readonly recheck: {
    /** Whether anything is looked at. */
    readonly isOn: boolean;
    /**
     * Looks at VM and user again. @returns the grant as it is now
     * @throws GatewayError `token-not-valid` where its console is no longer the user's; `cannot-check` at the first use
     */
    atConnect(grant: Grant, key: TokenKey, isFirstUse: boolean): Promise<Grant>;
  };
  /**
   * What the present settings leave of the grant.
   * @throws GatewayError `token-not-valid` where that is nothing, and then the token has not ended
   */
  readonly narrow: (grant: Grant) => Grant;
  /**
   * What the grant holds sealed, as it was stored: its VM may have moved since.
   * @param present what is left of it
   * @throws GatewayError
   */
  readonly vncAccess: (stored: Grant, present: Grant) => VncAccess | undefined;
}

type Granted = Extract<ClaimOutcome, { kind: 'granted' }>;

/** Somebody at the door of a place, and what is known of the token meanwhile. */
interface NewArrival extends Knock {
  readonly id: SessionId;
  readonly place: SessionPlace;
  grant?: Grant | undefined;
}

const MINUTE_MS = 60_000;

/** The door of one process. */
export function doorOf(gate: ConsoleGate, place: SessionPlace): Door {
  return {
    open: (knock) => gate.open(knock, place),
    closed: (session, end) => gate.closed(session, end),
  };
}

export class Gate implements ConsoleGate {
  private readonly parts: GateParts;
  private readonly unknownTokens = new SlidingCounter(MINUTE_MS);

  constructor(parts: GateParts) {
    this.parts = parts;
  }

  async open(knock: Knock, place: SessionPlace): Promise<Admitted> {
    const { key, client, ref } = knock;
    const arrival: NewArrival = { key, client, ref, place, id: newSessionId(), grant: undefined };
    const ending = this.parts.sessions.expect(arrival.id);
    try {
      if (!this.parts.isExempt(client)) await this.parts.pace.pass([`opens ${networkOf(client)}`]);
      this.checkUnknownTokens(client);
      this.checkNamed(client);
      return await this.admit(arrival, ending);
    } catch (error) {
      await this.parts.pace.pass(['refusals', networkOf(client)]).catch(() => {});
      this.parts.audit('refused', {
        ...about(arrival),
        reason: error instanceof GatewayError ? error.detail : 'internal error',
      });
      throw error;
    } finally {
      this.parts.sessions.arrived(arrival.id);
    }
  }

  closed(id: SessionId, { reason, bytesToBrowser, bytesToTarget, seconds, failed }: SessionEnd): void {
    const session = this.parts.sessions.remove(id);
    if (session === undefined) return;
    const { grant, client, ref, hash, place } = session;
    const fields = {
      vm: grant.vmId,
      ...holderOf(grant),
      client,
      ref,
      fingerprint: fingerprint(hash),
      worker: place.worker,
      reason,
      bytesToBrowser,
      bytesToTarget,
      seconds,
    };
    this.parts.audit('ended', fields, failed ? 'warn' : 'info');
    this.release(hash, id);
  }

  lost(place: SessionPlace): void {
    for (const session of this.parts.sessions.all()) {
      if (session.place !== place) continue;
      const seconds = Math.max(0, (this.parts.store.now() - session.since) / 1000);
      this.closed(session.id, { reason: 'its process ended', bytesToBrowser: 0, bytesToTarget: 0, seconds });
    }
  }

  private async admit(arrival: NewArrival, ending: Arrival): Promise<Admitted> {
    await this.parts.zone.learnAsService();
    const first = await this.enter(arrival, false);
    if (!first.isUnclaimed) return this.admitClaimed(arrival, first, ending);
    // Before the claim, so that a token whose user cannot be looked at is as unused as it was, and nobody can come in
    // behind one who is still being looked at.
    const grant = await this.parts.recheck.atConnect(first.grant, arrival.key, true);
    this.parts.narrow(grant);
    const claimed = await this.enter(arrival, true);
    return this.admitClaimed(arrival, claimed, ending, grant);
  }

  private async admitClaimed(
    arrival: NewArrival,
    outcome: Granted,
    ending: Arrival,
    checked?: Grant,
  ): Promise<Admitted> {
    try {
      return await this.begin(arrival, outcome, ending, checked);
    } catch (error) {
      this.release(arrival.key.hash, arrival.id);
      throw error;
    }
  }

  /** @param isChecked whether a token may be claimed that nobody has used yet, where that has to be looked at before */
  private async enter(arrival: NewArrival, isChecked: boolean): Promise<Granted & { isUnclaimed: boolean }> {
    const { client } = arrival;
    let { outcome, isUnclaimed } = await this.claim(arrival, isChecked);
    if (outcome.kind === 'in-use' && outcome.holder !== undefined) {
      const { holder } = outcome;
      if (!(await this.parts.endings.isThere(holder)))
        ({ outcome, isUnclaimed } = await this.claim(arrival, isChecked, holder));
    }
    if (outcome.kind === 'not-valid') {
      if (!this.parts.isExempt(client)) this.unknownTokens.add(networkOf(client), performance.now());
      throw new GatewayError('token-not-valid', { detail: `token: ${outcome.why}` });
    }
    if (outcome.kind === 'in-use') throw new GatewayError('token-in-use');
    return { ...outcome, isUnclaimed };
  }

  /** Of whom no address is known it cannot be said whether he is the one whom a token is bound to. */
  private checkNamed(client: string): void {
    if (client !== UNNAMED_CLIENT || !this.parts.settings().bindClient) return;
    throw new GatewayError('token-not-valid', {
      detail: 'bind_client: a proxy of trusted_proxies names no address in X-Forwarded-For',
    });
  }

  /** From the claim on: nothing that may still go wrong costs those who have to make room. */
  private async begin(
    arrival: NewArrival,
    outcome: Granted,
    ending: Arrival,
    checked: Grant | undefined,
  ): Promise<Admitted> {
    const { sessions, endings, store, audit } = this.parts;
    const { id, key, client, ref, place } = arrival;
    const { endsAt, replaced } = outcome;
    const look = () => this.parts.recheck.atConnect(outcome.grant, key, false);
    const now =
      checked ??
      (await look().catch((error: unknown) => {
        if (error instanceof GatewayError && error.code === 'token-not-valid')
          endings.end(replaced, 'vm-gone');
        throw error;
      }));
    arrival.grant = now;
    const grant = this.parts.narrow(now);
    const vnc = this.parts.vncAccess(outcome.grant, grant);
    // Since the claim there has been time for another one, or for a revocation.
    const { endedBecause } = ending;
    if (endedBecause === 'taken-over')
      throw new GatewayError('token-in-use', { detail: 'taken over at once' });
    if (endedBecause !== undefined)
      throw new GatewayError('token-not-valid', { detail: `token: ${endedBecause}` });
    const session = { id, hash: key.hash, grant, client, since: store.now(), endsAt, place, ref };
    for (const other of sessions.add(session, replaced)) endings.endHere(other, 'given-way');
    endings.end(replaced, 'taken-over');
    if (replaced.length > 0) audit('taken-over', about(arrival));
    audit('redeemed', { ...about(arrival), target: grant.target, worker: place.worker });
    return { session: id, grant, vnc };
  }

  /**
   * @param isChecked as in `enter`
   * @param silent a session that did not answer
   */
  private async claim(
    arrival: NewArrival,
    isChecked: boolean,
    silent?: SessionId,
  ): Promise<{ outcome: ClaimOutcome; isUnclaimed: boolean }> {
    const { id: session, key, client } = arrival;
    const zone = this.parts.zone.own;
    const rules = this.parts.settings();
    const { isOn } = this.parts.recheck;
    const mustBeChecked = isOn && !isChecked;
    try {
      const { grant, ...claimed } = await this.parts.store.update(key, (record, now) => {
        const changed = claim(record, { session, client, silent, zone }, rules, now);
        const { record: after, result: outcome } = changed;
        // What is refused here leaves the token as it was. With a look it is its result that counts.
        if (outcome.kind === 'granted' && !isOn) this.parts.narrow(outcome.grant);
        const isUnclaimed = mustBeChecked && outcome.kind === 'granted' && record?.use === undefined;
        const result = { outcome, isUnclaimed, grant: record?.grant };
        return { record: isUnclaimed ? record : after, result };
      });
      arrival.grant = grant;
      return claimed;
    } catch (error) {
      // Nobody knows whether it was claimed.
      this.release(key.hash, session);
      if (error instanceof GatewayError) throw error;
      throw new GatewayError('store-unavailable', { detail: `the token store: ${causeOf(error)}` });
    }
  }

  /** Not awaited: where the store cannot be reached, the lease runs out by itself. */
  private release(hash: TokenKey['hash'], session: SessionId): void {
    const rules = this.parts.settings();
    this.parts.store.update({ hash }, (record, now) => release(record, session, rules, now)).catch(() => {});
  }

  private checkUnknownTokens(client: string): void {
    const { maxUnknownTokens } = this.parts.settings();
    if (this.parts.isExempt(client)) return;
    if (this.unknownTokens.count(networkOf(client), performance.now()) < maxUnknownTokens) return;
    throw new GatewayError('too-many-unknown-tokens', {
      detail: `max_unknown_tokens (${maxUnknownTokens} a minute) is reached`,
    });
  }
}

/** Random, but no secret. Node makes many UUIDs in one call of the system, and other random bytes each in one. */
function newSessionId(): SessionId {
  return randomUUID().replaceAll('-', '').slice(0, 16) as SessionId;
}

/** What the audit says of somebody at the door. */
function about({ key, client, ref, grant }: NewArrival) {
  const whose = grant === undefined ? {} : holderOf(grant);
  return { vm: grant?.vmId, ...whose, client, ref, fingerprint: fingerprint(key.hash) };
}
