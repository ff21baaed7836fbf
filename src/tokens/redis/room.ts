// A place for a new token in the indexes of its VM and its user, each of which has so many.
// What always holds: no limit is exceeded, whatever the hosts do at the same time; where a VM is full, a token that
// nobody is on makes room for a user who has fewer, and what an index says of a token counts only as its record does.
import { countByOwner, givingWay, leastMissed } from '../fair-share.js';
import type { Grant } from '../grant.js';
import { tooManyOfUser, tooManyOfVm } from '../limits.js';
import { ownerOf } from '../owner.js';
import type { TokenRecord } from '../record.js';
import { presentLeases } from '../rules.js';
import type { Change, CreateOptions, StoredToken } from '../store.js';
import type { TokenHash } from '../token.js';
import { vmNameOf } from '../zone.js';
import type { RedisRecords } from './records.js';
import type { RedisSearch } from './search.js';

/** Attempts to have somebody make room: other hosts may be quicker. */
const MAX_GIVEN_WAY = 3;
/** Tokens of one user that are looked at for it. */
const MAX_LOOKED_AT = 256;

export interface RedisRoomParts {
  readonly records: Pick<RedisRecords, 'index'>;
  readonly search: Pick<RedisSearch, 'liveOfVm' | 'read'>;
  readonly update: <R>(hash: TokenHash, change: Change<R>) => Promise<R>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class RedisRoom {
  private readonly parts: RedisRoomParts;

  constructor(parts: RedisRoomParts) {
    this.parts = parts;
  }

  /**
   * Puts a new token into the indexes; where it throws, it may be in one of them.
   * @throws GatewayError `too-many-tokens`; RedisRefusal, RedisUnreachable
   */
  async take(hash: TokenHash, record: TokenRecord, { maxOfVm, maxOfUser, onGivenWay }: CreateOptions) {
    for (let attempt = 1; ; attempt++) {
      const full = await this.parts.records.index(hash, record, { ofVm: maxOfVm, ofUser: maxOfUser });
      if (full === undefined) return;
      if (full === 'user') throw tooManyOfUser(maxOfUser ?? 0);
      const given = attempt > MAX_GIVEN_WAY ? undefined : await this.giveWay(record.grant);
      if (given === undefined) throw tooManyOfVm(maxOfVm);
      onGivenWay?.(given);
    }
  }

  /** Ends the token that has to make room. @returns undefined where there is none */
  private async giveWay(grant: Grant): Promise<StoredToken | undefined> {
    const { search, update, now } = this.parts;
    const members = await search.liveOfVm(grant);
    const counts = countByOwner(members.map(({ owner }) => owner));
    // Somebody else may have written the index, and who has most there may have nothing.
    for (const owner of givingWay(counts, ownerOf(grant)).slice(0, MAX_GIVEN_WAY)) {
      const his = members.filter((one) => one.owner === owner).slice(0, MAX_LOOKED_AT);
      const stored = (await search.read(his.map(({ hash }) => hash))).filter(
        ({ record }) =>
          record.ended === undefined &&
          vmNameOf(record.grant) === vmNameOf(grant) &&
          ownerOf(record.grant) === owner,
      );
      const one = leastMissed(stored, now());
      if (one !== undefined && (await update(one.hash, forgetIdle))) return one;
    }
    return undefined;
  }
}

/** @returns whether it was there, and nobody on it */
const forgetIdle: Change<boolean> = (record, now) => {
  const isIdle =
    record !== undefined && record.ended === undefined && presentLeases(record.use, now).length === 0;
  return { record: isIdle ? undefined : record, result: isIdle };
};
