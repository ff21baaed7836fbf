// The store of one host: a map in memory that decides, and its files, so that a restart forgets nothing.
// What always holds: a grant is in the map only while its files are written; an expired one is refused at once,
// whatever its files are doing; issue and redeem do no work per stored token.
import { causeOf, GatewayError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Grant } from './grant.js';
import type { TokenStore } from './store.js';
import { hashToken, type Token, type TokenHash } from './token.js';
import type { TokenFiles } from './token-files.js';

/** How soon the files of an expired token go. */
const SWEEP_INTERVAL_MS = 1000;

/** About 100 MB of memory; at the default token_ttl that is 300 tokens issued a second. */
const MAX_TOKENS = 200_000;

export interface FileTokenStoreOptions {
  readonly files: TokenFiles;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly maxTokens?: number;
}

interface Entry {
  readonly grant: Grant;
  used: boolean;
}

export class FileTokenStore implements TokenStore {
  private readonly files: TokenFiles;
  private readonly logger: Logger;
  private readonly now: () => number;
  private readonly maxTokens: number;
  private readonly entries = new Map<TokenHash, Entry>();
  /** Writes and removals under way, for close(). */
  private readonly work = new Set<Promise<unknown>>();
  private writing = 0;
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;
  private removalFailed = false;

  constructor({ files, logger, now, maxTokens = MAX_TOKENS }: FileTokenStoreOptions) {
    this.files = files;
    this.logger = logger;
    this.now = now;
    this.maxTokens = maxTokens;
  }

  async open(): Promise<void> {
    await this.files.prepare();
    const grants = await this.files.load();
    await this.files.removeStrays(grants);
    for (const [hash, grant] of grants) this.entries.set(hash, { grant, used: false });
    await this.sweep();
    this.timer = setInterval(() => void this.sweep(), SWEEP_INTERVAL_MS);
    this.timer.unref();
  }

  async put(token: Token, grant: Grant): Promise<void> {
    if (this.entries.size + this.writing >= this.maxTokens) {
      throw new GatewayError('over-limit', { detail: `more than ${this.maxTokens} live tokens` });
    }
    const hash = hashToken(token);
    this.writing++;
    try {
      await this.track(this.files.write(token, hash, grant));
      this.entries.set(hash, { grant, used: false });
    } catch (error) {
      throw new GatewayError('store-failed', {
        detail: `the token's file cannot be written: ${causeOf(error)}`,
      });
    } finally {
      this.writing--;
    }
  }

  claim(hash: TokenHash): Promise<Grant | undefined> {
    const entry = this.entries.get(hash);
    if (entry === undefined || entry.grant.expiresAt <= this.now()) return Promise.resolve(undefined);
    if (!entry.used) {
      entry.used = true;
      // Not awaited: the console need not wait for the disk, and websockify's file does no harm meanwhile.
      void this.track(
        this.files.removeForWebsockify(hash, entry.grant).catch((error: unknown) => {
          entry.used = false;
          this.tellRemovalFailed(error);
        }),
      );
    }
    return Promise.resolve(entry.grant);
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.sweeping;
    await Promise.allSettled(this.work);
  }

  /** Removes what has expired. An entry stays until its files are gone, so that map and disk agree. */
  private sweep(): Promise<void> {
    this.sweeping ??= this.removeExpired().finally(() => {
      this.sweeping = undefined;
    });
    return this.sweeping;
  }

  private async removeExpired(): Promise<void> {
    const now = this.now();
    for (const [hash, entry] of this.entries) {
      const { grant } = entry;
      if (grant.expiresAt > now) continue;
      try {
        await this.files.remove(hash, grant);
        this.entries.delete(hash);
        this.removalFailed = false;
      } catch (error) {
        // The next sweep tries again, the others before it; the token is refused all the same.
        this.entries.delete(hash);
        this.entries.set(hash, entry);
        this.tellRemovalFailed(error);
        return;
      }
    }
  }

  /** Once, not at every sweep for as long as the disk is read-only. */
  private tellRemovalFailed(error: unknown): void {
    if (this.removalFailed) return;
    this.removalFailed = true;
    this.logger.warn({ cause: causeOf(error) }, 'files of a used or expired token cannot be removed yet');
  }

  private track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      () => {},
      () => {},
    );
    this.work.add(settled);
    void settled.then(() => this.work.delete(settled));
    return work;
  }
}
