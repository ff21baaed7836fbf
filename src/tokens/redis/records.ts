// Records in Redis, one at a time: read, compared and set, and their place in the index of their VM.
// What always holds: what is no record of ours counts as none and is left alone; every answer sets the clock.
import type { TokenRecord } from '../record.js';
import { fingerprint, type TokenHash } from '../token.js';
import { vmNameOf } from '../zone.js';
import type { RedisCalls } from './calls.js';
import type { RedisClock } from './clock.js';
import { RedisRefusal } from './connection.js';
import type { Distrust } from './distrust.js';
import { NO_VM, type RedisKeys } from './keys.js';
import type { RedisMac } from './mac.js';
import { parseRecord, recordText } from './record.js';
import * as scripts from './scripts.js';

/** A host that is on a console says so more often. */
export const INDEX_SLACK_MS = 60_000;

/** In an index, when a record only stays longer. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

export interface RedisRecordsParts {
  readonly calls: RedisCalls;
  readonly keys: RedisKeys;
  readonly clock: RedisClock;
  readonly mac: RedisMac;
  readonly distrust: Distrust;
}

/** What stands under a token now. */
export interface Found {
  /** To be compared with; empty: nothing. */
  readonly text: string;
  readonly record: TokenRecord | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export class RedisRecords {
  private readonly parts: RedisRecordsParts;

  constructor(parts: RedisRecordsParts) {
    this.parts = parts;
  }

  async read(hash: TokenHash): Promise<Found> {
    const { keys, clock } = this.parts;
    const key = keys.record(hash);
    try {
      const present = await this.timed(key, scripts.readCommand(key, clock.shiftMs), scripts.readResult);
      return this.found(hash, present);
    } catch (error) {
      // Somebody else's key, of another type.
      if (!(error instanceof RedisRefusal) || error.code !== 'WRONGTYPE') throw error;
      this.doubt('no record', hash);
      return { text: '', record: undefined, now: clock.now() };
    }
  }

  /**
   * Writes where nothing but `before` stands there.
   * @param after an empty text removes the record
   * @returns undefined when it was written, else what stands there instead
   */
  async write(hash: TokenHash, before: string, after: string, keepUntil: number): Promise<Found | undefined> {
    const { keys, clock } = this.parts;
    const key = keys.record(hash);
    const command = scripts.writeCommand(key, before, after, keepUntil, clock.shiftMs);
    const { written, ...present } = await this.timed(key, command, scripts.writeResult);
    return written ? undefined : this.found(hash, present);
  }

  /**
   * Puts a token into the index of its VM, or lets it stay there longer.
   * @returns false where there are `max` already
   */
  async index(hash: TokenHash, record: TokenRecord, max = NO_LIMIT): Promise<boolean> {
    const key = this.indexKey(record);
    const command = scripts.indexCommand(key, hash, record.keepUntil, max, this.parts.clock.shiftMs);
    return (await this.timed(key, command, scripts.indexResult)).added;
  }

  /**
   * Lets a token stay in the index less long; but longer than its record, for another host may prolong that at the
   * same time, and puts it right only when it renews its lease.
   */
  async leaveEarlier(hash: TokenHash, record: TokenRecord): Promise<void> {
    const key = this.indexKey(record);
    await this.parts.calls.toKey(key, scripts.lowerCommand(key, hash, record.keepUntil + INDEX_SLACK_MS));
  }

  /** Takes a token out again. */
  async unindex(hash: TokenHash, record: TokenRecord): Promise<void> {
    const key = this.indexKey(record);
    await this.parts.calls.toKey(key, ['ZREM', key, hash]);
  }

  /** Writes as `create` does, for a second, where nobody looks. @throws RedisRefusal, RedisUnreachable */
  async tryRights(hash: TokenHash): Promise<void> {
    const { calls, clock, keys } = this.parts;
    const until = clock.now() + 1000;
    const index = keys.index(NO_VM, 'live');
    await this.timed(
      index,
      scripts.indexCommand(index, hash, until, NO_LIMIT, clock.shiftMs),
      scripts.indexResult,
    );
    await calls.toKey(index, ['ZREM', index, hash]);
    await this.write(hash, '', 'trial', until);
    await this.write(hash, 'trial', '', 0);
  }

  indexKey({ grant, ended }: TokenRecord): string {
    return this.parts.keys.index(vmNameOf(grant), ended === undefined ? 'live' : 'ended');
  }

  /** As it is kept under that token. */
  textOf(hash: TokenHash, record: TokenRecord): string {
    const { keys, mac } = this.parts;
    return recordText(mac, keys.record(hash), record);
  }

  private found(hash: TokenHash, { text, now }: scripts.Present): Found {
    if (text === '') return { text, record: undefined, now };
    const { keys, mac } = this.parts;
    const record = parseRecord(mac, keys.record(hash), text);
    if (typeof record === 'string') {
      this.doubt(record, hash);
      return { text, record: undefined, now };
    }
    // Its key lives a moment longer where the test's time is ahead.
    return { text, record: record.keepUntil > now ? record : undefined, now };
  }

  private doubt(why: Parameters<Distrust['tell']>[0], hash: TokenHash): void {
    this.parts.distrust.tell(why, { fingerprint: fingerprint(hash) });
  }

  private async timed<T extends { readonly now: number }>(
    key: string,
    command: readonly string[],
    result: (reply: unknown) => T,
  ): Promise<T> {
    const { calls, clock } = this.parts;
    const shift = clock.shiftMs;
    const answer = result(await calls.toKey(key, command));
    clock.learn(answer.now - shift);
    return answer;
  }
}
