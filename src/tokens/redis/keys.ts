// The names of everything that is kept in Redis. What always holds: all begin with the prefix, so that a user of Redis
// can be confined to it; the prefix has no characters that a pattern or a cluster takes for its own.
import type { TokenHash } from '../token.js';

const HASH = /^[0-9a-f]{64}$/;

/** Whose index is tried at the start. */
export const NO_VM = '-1';

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
   * The hashes of a VM's tokens, by the time until when each is kept; ended ones apart, for they do not count.
   * @param vm by its name
   */
  index(vm: string, kind: 'live' | 'ended'): string {
    return `${this.prefix}${kind === 'live' ? 'vm' : 'ended'}:${vm}`;
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
