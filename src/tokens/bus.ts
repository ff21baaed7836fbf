// Between the hosts that share a store: which sessions have to end, and whether one is still there.
// What always holds: messages hold no secret; a lost one is made up for when its session's lease is renewed.
import type { SessionId } from './record.js';

export type BusMessage =
  | { readonly type: 'end'; readonly sessions: readonly SessionId[]; readonly why: EndingWord }
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
