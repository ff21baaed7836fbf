// The records of one host in memory, to be found by token, by VM and by the time of their end.
// What always holds: the indexes agree with the records; ended tokens are kept apart, so that they neither fill up the
// place of living ones nor stand in front of them, and the oldest of them go first when there are too many.

import type { Grant } from '../grant.js';
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
    const oldest = this.ended.size > this.maxEnded ? this.ended.oldest() : undefined;
    if (oldest !== undefined) this.delete(oldest);
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

  /**
   * Tokens of a VM that have neither ended nor expired; no more than the limit are counted, as long as that is enough.
   * A token of another zone's VM that has the same id is none of them.
   */
  countOfVm(vm: Pick<Grant, 'zone' | 'vmId'>, now: number, limit: number): number {
    const count = this.live.countOfVm(vm.vmId);
    if (count < limit) return count;
    const name = vmNameOf(vm);
    return this.live
      .ofVm(vm.vmId)
      .filter(({ record }) => record.keepUntil > now && vmNameOf(record.grant) === name).length;
  }

  ofVm(vmId: number, now: number, zone?: OwnZone): readonly StoredToken[] {
    return [...this.live.ofVm(vmId), ...this.ended.ofVm(vmId)].filter(
      ({ record }) => record.keepUntil > now && isListedIn(record.grant.zone, zone),
    );
  }

  /** The living first. */
  list(now: number, limit: number): readonly StoredToken[] {
    const found: StoredToken[] = [];
    for (const shelf of [this.live, this.ended]) {
      for (const [hash, record] of shelf.all()) {
        if (found.length >= limit) return found;
        if (record.keepUntil > now) found.push({ hash, record });
      }
    }
    return found;
  }
}

class Shelf {
  private readonly records = new Map<TokenHash, TokenRecord>();
  private readonly byVm = new Map<number, Set<TokenHash>>();

  get size(): number {
    return this.records.size;
  }

  get(hash: TokenHash): TokenRecord | undefined {
    return this.records.get(hash);
  }

  set(hash: TokenHash, record: TokenRecord): void {
    const { vmId } = record.grant;
    if (this.records.get(hash)?.grant.vmId !== vmId) this.delete(hash);
    this.records.set(hash, record);
    const ofVm = this.byVm.get(vmId);
    if (ofVm === undefined) this.byVm.set(vmId, new Set([hash]));
    else ofVm.add(hash);
  }

  delete(hash: TokenHash): void {
    const vmId = this.records.get(hash)?.grant.vmId;
    if (vmId === undefined) return;
    this.records.delete(hash);
    const ofVm = this.byVm.get(vmId);
    ofVm?.delete(hash);
    if (ofVm?.size === 0) this.byVm.delete(vmId);
  }

  oldest(): TokenHash | undefined {
    return this.records.keys().next().value;
  }

  countOfVm(vmId: number): number {
    return this.byVm.get(vmId)?.size ?? 0;
  }

  ofVm(vmId: number): readonly StoredToken[] {
    return [...(this.byVm.get(vmId) ?? [])].flatMap((hash) => {
      const record = this.records.get(hash);
      return record === undefined ? [] : [{ hash, record }];
    });
  }

  all(): IterableIterator<[TokenHash, TokenRecord]> {
    return this.records.entries();
  }
}
