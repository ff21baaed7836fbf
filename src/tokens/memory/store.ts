// The store of one host: a table in memory that decides. Whoever wants the records to outlive the process hands in a
// journal that is told of everything.
// What always holds: an update is one turn of the event loop, so nothing comes in between; an expired record is as good
// as none from its millisecond on; no call does work per stored token.
import { GatewayError } from '../../errors.js';
import { noBus } from '../bus.js';
import { countByOwner, tokenGivingWay } from '../fair-share.js';
import type { Grant } from '../grant.js';
import { tooManyOfUser, tooManyOfVm } from '../limits.js';
import { ownerOf } from '../owner.js';
import type { TokenRecord } from '../record.js';
import type { Change, CreateOptions, StoredToken, TokenKey, TokenStore } from '../store.js';
import { hashToken, newToken, type Token, type TokenHash } from '../token.js';
import { type OwnZone, vmNameOf } from '../zone.js';
import { MAX_TOKENS, RecordTable, SWEEP_BATCH, SWEEP_INTERVAL_MS } from './record-table.js';

/** Is told what happens to tokens. */
export interface TokenJournal {
  /** Before a token may be used. @throws GatewayError where it cannot be kept, and then nothing of it is left */
  create(token: Token, hash: TokenHash, record: TokenRecord, forWebsockify: boolean): Promise<void>;
  /** After a record has changed. */
  changed(hash: TokenHash, before: TokenRecord, after: TokenRecord): void;
  /** After a record has expired and was removed. */
  forgotten(hash: TokenHash, record: TokenRecord): void;
}

export interface MemoryTokenStoreOptions {
  /** Milliseconds since 1970; must not go back. */
  readonly now: () => number;
  readonly journal?: TokenJournal | undefined;
  /** Living ones; as many ended ones are remembered. */
  readonly maxTokens?: number | undefined;
}

export class MemoryTokenStore implements TokenStore {
  readonly bus = noBus;
  readonly now: () => number;
  private readonly journal: TokenJournal | undefined;
  private readonly maxTokens: number;
  private readonly table: RecordTable;
  /** Tokens that are being created: they count already, but cannot be found yet. */
  private readonly creations = new Map<Promise<void>, Grant>();
  private timer: NodeJS.Timeout | undefined;

  constructor({ now, journal, maxTokens = MAX_TOKENS }: MemoryTokenStoreOptions) {
    this.now = now;
    this.journal = journal;
    this.maxTokens = maxTokens;
    this.table = new RecordTable(maxTokens);
  }

  async open(): Promise<void> {
    this.timer = setInterval(() => this.sweep(), SWEEP_INTERVAL_MS);
    this.timer.unref();
  }

  async create(record: TokenRecord, options: CreateOptions): Promise<Token> {
    const { forWebsockify } = options;
    this.makeRoom(record.grant, options);
    const token = newToken();
    const hash = hashToken(token);
    const creation = this.journal?.create(token, hash, record, forWebsockify);
    if (creation !== undefined) {
      this.creations.set(creation, record.grant);
      try {
        await creation;
      } finally {
        this.creations.delete(creation);
      }
    }
    this.table.set(hash, record);
    return token;
  }

  async update<R>({ hash }: TokenKey, change: Change<R>): Promise<R> {
    const now = this.now();
    const stored = this.table.get(hash);
    const before = stored !== undefined && stored.keepUntil > now ? stored : undefined;
    const { record: after, result } = change(before, now);
    // Only `create` makes records.
    if (before === undefined || after === before) return result;
    if (after === undefined) {
      this.table.delete(hash);
      this.journal?.forgotten(hash, before);
    } else {
      this.table.set(hash, after);
      this.journal?.changed(hash, before, after);
    }
    return result;
  }

  async ofVm(vmId: number, zone?: OwnZone): Promise<readonly StoredToken[]> {
    return this.table.ofVm(vmId, this.now(), zone);
  }

  async list(limit: number): Promise<readonly StoredToken[]> {
    return this.table.list(this.now(), limit);
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await Promise.allSettled(this.creations.keys());
  }

  /** Takes a record over from a former process. */
  protected adopt(hash: TokenHash, record: TokenRecord): void {
    this.table.set(hash, record);
  }

  private sweep(): void {
    for (const { hash, record } of this.table.removeExpired(this.now(), SWEEP_BATCH)) {
      this.journal?.forgotten(hash, record);
    }
  }

  /** @throws GatewayError `over-limit`, `too-many-tokens` */
  private makeRoom(
    grant: Grant,
    { maxOfVm, maxOfUser = Number.POSITIVE_INFINITY, onGivenWay }: CreateOptions,
  ) {
    if (this.isFull()) this.sweep();
    if (this.isFull()) {
      throw new GatewayError('over-limit', { detail: `more than ${this.maxTokens} live tokens` });
    }
    const now = this.now();
    const owner = ownerOf(grant);
    const creating = [...this.creations.values()];
    const his = creating.filter((one) => ownerOf(one) === owner).length;
    if (this.table.countOfOwner(owner, now, maxOfUser - his) + his >= maxOfUser)
      throw tooManyOfUser(maxOfUser);
    const there = creating.filter((one) => vmNameOf(one) === vmNameOf(grant));
    const count = this.table.countOfVm(grant, now, maxOfVm - there.length);
    if (count + there.length < maxOfVm) return;
    const making = countByOwner(there.map(ownerOf));
    const one = tokenGivingWay(this.table.liveOfVm(grant, now), owner, now, making);
    if (one === undefined) throw tooManyOfVm(maxOfVm);
    this.table.delete(one.hash);
    this.journal?.forgotten(one.hash, one.record);
    onGivenWay?.(one);
  }

  private isFull(): boolean {
    return this.table.liveCount + this.creations.size >= this.maxTokens;
  }
}
