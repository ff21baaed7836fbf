// The store that keeps nothing anybody could lose: every token carries its grant, and a host with the keys opens it.
// Memory holds what became of those that this host has issued or opened, so that here the rules apply to them as to others.
// What always holds: a token makes a record once, so that one that was used up or ended here never opens here again; its
// seal is looked at each time it is presented, so that a retired key opens nothing.
import { GatewayError } from '../../errors.js';
import { noBus } from '../bus.js';
import { tokenGivingWay } from '../fair-share.js';
import type { Grant } from '../grant.js';
import { tooManyOfUser, tooManyOfVm } from '../limits.js';
import { MAX_TOKENS, RecordTable, SWEEP_BATCH, SWEEP_INTERVAL_MS } from '../memory/record-table.js';
import { ownerOf } from '../owner.js';
import type { TokenRecord } from '../record.js';
import { issued } from '../rules.js';
import type { Change, CreateOptions, StoredToken, TokenKey, TokenStore } from '../store.js';
import { hashToken, type Token, type TokenHash } from '../token.js';
import type { OwnZone } from '../zone.js';
import { importKeys, readSealedKeys, type SealKeys } from './keys.js';
import { seal, unseal } from './seal.js';
import { SealedSeen } from './seen.js';

export interface SealedTokenStoreOptions {
  /** The setting `sealed_keys`. */
  readonly keysFile: string;
  /** Milliseconds since 1970; must not go back. */
  readonly now: () => number;
  /** The same as all hosts have it, as far as they agree: a token of another host expires by this one as well. */
  readonly wall?: () => number;
  /** Tokens that were issued or opened here and could still be taken for new ones. */
  readonly maxTokens?: number;
}

export class SealedTokenStore implements TokenStore {
  readonly bus = noBus;
  readonly now: () => number;
  private readonly keysFile: string;
  private readonly wall: () => number;
  private readonly maxTokens: number;
  private readonly table: RecordTable;
  private readonly seen = new SealedSeen();
  /** Sealing and opening under way, for close(). */
  private readonly work = new Set<Promise<unknown>>();
  private keys: SealKeys | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor({ keysFile, now, wall = Date.now, maxTokens = MAX_TOKENS }: SealedTokenStoreOptions) {
    this.keysFile = keysFile;
    this.now = now;
    this.wall = wall;
    this.maxTokens = maxTokens;
    this.table = new RecordTable(maxTokens);
  }

  async open(): Promise<void> {
    const take = await this.prepareKeys(this.keysFile);
    take();
    this.timer = setInterval(() => this.sweep(), SWEEP_INTERVAL_MS);
    this.timer.unref();
  }

  /** Reads keys from a file. @returns a function that takes them, from then on. @throws StartError naming `sealed_keys` */
  async prepareKeys(keysFile: string): Promise<() => void> {
    const keys = await importKeys(readSealedKeys(keysFile));
    return () => {
      this.keys = keys;
    };
  }

  async create(record: TokenRecord, options: CreateOptions): Promise<Token> {
    const token = await this.withKeys((keys) => seal(record.grant, keys));
    // No wait from here on, so that no two take the last place.
    this.makeRoom(record.grant, options);
    this.remember(hashToken(token), record);
    return token;
  }

  async update<R>({ hash, sealed }: TokenKey, change: Change<R>): Promise<R> {
    const grant = sealed === undefined ? undefined : await this.grantIn(sealed, hash);
    // No wait from here on: what is found is changed before anybody else finds it.
    const now = this.now();
    const isForged = sealed !== undefined && grant === undefined;
    const before = isForged ? undefined : this.recordOf(hash, grant, now);
    const { record: after, result } = change(before, now);
    if (before === undefined || after === before) return result;
    if (after === undefined) this.table.delete(hash);
    else this.table.set(hash, after);
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
    await Promise.allSettled(this.work);
  }

  private async grantIn(sealed: Token, hash: TokenHash): Promise<Grant | undefined> {
    const grant = await this.withKeys((keys) => unseal(sealed, keys));
    return hashToken(sealed) === hash ? grant : undefined;
  }

  /** @param grant what the token says, where it was presented and is ours */
  private recordOf(hash: TokenHash, grant: Grant | undefined, now: number): TokenRecord | undefined {
    const known = this.table.get(hash);
    if (known !== undefined && known.keepUntil > now) return known;
    if (grant === undefined || this.seen.has(hash)) return undefined;
    if (grant.expiresAt <= Math.max(now, this.wall())) return undefined;
    const record = issued(grant);
    this.remember(hash, record);
    return record;
  }

  /**
   * Among the tokens that this host knows. One that gives way is dead here, as one that was ended.
   * @throws GatewayError `too-many-tokens`
   */
  private makeRoom(
    grant: Grant,
    { maxOfVm, maxOfUser = Number.POSITIVE_INFINITY, onGivenWay }: CreateOptions,
  ) {
    const now = this.now();
    const owner = ownerOf(grant);
    if (this.table.countOfOwner(owner, now, maxOfUser) >= maxOfUser) throw tooManyOfUser(maxOfUser);
    if (this.table.countOfVm(grant, now, maxOfVm) < maxOfVm) return;
    const one = tokenGivingWay(this.table.liveOfVm(grant, now), owner, now);
    if (one === undefined) throw tooManyOfVm(maxOfVm);
    this.table.delete(one.hash);
    onGivenWay?.(one);
  }

  /** @throws GatewayError `over-limit` */
  private remember(hash: TokenHash, record: TokenRecord): void {
    if (this.isFull()) this.sweep();
    if (this.isFull()) {
      throw new GatewayError('over-limit', { detail: `more than ${this.maxTokens} tokens within token_ttl` });
    }
    this.seen.add(hash, record.grant.expiresAt);
    this.table.set(hash, record);
  }

  private isFull(): boolean {
    return this.seen.size >= this.maxTokens || this.table.liveCount >= this.maxTokens;
  }

  private sweep(): void {
    const now = this.now();
    this.table.removeExpired(now, SWEEP_BATCH);
    this.seen.removeExpired(now);
  }

  private async withKeys<T>(use: (keys: SealKeys) => Promise<T>): Promise<T> {
    if (this.keys === undefined) throw new TypeError('the store is not open');
    const using = use(this.keys);
    this.work.add(using);
    try {
      return await using;
    } finally {
      this.work.delete(using);
    }
  }
}
