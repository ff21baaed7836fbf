// What has to be done for live sessions from time to time: their leases renewed, their age watched.
// What always holds: a store that cannot be reached ends nothing; what it says when it is back counts.

import { causeOf } from '../errors.js';
import type { Logger } from '../log.js';
import { inParallel } from '../parallel.js';
import { RENEW_EVERY_MS, renew, type TokenRules } from '../tokens/rules.js';
import type { TokenStore } from '../tokens/store.js';
import type { SessionEndings } from './endings.js';
import type { LiveSession, SessionPlace, SessionRegistry } from './sessions.js';

const AGE_EVERY_MS = 1000;
/** Renewals under way at a time. */
const AT_A_TIME = 32;

export interface UpkeepParts {
  readonly store: TokenStore;
  readonly sessions: SessionRegistry;
  readonly endings: SessionEndings;
  readonly rules: () => TokenRules;
  readonly logger: Logger;
}

export class Upkeep {
  private readonly parts: UpkeepParts;
  private timers: NodeJS.Timeout[] = [];
  private renewing: Promise<void> | undefined;
  private toldFailure = false;
  private stopping = false;

  constructor(parts: UpkeepParts) {
    this.parts = parts;
  }

  start(): void {
    this.stopping = false;
    this.timers = [
      setInterval(() => void this.renewAll(), RENEW_EVERY_MS),
      setInterval(() => this.endOld(), AGE_EVERY_MS),
    ];
    for (const timer of this.timers) timer.unref();
  }

  async stop(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    this.stopping = true;
    await this.renewing;
  }

  /** Renews the leases of all live sessions; of two at a time the second waits for the first. */
  renewAll(): Promise<void> {
    this.renewing ??= this.renewEach().finally(() => {
      this.renewing = undefined;
    });
    return this.renewing;
  }

  endOld(): void {
    const now = this.parts.store.now();
    for (const { id, endsAt } of this.parts.sessions.all()) {
      if (endsAt !== undefined && endsAt <= now) this.parts.endings.endHere(id, 'expired');
    }
  }

  private async renewEach(): Promise<void> {
    const sessions = this.parts.sessions.all();
    const traffic = await trafficOf(sessions);
    await inParallel(sessions, AT_A_TIME, async (one) => {
      // Many may have ended while a store that does not answer was waited for.
      if (this.stopping || this.parts.sessions.get(one.id) === undefined) return;
      await this.renewOne(one, traffic.get(one.id) ?? 0);
    });
  }

  private async renewOne({ id, hash, client, since }: LiveSession, bytes: number): Promise<void> {
    const { store, endings, rules, sessions, logger } = this.parts;
    const settings = rules();
    try {
      const outcome = await store.update({ hash }, (record, now) =>
        // It may have ended while others were renewed.
        sessions.get(id) === undefined
          ? { record, result: 'unknown' as const }
          : renew(record, { id, client, since, bytes }, settings, now),
      );
      this.toldFailure = false;
      if (outcome !== 'renewed' && outcome !== 'unknown') endings.endHere(id, outcome);
    } catch (error) {
      if (!this.toldFailure)
        logger.warn({ cause: causeOf(error) }, 'leases cannot be renewed; sessions go on');
      this.toldFailure = true;
    }
  }
}

/** Bytes of each session, asked of each process once. */
export async function trafficOf(sessions: readonly LiveSession[]): Promise<ReadonlyMap<string, number>> {
  const places = new Set<SessionPlace>(sessions.map(({ place }) => place));
  const counts = await Promise.all([...places].map((place) => place.traffic()));
  return new Map(counts.flatMap((one) => [...one]));
}
