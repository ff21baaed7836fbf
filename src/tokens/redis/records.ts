// Records in Redis, one at a time: read, compared and set, and their place in the indexes of their VM and their user.
// What always holds: what is no record of ours counts as none and is left alone; every answer sets the clock.
import { MAX_ENDED_OF_USER, MAX_ENDED_OF_VM } from '../limits.js';
import { ownerOf } from '../owner.js';
import type { TokenRecord } from '../record.js';
import { fingerprint, type TokenHash } from '../token.js';
import { vmNameOf } from '../zone.js';
import type { RedisCalls } from './calls.js';
import type { RedisClock } from './clock.js';
import { RedisRefusal } from './connection.js';
import type { Distrust } from './distrust.js';
import { asMember, memberText, NO_OWNER, NO_VM, type RedisKeys } from './keys.js';
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

/** How many tokens there may be in the index of a VM, and of a user. */
export interface IndexLimits {
  readonly ofVm?: number | undefined;
  readonly ofUser?: number | undefined;
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
   * Puts a token into the indexes of its VM and of its user, or lets it stay there longer.
   * @returns which of them has its maximum already; the token may be in the other one
   */
  async index(
    hash: TokenHash,
    record: TokenRecord,
    max: IndexLimits = {},
  ): Promise<'vm' | 'user' | undefined> {
    const { vm, user } = this.indexesOf(record);
    const put = (key: string, limit = NO_LIMIT) => {
      const { keepUntil } = record;
      const command = scripts.indexCommand(key, memberOf(hash, record), keepUntil, limit, this.shiftMs);
      return this.timed(key, command, scripts.indexResult);
    };
    const [ofVm, ofUser] = await Promise.all([put(vm, max.ofVm), put(user, max.ofUser)]);
    return ofUser.added ? (ofVm.added ? undefined : 'vm') : 'user';
  }

  /**
   * Puts a token that has been ended into the indexes of those.
   * @returns tokens that had to make room, and are in one of their indexes no more; itself may be among them
   */
  async shelve(hash: TokenHash, record: TokenRecord): Promise<readonly TokenHash[]> {
    const { vm, user } = this.indexesOf(record);
    const put = async (key: string, limit: number) => {
      const { keepUntil } = record;
      const command = scripts.shelveCommand(key, memberOf(hash, record), keepUntil, limit, this.shiftMs);
      return (await this.timed(key, command, scripts.shelveResult)).left;
    };
    const left = await Promise.all([put(vm, MAX_ENDED_OF_VM), put(user, MAX_ENDED_OF_USER)]);
    return [...new Set(left.flat().flatMap((member) => asMember(member)?.hash ?? []))];
  }

  /**
   * Lets a token stay in its indexes less long; but longer than its record, for another host may prolong that at the
   * same time, and puts it right only when it renews its lease.
   */
  async leaveEarlier(hash: TokenHash, record: TokenRecord): Promise<void> {
    const until = record.keepUntil + INDEX_SLACK_MS;
    await this.inBoth(record, (key) => scripts.lowerCommand(key, memberOf(hash, record), until));
  }

  /** Takes a token out again. */
  async unindex(hash: TokenHash, record: TokenRecord): Promise<void> {
    await this.inBoth(record, (key) => ['ZREM', key, memberOf(hash, record)]);
  }

  /** Writes as `create` does, for a second, where nobody looks. @throws RedisRefusal, RedisUnreachable */
  async tryRights(hash: TokenHash): Promise<void> {
    const { calls, clock, keys } = this.parts;
    const until = clock.now() + 1000;
    for (const index of [keys.ofVm(NO_VM, 'live'), keys.ofOwner(NO_OWNER, 'live')]) {
      const command = scripts.indexCommand(index, hash, until, NO_LIMIT, clock.shiftMs);
      await this.timed(index, command, scripts.indexResult);
      await calls.toKey(index, ['ZREM', index, hash]);
    }
    await this.write(hash, '', 'trial', until);
    await this.write(hash, 'trial', '', 0);
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

  private indexesOf({ grant, ended }: TokenRecord): { readonly vm: string; readonly user: string } {
    const { keys } = this.parts;
    const kind = ended === undefined ? 'live' : 'ended';
    return { vm: keys.ofVm(vmNameOf(grant), kind), user: keys.ofOwner(ownerOf(grant), kind) };
  }

  private async inBoth(record: TokenRecord, command: (key: string) => readonly string[]): Promise<void> {
    const { vm, user } = this.indexesOf(record);
    await Promise.all([vm, user].map((key) => this.parts.calls.toKey(key, command(key))));
  }

  private get shiftMs(): number {
    return this.parts.clock.shiftMs;
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

function memberOf(hash: TokenHash, { grant }: TokenRecord): string {
  return memberText({ hash, owner: ownerOf(grant) });
}
