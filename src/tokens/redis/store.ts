// The store of many hosts: a key in Redis for each token, changed by compare-and-set, so that the rules stay in here
// and are one step all the same. A second key for each VM knows its tokens.
// What always holds: unknown, expired, used and ended tokens cost one operation; time is the server's; a token is in
// its VM's index for as long as its record lives, so that it can be revoked.
import { type KeyObject, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { causeOf, GatewayError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { SessionBus } from '../bus.js';
import type { TokenRecord } from '../record.js';
import type { Change, CreateOptions, StoredToken, TokenKey, TokenStore } from '../store.js';
import { hashToken, newToken, type Token, type TokenHash } from '../token.js';
import type { OwnZone } from '../zone.js';
import { accessTo, topologyOf } from './access.js';
import { RedisBus } from './bus.js';
import { notKept, RedisCalls, takesNothingNew, unavailable } from './calls.js';
import { RedisClock } from './clock.js';
import { RedisUnreachable } from './connection.js';
import { Distrust } from './distrust.js';
import { RedisHeartbeat } from './heartbeat.js';
import { RedisKeys } from './keys.js';
import { RedisMac } from './mac.js';
import { MAX_NEW_RECORD_BYTES } from './record.js';
import { INDEX_SLACK_MS, RedisRecords } from './records.js';
import { RedisRoom } from './room.js';
import { RedisSearch } from './search.js';
import type { RedisTopology } from './topology.js';
import type { RedisAddress } from './url.js';

/** Against other hosts that change the same token; each time, one of them succeeds. */
const MAX_ATTEMPTS = 100;
const UPDATE_TIMEOUT_MS = 5000;
/** The longest pause between two attempts. */
const MAX_JITTER_MS = 50;

export interface RedisTokenStoreOptions {
  readonly address: RedisAddress;
  /** In front of every key and channel. */
  readonly prefix: string;
  /** What all hosts have in common, to tell each other's records by; undefined: the password in the address, if any. */
  readonly secret?: KeyObject | undefined;
  readonly logger: Logger;
  /** How far time is ahead of the server's, for tests that do not wait. */
  readonly timeShiftMs?: (() => number) | undefined;
}

export class RedisTokenStore implements TokenStore {
  readonly bus: SessionBus;
  private readonly address: RedisAddress;
  private readonly logger: Logger;
  private readonly clock: RedisClock;
  private readonly topology: RedisTopology;
  private readonly calls: RedisCalls;
  private readonly records: RedisRecords;
  private readonly search: RedisSearch;
  private readonly room: RedisRoom;
  private readonly subscriber: RedisBus;
  private readonly heartbeat: RedisHeartbeat;
  /** The last change of a token that this host has begun, or that waits for its turn. */
  private readonly lines = new Map<TokenHash, Promise<RedisUnreachable | undefined>>();
  /** For close(). */
  private readonly underWay = new Set<Promise<void>>();

  /** @throws StartError naming `redis_url`, where a file of it cannot be read */
  constructor({ address, prefix, secret, logger, timeShiftMs }: RedisTokenStoreOptions) {
    const access = accessTo(address);
    const keys = new RedisKeys(prefix);
    const mac = new RedisMac(secret ?? address.login?.password ?? '');
    const distrust = new Distrust(logger);
    this.address = address;
    this.logger = logger;
    this.clock = new RedisClock(timeShiftMs);
    this.topology = topologyOf(address, access);
    this.calls = new RedisCalls(this.topology, logger);
    this.records = new RedisRecords({ calls: this.calls, keys, clock: this.clock, mac, distrust });
    this.search = new RedisSearch({ calls: this.calls, keys, records: this.records });
    this.room = new RedisRoom({
      records: this.records,
      search: this.search,
      update: (hash, change) => this.update({ hash }, change),
      now: () => this.now(),
    });
    this.subscriber = new RedisBus({
      topology: this.topology,
      calls: this.calls,
      access,
      channel: keys.bus,
      ...{ mac, distrust, logger },
    });
    this.bus = this.subscriber;
    this.heartbeat = new RedisHeartbeat(this.topology, () => this.subscriber.connections);
  }

  /** Commands sent so far, not counting those that look after connections. */
  get operations(): number {
    return this.calls.operations;
  }

  async open(): Promise<void> {
    try {
      await this.calls.atStart(this.address, async () => {
        await this.tryRights();
        await this.subscriber.open();
      });
    } catch (error) {
      await this.close();
      throw error;
    }
    this.heartbeat.start();
  }

  now(): number {
    return this.clock.now();
  }

  create(record: TokenRecord, options: CreateOptions): Promise<Token> {
    return this.track(this.keepNew(record, options));
  }

  update<R>({ hash }: TokenKey, change: Change<R>): Promise<R> {
    return this.track(this.inLine(hash, (end) => this.compareAndSet(hash, change, end)));
  }

  ofVm(vmId: number, zone?: OwnZone): Promise<readonly StoredToken[]> {
    return this.track(this.search.ofVm(vmId, zone));
  }

  list(limit: number): Promise<readonly StoredToken[]> {
    return this.track(this.search.list(limit));
  }

  async close(): Promise<void> {
    await Promise.all(this.underWay);
    this.subscriber.close();
    this.topology.close();
    await this.heartbeat.stop();
  }

  /**
   * Changes of one token follow each other, so that only other hosts can come in between; where Redis cannot be reached,
   * that goes for all who wait.
   * @param work has a deadline
   */
  private inLine<T>(hash: TokenHash, work: (end: number) => Promise<T>): Promise<T> {
    const end = performance.now() + UPDATE_TIMEOUT_MS;
    const before = this.lines.get(hash);
    const next = (unreachable: RedisUnreachable | undefined) => {
      if (unreachable !== undefined) throw unreachable;
      return work(end);
    };
    const turn = before === undefined ? work(end) : before.then(next);
    const settled = turn.then(
      () => undefined,
      (error: unknown) => (error instanceof RedisUnreachable ? error : undefined),
    );
    this.lines.set(hash, settled);
    void settled.then(() => {
      if (this.lines.get(hash) === settled) this.lines.delete(hash);
    });
    return turn;
  }

  /** Errors of Redis become ours. */
  private async track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      () => {},
      () => {},
    );
    this.underWay.add(settled);
    void settled.then(() => this.underWay.delete(settled));
    return work.catch((error: unknown) => {
      throw unavailable(error);
    });
  }

  private async keepNew(record: TokenRecord, options: CreateOptions): Promise<Token> {
    const token = newToken();
    const hash = hashToken(token);
    const text = this.records.textOf(hash, record);
    if (Buffer.byteLength(text) > MAX_NEW_RECORD_BYTES) {
      throw new GatewayError('store-failed', {
        detail: `the record has more than ${MAX_NEW_RECORD_BYTES} bytes`,
      });
    }
    try {
      // First the indexes: a token that is not in them could not be revoked.
      await this.room.take(hash, record, options);
      await this.records.write(hash, '', text, record.keepUntil);
      return token;
    } catch (error) {
      // Not awaited: where there was no answer, there would be none again. The token was told to nobody.
      void this.forget(hash, record);
      void this.records.write(hash, text, '', 0).catch(() => {});
      throw notKept(error);
    }
  }

  private async compareAndSet<R>(hash: TokenHash, change: Change<R>, end: number): Promise<R> {
    if (performance.now() >= end) throw notInTime('the changes before it took too long');
    let present = await this.records.read(hash);
    for (let attempt = 1; ; attempt++) {
      const { record: before, now } = present;
      const { record: after, result } = change(before, now);
      // Only `create` makes records.
      if (before === undefined || after === before) return result;
      const changed = await this.replace(hash, before, present.text, after);
      if (changed === undefined) return result;
      present = changed;
      if (attempt >= MAX_ATTEMPTS || performance.now() >= end) {
        throw notInTime('it is changed all the time');
      }
      await pause(Math.random() * Math.min(MAX_JITTER_MS, attempt));
      present = { ...present, now: this.now() };
    }
  }

  /** @returns undefined when it was replaced, else what stands there instead */
  private async replace(hash: TokenHash, before: TokenRecord, text: string, after: TokenRecord | undefined) {
    if (after === undefined) {
      const changed = await this.records.write(hash, text, '', 0);
      if (changed === undefined) await this.forget(hash, before);
      return changed;
    }
    const ends = before.ended === undefined && after.ended !== undefined;
    // Before the record itself: one that outlived its place in the indexes could not be revoked.
    const left = ends ? await this.records.shelve(hash, after) : [];
    if (!ends && after.keepUntil > before.keepUntil) await this.records.index(hash, after);
    const changed = await this.records.write(hash, text, this.records.textOf(hash, after), after.keepUntil);
    await this.forgetEnded(left);
    if (changed !== undefined) return changed;
    if (ends) await this.forget(hash, before);
    else if (after.keepUntil + INDEX_SLACK_MS < before.keepUntil) {
      await this.records.leaveEarlier(hash, after).catch(() => {});
    }
    return undefined;
  }

  /** Of ended tokens so many are remembered; each of these would go by itself some day. */
  private async forgetEnded(hashes: readonly TokenHash[]): Promise<void> {
    const end = performance.now() + UPDATE_TIMEOUT_MS;
    const work = hashes.map((hash) => this.compareAndSet(hash, forgetIfEnded, end));
    await Promise.allSettled(work);
  }

  /** A place that is left behind does no harm until it expires. */
  private async forget(hash: TokenHash, before: TokenRecord): Promise<void> {
    await this.records.unindex(hash, before).catch(() => {});
  }

  /** Does once what will be done later, so that missing rights are told at the start. */
  private async tryRights(): Promise<void> {
    const hash = hashToken(randomBytes(16).toString('hex') as Token);
    await this.records.read(hash);
    await this.search.tryRights();
    try {
      await this.records.tryRights(hash);
    } catch (error) {
      if (!takesNothingNew(error)) throw error;
      this.logger.warn({ cause: causeOf(error) }, 'Redis takes no new tokens now');
    }
  }
}

const forgetIfEnded: Change<void> = (record) => ({
  record: record?.ended === undefined ? record : undefined,
  result: undefined,
});

function notInTime(why: string): GatewayError {
  return new GatewayError('store-unavailable', { detail: `the token cannot be changed: ${why}` });
}
