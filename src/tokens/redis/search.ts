// Many records at once: those of a VM by its index, and all of them for people who look.
// What always holds: no step takes long for the server, and what is found is bounded.

import type { Grant } from '../grant.js';
import type { StoredToken } from '../store.js';
import type { TokenHash } from '../token.js';
import { isListedIn, type OwnZone, vmNameOf } from '../zone.js';
import type { RedisCalls } from './calls.js';
import { asMember, type Member, NO_VM, type RedisKeys } from './keys.js';
import type { RedisRecords } from './records.js';
import { scanResult } from './scripts.js';
import type { RedisServer } from './url.js';

/** Elements that the server looks at in one step. */
const STEP = 500;
/** Of one look at all keys: ten million, for the database may be shared with others. */
const MAX_STEPS = 20_000;
/** Records among which those of a VM are looked for where its index is not known. */
const MAX_LISTED = 400_000;
/** Of one index: more there are not, unless somebody else writes to Redis. */
const MAX_MEMBERS = 200_000;
/** Records that are asked for at a time. */
const READ_AT_A_TIME = 100;

export interface RedisSearchParts {
  readonly calls: RedisCalls;
  readonly keys: RedisKeys;
  readonly records: RedisRecords;
}

export class RedisSearch {
  private readonly parts: RedisSearchParts;

  constructor(parts: RedisSearchParts) {
    this.parts = parts;
  }

  /** An entry of the index without a record is left there: it may be one that is just being created. */
  async ofVm(vmId: number, zone?: OwnZone): Promise<StoredToken[]> {
    const isMeant = ({ record: { grant } }: StoredToken) =>
      grant.vmId === vmId && isListedIn(grant.zone, zone);
    // By which id other hosts call our zone nobody knows: then all have to be looked at.
    if (zone !== undefined && zone.id === undefined) return (await this.list(MAX_LISTED)).filter(isMeant);
    const { keys } = this.parts;
    const zones = zone === undefined ? [undefined] : [{ ...zone, id: undefined }, zone];
    const names = zones.map((one) => vmNameOf({ zone: one, vmId }));
    const indexes = names.flatMap((name) => [keys.ofVm(name, 'live'), keys.ofVm(name, 'ended')]);
    const members = (await Promise.all(indexes.map((key) => this.inIndex(key)))).flat();
    return (await this.read([...new Set(members.map(({ hash }) => hash))])).filter(isMeant);
  }

  /** As the index of a VM has them: the live ones, some of them expired. */
  liveOfVm(vm: Pick<Grant, 'zone' | 'vmId'>): Promise<readonly Member[]> {
    return this.inIndex(this.parts.keys.ofVm(vmNameOf(vm), 'live'));
  }

  /** Living tokens first. */
  async list(limit: number): Promise<StoredToken[]> {
    const living = new Map<TokenHash, StoredToken>();
    const ended = new Map<TokenHash, StoredToken>();
    for (const server of await this.parts.calls.masters()) {
      for await (const hashes of this.onServer(server)) {
        for (const one of await this.read(hashes)) {
          const kind = one.record.ended === undefined ? living : ended;
          if (kind.size < limit) kind.set(one.hash, one);
        }
        if (living.size >= limit) return [...living.values()];
      }
    }
    return [...living.values(), ...ended.values()].slice(0, limit);
  }

  /** One step of each kind. @throws RedisRefusal, RedisUnreachable */
  async tryRights(): Promise<void> {
    const { calls, keys } = this.parts;
    for (const server of await calls.masters()) await calls.toServer(server, this.scan('0'));
    await this.inIndex(keys.ofVm(NO_VM, 'live'));
  }

  private scan(cursor: string): string[] {
    return ['SCAN', cursor, 'MATCH', this.parts.keys.records, 'COUNT', String(STEP)];
  }

  private async inIndex(key: string): Promise<readonly Member[]> {
    const members: Member[] = [];
    for (let cursor = '0'; members.length < MAX_MEMBERS; ) {
      const reply = await this.parts.calls.toKey(key, ['ZSCAN', key, cursor, 'COUNT', String(STEP)]);
      const { found, cursor: next } = scanResult(reply);
      // Member and score take turns.
      const there = found.filter((_, at) => at % 2 === 0);
      members.push(...there.flatMap((member) => asMember(member) ?? []));
      if (next === '0') break;
      cursor = next;
    }
    return members;
  }

  private async *onServer(server: RedisServer): AsyncGenerator<TokenHash[]> {
    const { calls, keys } = this.parts;
    for (let cursor = '0', i = 0; i < MAX_STEPS; i++) {
      const { found, cursor: next } = scanResult(await calls.toServer(server, this.scan(cursor)));
      yield found.flatMap((key) => keys.hashOf(key) ?? []);
      if (next === '0') return;
      cursor = next;
    }
  }

  /** Those that there are. @throws RedisRefusal, RedisUnreachable */
  async read(hashes: readonly TokenHash[]): Promise<StoredToken[]> {
    const stored: StoredToken[] = [];
    for (let i = 0; i < hashes.length; i += READ_AT_A_TIME) {
      const part = hashes.slice(i, i + READ_AT_A_TIME);
      const found = await Promise.all(part.map((hash) => this.parts.records.read(hash)));
      part.forEach((hash, at) => {
        const record = found[at]?.record;
        if (record !== undefined) stored.push({ hash, record });
      });
    }
    return stored;
  }
}
