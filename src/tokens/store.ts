// The interface of everything that keeps records by token. A store knows no rules; it applies them, atomically.
// What always holds: a miss is undefined, a store that cannot answer throws; the first is a refusal, the second is
// "unavailable". There is no default target. An update is one step for all hosts that share the store.
import type { SessionBus } from './bus.js';
import type { TokenRecord } from './record.js';
import type { Changed } from './rules.js';
import type { Token, TokenHash } from './token.js';
import type { OwnZone } from './zone.js';

/** What a browser presented. */
export interface TokenKey {
  readonly hash: TokenHash;
  /** The token itself where it carries its grant, for a store that reads it. A secret. */
  readonly sealed?: Token | undefined;
}

export interface StoredToken {
  readonly hash: TokenHash;
  readonly record: TokenRecord;
}

/** Makes a new record of an old one; must have no effect of its own, for it may be called more than once. */
export type Change<R> = (record: TokenRecord | undefined, now: number) => Changed<R>;

export interface CreateOptions {
  /**
   * Live tokens of the VM. Where there are so many, one of whoever has most gives way to one of a user who has fewer
   * (`fair-share`).
   */
  readonly maxOfVm: number;
  /** Live tokens of the user; undefined: no such limit. */
  readonly maxOfUser?: number | undefined;
  /** Is told of a token that had to give way. */
  readonly onGivenWay?: ((one: StoredToken) => void) | undefined;
  /** Whether websockify may serve the token as well. */
  readonly forWebsockify: boolean;
}

export interface TokenStore {
  /** To the other hosts that share this store. */
  readonly bus: SessionBus;
  /** Makes the store ready, with what it already holds. @throws StartError naming the setting */
  open(): Promise<void>;
  /** The store's clock, milliseconds since 1970: the one that `update` tells. */
  now(): number;
  /**
   * Keeps a record under a new token.
   * @throws GatewayError `store-failed` when it cannot be kept, and then nothing of it is left; `too-many-tokens`;
   * `over-limit`; `store-unavailable`
   */
  create(record: TokenRecord, options: CreateOptions): Promise<Token>;
  /**
   * Changes the record of a token; the same record as result of `change` leaves all as it is.
   * @throws GatewayError `store-unavailable`, and then nobody knows whether it was changed
   */
  update<R>(key: TokenKey, change: Change<R>): Promise<R>;
  /**
   * All records of a VM.
   * @param zone whose VM it is; undefined: of grants without a zone
   * @throws GatewayError `store-unavailable`
   */
  ofVm(vmId: number, zone?: OwnZone): Promise<readonly StoredToken[]>;
  /** So many records at most, of all VMs; ended ones last, if at all. @throws GatewayError `store-unavailable` */
  list(limit: number): Promise<readonly StoredToken[]>;
  /** Ends background work and waits for what is being written. What is stored stays. */
  close(): Promise<void>;
}
