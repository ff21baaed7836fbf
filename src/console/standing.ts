// What a second look at a user means for a console that was granted to him: whether he may still log in, and still see
// the VM by its owner, its bits or a rule. Policy only; whoever calls does the I/O.
// What always holds: who he is, is an id; a reason to end a console is something that oned has said, and what oned would
// not or could not say throws, or leaves things as they were seen when the token was issued.
import { GatewayError } from '../errors.js';
import type { VmFacts } from '../oned/vm.js';
import { type Grant, UNKNOWN_UID } from '../tokens/grant.js';
import type { Account, Rules } from './accounts.js';
import { allowedByRule, type Right } from './acl.js';
import { limitedTo } from './identities.js';
import { type Member, mayUse } from './rights.js';

/** Each throws GatewayError where there is no answer now. */
export interface Questions {
  readonly account: (uid: number) => Promise<Account>;
  readonly rules: () => Promise<Rules>;
  /** oned's own zone; undefined: nobody knows. */
  readonly zone: () => Promise<number | undefined>;
}

/**
 * Why the console is no longer his; undefined: it is, as far as oned tells.
 * @param vm undefined: nobody knows; then only his account is looked at
 * @throws GatewayError where oned did not answer a question that counts
 */
export async function lossOfStanding(
  grant: Grant,
  vm: VmFacts | undefined,
  questions: Questions,
): Promise<string | undefined> {
  const { uid, egid, caller } = grant;
  const account = uid === UNKNOWN_UID ? 'not-told' : await questions.account(uid);
  if (account === 'gone') return 'the user is gone';
  if (account !== 'not-told') {
    if (account.uid !== uid) throw nonsense('oned tells of another user than the one who was asked for');
    if (account.enabled === undefined) throw nonsense('oned does not say whether the user is disabled');
    if (!account.enabled) return 'the user is disabled';
  }
  if (vm === undefined) return undefined;
  const gids = account === 'not-told' ? caller?.gids : limitedTo(egid, account.gids);
  if (gids === undefined) return undefined;
  return lossOfUse(grant, vm, { uid: caller?.uid ?? uid, gids }, questions);
}

async function lossOfUse(
  { caller }: Grant,
  vm: VmFacts,
  user: Member,
  questions: Questions,
): Promise<string | undefined> {
  if (mayUse(vm, user)) return undefined;
  const byRule = await mayByRule('use', user, vm, questions);
  if (byRule === true) return undefined;
  if (byRule === false) return 'owner, permissions and rules give no USE any more';
  // Where it was a rule that gave the VM to the user, the bits never did.
  return caller?.byPermission ? 'owner and permissions give no USE any more' : undefined;
}

/**
 * @returns whether a rule gives it; `not-told`: the service may not ask for rules
 * @throws GatewayError where oned did not answer
 */
export async function mayByRule(
  right: Right,
  user: Member,
  vm: VmFacts,
  { rules: ask, zone }: Pick<Questions, 'rules' | 'zone'>,
): Promise<boolean | 'not-told'> {
  const rules = await ask();
  if (rules === 'not-told') return rules;
  const allowed = allowedByRule(right, user, vm, rules, await zone());
  if (allowed === undefined)
    throw nonsense('a rule is for a zone, and oned does not say of which it is (zone_id)');
  return allowed;
}

function nonsense(detail: string): GatewayError {
  return new GatewayError('oned-nonsense', { detail });
}
