// What the store of one host does to its files. A new token waits for them; everything later only leaves word here of
// what the files ought to be, and a console never waits for the disk.
// What always holds: the files of one token are worked on by one at a time, and the last word counts; what failed is tried
// again; renewals of leases reach no file; first use and end are written at once, the coming and going of sessions in
// between when the store says so.
import { causeOf, GatewayError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { TokenJournal } from '../memory/store.js';
import type { TokenRecord, Use } from '../record.js';
import type { Token, TokenHash } from '../token.js';
import type { TokenFiles } from './token-files.js';

/** Node has four threads for files; some more waiting keep them busy. */
const TOKENS_AT_A_TIME = 8;
/** Of those whose files could not be written or removed. */
const RETRIES_AT_A_TIME = 64;
/** Tokens whose files wait for a disk that takes no more: then no new ones are made. */
const MAX_BACKLOG = 200_000;

export interface FileJournalOptions {
  readonly files: TokenFiles;
  readonly logger: Logger;
}

/** What the files of a token ought to be. */
interface Wish {
  readonly record: TokenRecord;
  readonly keep: boolean;
}

export class FileJournal implements TokenJournal {
  private readonly files: TokenFiles;
  private readonly logger: Logger;
  private readonly wishes = new Map<TokenHash, Wish>();
  /** The one that was tried longest ago is first. */
  private readonly failed = new Map<TokenHash, Wish>();
  private readonly busy = new Set<TokenHash>();
  /** Of tokens on whose console somebody has come or gone lately. */
  private readonly gathered = new Map<TokenHash, Wish>();
  private waiting: (() => void)[] = [];
  private lastLease = 0;
  private toldFailure = false;

  constructor({ files, logger }: FileJournalOptions) {
    this.files = files;
    this.logger = logger;
  }

  /** When the last lease that was seen runs out, if nobody renews it. Milliseconds since 1970. */
  get lastLeaseUntil(): number {
    return this.lastLease;
  }

  async create(token: Token, hash: TokenHash, record: TokenRecord, forWebsockify: boolean): Promise<void> {
    const backlog = this.gathered.size + this.wishes.size + this.failed.size;
    if (backlog >= MAX_BACKLOG) {
      throw new GatewayError('store-failed', {
        detail: `the files of ${backlog} tokens cannot be written or removed`,
      });
    }
    try {
      await this.files.create(token, hash, record, forWebsockify);
    } catch (error) {
      throw new GatewayError('store-failed', {
        detail: `the token's file cannot be written: ${causeOf(error)}`,
      });
    }
  }

  changed(hash: TokenHash, before: TokenRecord, after: TokenRecord): void {
    for (const { until } of after.use?.leases ?? []) this.lastLease = Math.max(this.lastLease, until);
    if (before.ended === after.ended && isSameOnDisk(before.use, after.use)) return;
    // Without its file an ended token is unknown after a restart, and that takes no space on a full disk.
    const wish = { record: after, keep: after.ended === undefined };
    if (before.use === undefined || after.ended !== undefined) this.wish(hash, wish);
    else this.gathered.set(hash, wish);
  }

  forgotten(hash: TokenHash, record: TokenRecord): void {
    this.wish(hash, { record, keep: false });
  }

  /** Writes what has gathered, and tries some of the failed again. */
  catchUp(): void {
    for (const [hash, wish] of [...this.gathered]) this.wish(hash, wish);
    for (const [hash, wish] of [...this.failed].slice(0, RETRIES_AT_A_TIME)) this.wish(hash, wish);
  }

  /** Until everything has been tried. */
  async idle(): Promise<void> {
    if (this.wishes.size === 0 && this.busy.size === 0) return;
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  /** Once until all is well again: not every second for as long as the disk is full. */
  tellFailure(error: unknown): void {
    if (this.toldFailure) return;
    this.toldFailure = true;
    this.logger.warn(
      { cause: causeOf(error) },
      'files of tokens cannot be written or removed yet; trying again',
    );
  }

  private wish(hash: TokenHash, wish: Wish): void {
    this.gathered.delete(hash);
    this.failed.delete(hash);
    this.wishes.set(hash, wish);
    this.work();
  }

  private work(): void {
    for (const [hash, wish] of this.wishes) {
      if (this.busy.size >= TOKENS_AT_A_TIME) return;
      if (this.busy.has(hash)) continue;
      this.wishes.delete(hash);
      this.busy.add(hash);
      void this.fulfil(hash, wish);
    }
    if (this.busy.size === 0) this.rest();
  }

  private async fulfil(hash: TokenHash, wish: Wish): Promise<void> {
    try {
      if (wish.keep) await this.files.update(hash, wish.record);
      else await this.files.remove(hash, wish.record.grant);
    } catch (error) {
      this.tellFailure(error);
      // Another word may have come meanwhile.
      if (!this.wishes.has(hash)) this.failed.set(hash, wish);
    }
    this.busy.delete(hash);
    this.work();
  }

  /** When everything has been tried. */
  private rest(): void {
    if (this.failed.size === 0) this.toldFailure = false;
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

/** Whether two uses differ in nothing but what the last heartbeat tells as well. */
function isSameOnDisk(before: Use | undefined, after: Use | undefined): boolean {
  if (before === undefined || after === undefined) return before === after;
  if (before.openUntil !== after.openUntil || before.leases.length !== after.leases.length) return false;
  const sessions = new Set(before.leases.map(({ session }) => session));
  return after.leases.every(({ session }) => sessions.has(session));
}
