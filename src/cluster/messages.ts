// What the control plane and its workers say to each other: small and typed. A token goes by its hash; only one that
// carries its grant in itself goes as it is, to be opened where the keys are. Both ends are ours; whatever else comes
// over the channel is ignored.
import type { AddressInfo } from 'node:net';
import type { Admitted, Knock, SessionEnd } from '../console/gate.js';
import type { DataPlaneSettings } from '../data-plane.js';
import type { ErrorCode } from '../errors.js';
import type { SessionId } from '../tokens/record.js';

/** An answer to a knock. */
export type OpenAnswer =
  | { readonly admitted: Admitted }
  | { readonly refused: ErrorCode; readonly detail: string };

export type ToWorker =
  /** Read what the settings name, and do not listen yet. */
  | {
      readonly type: 'start';
      readonly number: number;
      readonly settings: DataPlaneSettings;
      /** Of each address, which it need not borrow. */
      readonly ownPlaces: number;
    }
  | { readonly type: 'listen' }
  | { readonly type: 'lent'; readonly question: number; readonly network: string; readonly places: number }
  | { readonly type: 'opened'; readonly question: number; readonly answer: OpenAnswer }
  | {
      readonly type: 'end';
      readonly session: SessionId;
      readonly code: number;
      readonly reason: string;
    }
  | { readonly type: 'probe'; readonly question: number; readonly session: SessionId }
  | { readonly type: 'count'; readonly question: number }
  /** Listen no more, and end with the last console. */
  | { readonly type: 'retire' }
  | { readonly type: 'stop'; readonly deadlineMs: number }
  | { readonly type: 'reopen-log' };

/** They come in lists, of one mostly. */
export type ToPrimary =
  /** The worker listens to messages; what comes before that is lost. */
  | { readonly type: 'hello' }
  /** All is there to listen with. */
  | { readonly type: 'prepared' }
  | { readonly type: 'ready'; readonly addresses: AddressInfo[] }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'open'; readonly question: number; readonly knock: Knock }
  | { readonly type: 'closed'; readonly session: SessionId; readonly end: SessionEnd }
  /** For connections of an address that have not shown a token yet. */
  | { readonly type: 'borrow'; readonly question: number; readonly network: string; readonly places: number }
  | { readonly type: 'give-back'; readonly network: string; readonly places: number }
  | { readonly type: 'probed'; readonly question: number; readonly alive: boolean }
  | {
      readonly type: 'counted';
      readonly question: number;
      readonly traffic: readonly (readonly [SessionId, number])[];
    };
