// What the control plane and its workers say to each other: small, typed, and without a secret (a token goes by its
// hash). Both ends are ours; whatever else comes over the channel is ignored.
import type { AddressInfo } from 'node:net';
import type { Settings } from '../config/options.js';
import type { Grant } from '../tokens/grant.js';
import type { TokenHash } from '../tokens/token.js';

/** An answer about a token: its grant, or which refusal. */
export type RedeemAnswer =
  | { readonly grant: Grant }
  | { readonly refused: 'token-not-valid' | 'store-unavailable'; readonly detail: string };

export type ToWorker =
  | { readonly type: 'start'; readonly number: number; readonly settings: Settings }
  | { readonly type: 'redeemed'; readonly question: number; readonly answer: RedeemAnswer }
  /** Listen no more, and end with the last console. */
  | { readonly type: 'retire' }
  | { readonly type: 'stop'; readonly deadlineMs: number }
  | { readonly type: 'reopen-log' };

export type ToPrimary =
  /** The worker listens to messages; what comes before that is lost. */
  | { readonly type: 'hello' }
  | { readonly type: 'ready'; readonly addresses: AddressInfo[] }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'redeem'; readonly question: number; readonly hash: TokenHash };
