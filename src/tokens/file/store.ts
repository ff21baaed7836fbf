// The store of one host whose tokens outlive the process: memory decides, files follow.
// What always holds: a token can be used only after its files were written; a restart knows every token that can still be
// used, and none that was ended; issue and redeem do no work per stored token.
import type { Logger } from '../../log.js';
import { MemoryTokenStore } from '../memory/store.js';
import type { TokenRecord } from '../record.js';
import { RENEW_EVERY_MS } from '../rules.js';
import type { TokenHash } from '../token.js';
import { FileJournal } from './journal.js';
import { recovered } from './recovery.js';
import type { TokenFiles } from './token-files.js';

/**
 * How long a session's coming or going may be missing in the files. After a crash within it, one that had just left
 * counts as there until the crash, and the token of one that had just come is as open as before.
 */
const CATCH_UP_EVERY_MS = 1000;

export interface FileTokenStoreOptions {
  readonly files: TokenFiles;
  readonly logger: Logger;
  /** Milliseconds since 1970; must not go back. */
  readonly now: () => number;
  readonly maxTokens?: number | undefined;
}

export class FileTokenStore extends MemoryTokenStore {
  private readonly files: TokenFiles;
  private readonly fileJournal: FileJournal;
  private timers: NodeJS.Timeout[] = [];
  private beating: Promise<void> = Promise.resolve();

  constructor({ files, logger, now, maxTokens }: FileTokenStoreOptions) {
    const journal = new FileJournal({ files, logger });
    super({ now, journal, maxTokens });
    this.files = files;
    this.fileJournal = journal;
  }

  override async open(): Promise<void> {
    await this.files.prepare();
    await this.recover();
    await super.open();
    this.timers = [
      setInterval(() => this.fileJournal.catchUp(), CATCH_UP_EVERY_MS),
      setInterval(() => this.beat(), RENEW_EVERY_MS),
    ];
    for (const timer of this.timers) timer.unref();
  }

  override async close(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    await super.close();
    this.beat();
    this.fileJournal.catchUp();
    await Promise.all([this.beating, this.fileJournal.idle()]);
  }

  /** Takes over what former processes left; files of what opens nothing any more go in the background. */
  private async recover(): Promise<void> {
    const beats = await this.files.heartbeat.load();
    const unused = new Map<TokenHash, TokenRecord>();
    for (const [hash, state] of await this.files.load()) {
      const lastAlive = state.run === undefined ? undefined : beats.get(state.run);
      const record = recovered(state.record, lastAlive, this.now());
      if (record === undefined) {
        this.fileJournal.forgotten(hash, state.record);
        continue;
      }
      this.adopt(hash, record);
      if (record.use === undefined) unused.set(hash, record);
    }
    await this.files.removeStrays(unused);
  }

  /** While somebody may be on a console. */
  private beat(): void {
    const now = this.now();
    if (this.fileJournal.lastLeaseUntil <= now) return;
    this.beating = this.beating
      .then(() => this.files.heartbeat.beat(now))
      .catch((error: unknown) => this.fileJournal.tellFailure(error));
  }
}
