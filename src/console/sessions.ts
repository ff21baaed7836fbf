// The live sessions of this host, in whichever process they run, and the limits on how many there may be.
// What always holds: a session is counted, once, from before its target is reached until it has ended or been told to;
// there is no moment between its claim on the token and its end in which an end from outside would be lost.
import { networkOf } from '../client-address.js';
import { GatewayError } from '../errors.js';
import type { EndingWord } from '../tokens/bus.js';
import { countByOwner, givingWay } from '../tokens/fair-share.js';
import type { Grant } from '../tokens/grant.js';
import { ownerOf } from '../tokens/owner.js';
import type { SessionId } from '../tokens/record.js';
import type { TokenHash } from '../tokens/token.js';

/** How long a browser may take to answer the ping of a probe. */
export const PROBE_TIMEOUT_MS = 5_000;

/** Where sessions run: this process, or a worker. */
export interface SessionPlace {
  /** The worker that it is; undefined: the service's own process. */
  readonly worker?: number | undefined;
  /** Closes a session with a code and a reason that the browser reads. */
  end(session: SessionId, code: number, reason: string): void;
  /** Whether the browser answers a ping within the probe's time. */
  probe(session: SessionId): Promise<boolean>;
  /** Bytes relayed so far, both ways, of all its sessions. */
  traffic(): Promise<ReadonlyMap<SessionId, number>>;
}

export interface LiveSession {
  readonly id: SessionId;
  readonly hash: TokenHash;
  readonly grant: Grant;
  readonly client: string;
  /** Milliseconds since 1970, of the store's clock. */
  readonly since: number;
  /** Milliseconds since 1970. */
  readonly endsAt: number | undefined;
  readonly place: SessionPlace;
  /** What the log called the upgrade by. */
  readonly ref: string;
}

/** A session to be, from its claim on the token until its place is known. */
export interface Arrival {
  /** It has to end before it has begun. */
  endedBecause?: EndingWord | 'expired' | 'given-way';
}

export interface SessionLimits {
  readonly perVm: number;
  readonly perUser: number;
  readonly perAddress: number;
  readonly perHost: number;
}

export interface SessionRegistryParts {
  readonly limits: () => SessionLimits;
  /** Addresses that stand for many clients are not counted. */
  readonly isExempt: (client: string) => boolean;
}

interface CountKey {
  readonly key: string;
  readonly limit: number;
  readonly setting: string;
  /** Several users have these places, and none of them all. */
  readonly isShared?: true;
}

export class SessionRegistry {
  private readonly parts: SessionRegistryParts;
  private readonly live = new Map<SessionId, LiveSession>();
  /** Of those that are live: told to end, and counted no more. */
  private readonly leaving = new Set<SessionId>();
  private readonly arriving = new Map<SessionId, Arrival>();
  private readonly counts = new Map<string, number>();

  constructor(parts: SessionRegistryParts) {
    this.parts = parts;
  }

  get size(): number {
    return this.live.size;
  }

  /** Somebody claims a token; to be followed by `arrived`, whatever comes of it. */
  expect(id: SessionId): Arrival {
    const arrival: Arrival = {};
    this.arriving.set(id, arrival);
    return arrival;
  }

  arrived(id: SessionId): void {
    this.arriving.delete(id);
  }

  arrival(id: SessionId): Arrival | undefined {
    return this.arriving.get(id);
  }

  /**
   * @param replaced sessions that will be told to end when this one is among them
   * @returns sessions that have to give way to it, and do not count any more: of a VM's places nobody keeps so many
   * that somebody else has at least two fewer
   * @throws GatewayError `too-many-sessions`, and then it is not
   */
  add(session: LiveSession, replaced: readonly SessionId[] = []): readonly SessionId[] {
    const room = new Map<string, number>();
    for (const id of replaced) {
      const other = this.live.get(id);
      if (other === undefined || this.leaving.has(id)) continue;
      for (const { key } of this.keysOf(other)) room.set(key, (room.get(key) ?? 0) + 1);
    }
    const keys = this.keysOf(session);
    const [over, ...more] = keys.filter(
      ({ key, limit }) => (this.counts.get(key) ?? 0) - (room.get(key) ?? 0) >= limit,
    );
    const isVmAlone = over?.isShared === true && more.length === 0;
    const one = isVmAlone ? this.givingWayTo(session, replaced) : undefined;
    if (over !== undefined && one === undefined) {
      throw new GatewayError('too-many-sessions', { detail: `${over.setting} (${over.limit}) is reached` });
    }
    if (one !== undefined) this.leave(one);
    this.live.set(session.id, session);
    for (const { key } of keys) this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    return one === undefined ? [] : [one];
  }

  /** Of the user who has most on the VM, who came last: those who have been there for long go on. */
  private givingWayTo({ grant }: LiveSession, replaced: readonly SessionId[]): SessionId | undefined {
    const there = this.all().filter(
      ({ id, grant: { vmId } }) => vmId === grant.vmId && !this.leaving.has(id) && !replaced.includes(id),
    );
    const counts = countByOwner(there.map((one) => ownerOf(one.grant)));
    const [most] = givingWay(counts, ownerOf(grant));
    return there.findLast((one) => ownerOf(one.grant) === most)?.id;
  }

  /** The session has been told to end, and will be removed. */
  leave(id: SessionId): void {
    const session = this.live.get(id);
    if (session === undefined || this.leaving.has(id)) return;
    this.leaving.add(id);
    this.uncount(session);
  }

  isLeaving(id: SessionId): boolean {
    return this.leaving.has(id);
  }

  /** @returns the session; undefined where it was removed before */
  remove(id: SessionId): LiveSession | undefined {
    const session = this.live.get(id);
    if (session === undefined) return undefined;
    this.live.delete(id);
    if (!this.leaving.delete(id)) this.uncount(session);
    return session;
  }

  get(id: SessionId): LiveSession | undefined {
    return this.live.get(id);
  }

  all(): readonly LiveSession[] {
    return [...this.live.values()];
  }

  private uncount(session: LiveSession): void {
    for (const { key } of this.keysOf(session)) {
      const left = (this.counts.get(key) ?? 0) - 1;
      if (left > 0) this.counts.set(key, left);
      else this.counts.delete(key);
    }
  }

  private keysOf({ grant, client }: LiveSession): CountKey[] {
    const { perVm, perUser, perAddress, perHost } = this.parts.limits();
    // Counted all the same: the configuration may change while the session lives.
    const addressLimit = this.parts.isExempt(client) ? Number.POSITIVE_INFINITY : perAddress;
    return [
      { key: 'host', limit: perHost, setting: 'max_sessions' },
      { key: `address ${networkOf(client)}`, limit: addressLimit, setting: 'max_sessions_per_address' },
      { key: `user ${ownerOf(grant)}`, limit: perUser, setting: 'max_sessions_per_user' },
      { key: `vm ${grant.vmId}`, limit: perVm, setting: 'max_sessions_per_vm', isShared: true },
    ];
  }
}
