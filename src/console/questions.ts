// What a second look has to ask oned, as the service: the parts that it takes, and questions that are asked once a look.
// What always holds: an answer that there was not is none for whoever else needs it in the same look.
import type { OnedClient } from '../oned/client.js';
import type { SessionString } from '../oned/session-string.js';
import type { Priority } from '../oned/turnstile.js';
import type { Account, Accounts } from './accounts.js';
import type { KnownVms } from './known-vms.js';
import type { Questions } from './standing.js';

export interface LookParts {
  readonly oned: Pick<OnedClient, 'vmInfo' | 'vmPoolInfo' | 'userInfo'>;
  readonly accounts: Pick<Accounts, 'user' | 'rules'>;
  readonly knownVms: KnownVms;
  /** oned's own zone; undefined: nobody knows. */
  readonly zone: (session: SessionString, signal: AbortSignal) => Promise<number | undefined>;
}

/** Whoever looks: as whom, until when, and whose turn it is. */
export interface Looker {
  readonly session: SessionString;
  readonly signal: AbortSignal;
  readonly priority: Priority;
}

export function questionsOf(
  { session, signal, priority }: Looker,
  { accounts, zone: askZone }: Pick<LookParts, 'accounts' | 'zone'>,
): Questions {
  const asked = new Map<number, Promise<Account>>();
  let rules: ReturnType<Questions['rules']> | undefined;
  let zone: ReturnType<Questions['zone']> | undefined;
  return {
    account: (uid) => {
      const account = asked.get(uid) ?? accounts.user(session, uid, signal, priority);
      asked.set(uid, account);
      return account;
    },
    rules: () => {
      rules ??= accounts.rules(session, signal);
      return rules;
    },
    zone: () => {
      zone ??= askZone(session, signal);
      return zone;
    },
  };
}
