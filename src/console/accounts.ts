// What oned tells the service, as itself, about those who hold tokens: their accounts, and the rules of the ACL.
// What always holds: "no such user" and "may not be asked" are answers, and are told apart from no answer at all, which
// throws; nothing is remembered, so that an answer is never older than the question.
import { GatewayError } from '../errors.js';
import type { AclRule } from '../oned/acl.js';
import type { OnedClient } from '../oned/client.js';
import type { SessionString } from '../oned/session-string.js';
import type { Priority } from '../oned/turnstile.js';
import type { UserFacts } from '../oned/user.js';
import { SharedCall } from '../shared-call.js';
import { untilAborted } from '../until-aborted.js';
import { isGone, isNotAllowed } from './survey.js';

/** oneadmin: oned does not let him be deleted. */
const FIRST_USER = 0;

export type Account = UserFacts | 'gone' | 'not-told';
export type Rules = readonly AclRule[] | 'not-told';

export interface AccountsParts {
  readonly oned: Pick<OnedClient, 'userInfoOf' | 'aclInfo'>;
  /** What the operator has to be told, a line each. */
  readonly tell: (line: string) => void;
}

/** What the operator has to give the service's user, and what is not looked at without it. */
const MISSING = {
  users:
    'service_auth: its user may not ask for other users, so those who are disabled or deleted keep their consoles; ' +
    'it needs the rule "USER/* USE *"',
  rules:
    'service_auth: its user may not ask for rules, so what a rule of the ACL gave is not looked at again; ' +
    'it needs the rule "ACL/* MANAGE #ZONE"',
};

export class Accounts {
  private readonly parts: AccountsParts;
  private readonly asking = new SharedCall<readonly AclRule[]>();
  private readonly told = new Set<keyof typeof MISSING>();

  constructor(parts: AccountsParts) {
    this.parts = parts;
  }

  /** @throws GatewayError as OnedClient.userInfoOf where there is no answer, or one that says not enough */
  async user(session: SessionString, uid: number, signal: AbortSignal, priority: Priority): Promise<Account> {
    const { oned } = this.parts;
    const account = await this.answerOf('users', () => oned.userInfoOf(session, uid, signal, priority));
    if (account !== 'gone') return account;
    // An oned that does not know its first user either is the wrong one, or not yet itself.
    const first = await this.answerOf('users', () => oned.userInfoOf(session, FIRST_USER, signal, priority));
    if (first !== 'gone') return 'gone';
    throw new GatewayError('oned-nonsense', { detail: 'oned knows no users, not even its first one' });
  }

  /** @throws GatewayError as OnedClient.aclInfo where there is no answer, or the signal's reason */
  async rules(session: SessionString, signal: AbortSignal): Promise<Rules> {
    const rules = await this.answerOf('rules', () => this.sharedRules(session, signal));
    // There is nothing that could be gone.
    return rules === 'gone' ? 'not-told' : rules;
  }

  private async sharedRules(session: SessionString, signal: AbortSignal): Promise<readonly AclRule[]> {
    const call = () => this.parts.oned.aclInfo(session, signal);
    for (;;) {
      try {
        return await untilAborted(this.asking.ask(call), signal);
      } catch (error) {
        // Whoever it was asked for waits no more; somebody else still does.
        const isOver = signal.aborted || !(error instanceof GatewayError) || error.code !== 'caller-gone';
        if (isOver) throw error;
      }
    }
  }

  private async answerOf<T>(what: keyof typeof MISSING, ask: () => Promise<T>) {
    try {
      const answer = await ask();
      this.told.delete(what);
      return answer;
    } catch (error) {
      if (isGone(error)) return 'gone' as const;
      if (!isNotAllowed(error)) throw error;
      if (!this.told.has(what)) this.parts.tell(MISSING[what]);
      this.told.add(what);
      return 'not-told' as const;
    }
  }
}
