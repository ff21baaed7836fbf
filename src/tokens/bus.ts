// Between the hosts that share a store: which sessions have to end, and whether one is still there.
// What always holds: messages hold no secret; a lost one is made up for when its session's lease is renewed.
import type { SessionId } from './record.js';
import type { Zone } from './zone.js';

/** Tokens, by what is known of them; undefined fits all. */
export interface Selection {
  /** Whose VMs and users are meant. */
  readonly zone?: Zone | undefined;
  readonly fingerprint?: string | undefined;
  readonly vmId?: number | undefined;
  readonly uid?: number | undefined;
  /** A name, or an id in digits, as people say it. */
  readonly user?: string | undefined;
}

export type BusMessage =
  | { readonly type: 'end'; readonly sessions: readonly SessionId[]; readonly why: EndingWord }
  /** For sessions whose token the store has forgotten, so that nobody else knows of them. */
  | {
      readonly type: 'revoke';
      readonly selection: Selection & { readonly zone: Zone };
      /** Those that have begun until then, milliseconds since 1970 of the store's clock. */
      readonly until: number;
    }
  | { readonly type: 'probe'; readonly session: SessionId; readonly question: string }
  | { readonly type: 'probed'; readonly question: string; readonly alive: boolean };

/** Why a session is ended from outside. */
export type EndingWord = 'taken-over' | 'revoked' | 'vm-gone';

export interface SessionBus {
  /** To all other hosts; what cannot be delivered is lost without an error. */
  publish(message: BusMessage): void;
  /** From all other hosts, once. */
  subscribe(listener: (message: BusMessage) => void): void;
}

/** One host alone. */
export const noBus: SessionBus = {
  publish: () => {},
  subscribe: () => {},
};
