// What a store keeps of a token: its grant, and how it has been used so far.
// What always holds: a record is never changed in place, so that a store can tell whether a rule changed anything.
import type { Grant } from './grant.js';

export interface TokenRecord {
  readonly grant: Grant;
  /** Undefined: never used. */
  readonly use?: Use | undefined;
  /** The token is dead, and why; kept so long that every host hears of it. */
  readonly ended?: Ending | undefined;
  /** Milliseconds since 1970; from then on the record means nothing and may be forgotten. */
  readonly keepUntil: number;
}

export interface Use {
  /** Milliseconds since 1970. */
  readonly firstAt: number;
  /** The address that used it first; of an IPv6 address its /64. */
  readonly network: string;
  /** Who is on the console. One whose time has passed is nobody. */
  readonly leases: readonly Lease[];
  /** Until when the token opens its console with nobody on it, milliseconds since 1970. */
  readonly openUntil: number;
  /** When a session left last, milliseconds since 1970: `openUntil` counts from then. */
  readonly leftAt?: number | undefined;
  /** When somebody took the console over from somebody else, milliseconds since 1970. */
  readonly takenOverAt?: number | undefined;
}

/** One session on a token, for as long as its host says so. */
export interface Lease {
  readonly session: SessionId;
  readonly client: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Milliseconds since 1970. */
  readonly until: number;
  /** Both ways, as of the last renewal. */
  readonly bytes: number;
}

export type Ending = 'revoked' | 'vm-gone';

/** Names a session on every host. No secret. */
export type SessionId = string & { readonly brand: 'SessionId' };
