// The records of one host in memory, to be found by token, by VM, by user and by the time of their end.
// What always holds: the indexes agree with the records; ended tokens are kept apart, so that they neither fill up the
// place of living ones nor stand in front of them, and there are so many of a VM, of a user and of all.

import { slices } from '../../slices.js';
import type { Grant } from '../grant.js';
import { MAX_ENDED_OF_USER, MAX_ENDED_OF_VM } from '../limits.js';
import { type Owner, ownerOf } from '../owner.js';
import type { TokenRecord } from '../record.js';
import type { StoredToken } from '../store.js';
import type { TokenHash } from '../token.js';
import { isListedIn, type OwnZone, vmNameOf } from '../zone.js';
import { ExpiryOrder } from './expiry-order.js';

/** Of living tokens, about 100 MB of memory; at the default token_ttl that is 300 tokens issued a second. */
export const MAX_TOKENS = 200_000;

export const SWEEP_INTERVAL_MS = 1000;
/** Records that one sweep looks at: some milliseconds, and more than can be issued within a second. */
export const SWEEP_BATCH = 5000;

export class RecordTable {
  private readonly maxEnded: number;
  private readonly live = new Shelf();
  private readonly ended = new Shelf();
  private readonly order = new ExpiryOrder();

  /** @param maxEnded ended tokens that are remembered */
  constructor(maxEnded: number) {
    this.maxEnded = maxEnded;
  }

  /** Tokens that have not been ended, some of them expired. */
  get liveCount(): number {
    return this.live.size;
  }

  get(hash: TokenHash): TokenRecord | undefined {
    return this.live.get(hash) ?? this.ended.get(hash);
  }

  set(hash: TokenHash, record: TokenRecord): void {
    const [shelf, other] = record.ended === undefined ? [this.live, this.ended] : [this.ended, this.live];
    other.delete(hash);
    shelf.set(hash, record);
    this.order.put(hash, record.keepUntil);
    if (record.ended !== undefined) this.forgetEnded(record);
  }

  delete(hash: TokenHash): void {
    this.live.delete(hash);
    this.ended.delete(hash);
    this.order.delete(hash);
  }

  /** Removes what has expired, of at most so many that are looked at. */
  removeExpired(now: number, limit: number): readonly StoredToken[] {
    const removed: StoredToken[] = [];
    for (const hash of this.order.takeDue(now, limit)) {
      const record = this.get(hash);
      if (record === undefined) continue;
      if (record.keepUntil > now) {
        this.order.put(hash, record.keepUntil);
        continue;
      }
      this.delete(hash);
      removed.push({ hash, record });
    }
    return removed;
  }

  /** Makes room for one that has just been ended. */
  private forgetEnded({ grant }: TokenRecord): void {
    const { ended } = this;
    const owner = ownerOf(grant);
    if (ended.countOfVm(grant.vmId) > MAX_ENDED_OF_VM) this.forgetFirst(ended.ofVm(grant.vmId));
    if (ended.countOfOwner(owner) > MAX_ENDED_OF_USER) this.forgetFirst(ended.ofOwner(owner));
    const oldest = ended.size > this.maxEnded ? ended.oldest() : undefined;
    if (oldest !== undefined) this.delete(oldest);
  }

  /** The one that would be forgotten first anyway. */
  private forgetFirst(stored: readonly StoredToken[]): void {
    const [first, ...others] = stored;
    if (first === undefined) return;
    const sooner = (one: StoredToken, other: StoredToken) =>
      other.record.keepUntil < one.record.keepUntil ? other : one;
    this.delete(others.reduce(sooner, first).hash);
  }

  /**
   * Tokens of a VM that have neither ended nor expired; no more than the limit are counted, as long as that is enough.
   * A token of another zone's VM that has the same id is none of them.
   */
  countOfVm(vm: Pick<Grant, 'zone' | 'vmId'>, now: number, limit: number): number {
    const count = this.live.countOfVm(vm.vmId);
    return count < limit ? count : this.liveOfVm(vm, now).length;
  }

