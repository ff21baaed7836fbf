// The names of everything that is kept in Redis. What always holds: all begin with the prefix, so that a user of Redis
// can be confined to it; the prefix has no characters that a pattern or a cluster takes for its own.
import { asOwner, type Owner } from '../owner.js';
import type { TokenHash } from '../token.js';

const HASH = /^[0-9a-f]{64}$/;
const HASH_LENGTH = 64;

export type IndexKind = 'live' | 'ended';

/** A token in an index, and whose it is, so that they can be counted without a look at each. */
export interface Member {
  readonly hash: TokenHash;
  readonly owner: Owner;
}

/** Whose index is tried at the start. */
export const NO_VM = '-1';
export const NO_OWNER = 'u-1' as Owner;

export class RedisKeys {
  /** The channel. */
  readonly bus: string;
  /** All records, as a pattern. */
  readonly records: string;
  private readonly prefix: string;

  constructor(prefix: string) {
    this.prefix = prefix;
    this.bus = `${prefix}bus`;
    this.records = `${prefix}token:*`;
  }

  record(hash: TokenHash): string {
    return `${this.prefix}token:${hash}`;
  }

  /**
   * A VM's tokens, by the time until when each is kept; ended ones apart, for they do not count.
   * @param vm by its name
   */
  ofVm(vm: string, kind: IndexKind): string {
    return `${this.prefix}${kind === 'live' ? 'vm' : 'ended'}:${vm}`;
  }

  /** The same of a user. */
  ofOwner(owner: Owner, kind: IndexKind): string {
    return `${this.prefix}${kind === 'live' ? 'user' : 'ended-of'}:${owner}`;
  }

  /** @returns undefined where it is no record's key */
  hashOf(recordKey: string): TokenHash | undefined {
    return asHash(recordKey.slice(this.prefix.length + 'token:'.length));
  }
}

/** @returns undefined where it is none */
export function asHash(text: string): TokenHash | undefined {
  return HASH.test(text) ? (text as TokenHash) : undefined;
}

export function memberText({ hash, owner }: Member): string {
  return `${hash}:${owner}`;
}

/** @returns undefined where it is none */
export function asMember(text: string): Member | undefined {
  const hash = asHash(text.slice(0, HASH_LENGTH));
  const owner = text[HASH_LENGTH] === ':' ? asOwner(text.slice(HASH_LENGTH + 1)) : undefined;
  return hash === undefined || owner === undefined ? undefined : { hash, owner };
}