  /** The same of a user. */
  countOfOwner(owner: Owner, now: number, limit: number): number {
    const count = this.live.countOfOwner(owner);
    return count < limit ? count : present(this.live.ofOwner(owner), now).length;
  }

  liveOfVm(vm: Pick<Grant, 'zone' | 'vmId'>, now: number): readonly StoredToken[] {
    const name = vmNameOf(vm);
    return present(this.live.ofVm(vm.vmId), now).filter(({ record }) => vmNameOf(record.grant) === name);
  }

  ofVm(vmId: number, now: number, zone?: OwnZone): readonly StoredToken[] {
    const stored = present([...this.live.ofVm(vmId), ...this.ended.ofVm(vmId)], now);
    return stored.filter(({ record }) => isListedIn(record.grant.zone, zone));
  }

  /** The living first, and each once, though they change meanwhile: one that ends is found as it was. */
  async list(now: number, limit: number): Promise<readonly StoredToken[]> {
    const found = new Map<TokenHash, StoredToken>();
    for (const shelf of [this.live, this.ended]) {
      for await (const slice of slices(shelf.all())) {
        for (const [hash, record] of slice) {
          if (found.size >= limit) return [...found.values()];
          if (record.keepUntil > now && !found.has(hash)) found.set(hash, { hash, record });
        }
      }
    }
    return [...found.values()];
  }
}

function present(stored: readonly StoredToken[], now: number): readonly StoredToken[] {
  return stored.filter(({ record }) => record.keepUntil > now);
}

class Shelf {
  private readonly records = new Map<TokenHash, TokenRecord>();
  private readonly byVm = new Groups<number>();
  private readonly byOwner = new Groups<Owner>();

  get size(): number {
    return this.records.size;
  }

  get(hash: TokenHash): TokenRecord | undefined {
    return this.records.get(hash);
  }

  set(hash: TokenHash, record: TokenRecord): void {
    const before = this.records.get(hash);
    // A renewal changes neither.
    if (before?.grant !== record.grant) {
      this.delete(hash);
      this.byVm.add(record.grant.vmId, hash);
      this.byOwner.add(ownerOf(record.grant), hash);
    }
    this.records.set(hash, record);
  }

  delete(hash: TokenHash): void {
    const record = this.records.get(hash);
    if (record === undefined) return;
    this.records.delete(hash);
    this.byVm.delete(record.grant.vmId, hash);
    this.byOwner.delete(ownerOf(record.grant), hash);
  }

  oldest(): TokenHash | undefined {
    return this.records.keys().next().value;
  }

  countOfVm(vmId: number): number {
    return this.byVm.of(vmId).size;
  }

  countOfOwner(owner: Owner): number {
    return this.byOwner.of(owner).size;
  }

  ofVm(vmId: number): readonly StoredToken[] {
    return this.found(this.byVm.of(vmId));
  }

  ofOwner(owner: Owner): readonly StoredToken[] {
    return this.found(this.byOwner.of(owner));
  }

  all(): IterableIterator<[TokenHash, TokenRecord]> {
    return this.records.entries();
  }

  private found(hashes: ReadonlySet<TokenHash>): readonly StoredToken[] {
    return [...hashes].flatMap((hash) => {
      const record = this.records.get(hash);
      return record === undefined ? [] : [{ hash, record }];
    });
  }
}

/** Tokens by something that they have in common. */
class Groups<K> {
  private readonly groups = new Map<K, Set<TokenHash>>();

  of(key: K): ReadonlySet<TokenHash> {
    return this.groups.get(key) ?? NOBODY;
  }

  add(key: K, hash: TokenHash): void {
    const group = this.groups.get(key);
    if (group === undefined) this.groups.set(key, new Set([hash]));
    else group.add(hash);
  }

  delete(key: K, hash: TokenHash): void {
    const group = this.groups.get(key);
    group?.delete(hash);
    if (group?.size === 0) this.groups.delete(key);
  }
}

const NOBODY: ReadonlySet<TokenHash> = new Set();
