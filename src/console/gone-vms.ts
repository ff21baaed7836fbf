// Whether oned is to be believed when it says that there is no such VM. It keeps VMs that are over, and answers 0x0400
// only for what was purged from its database; so does one that is the wrong one, or starts from an old database.
// What always holds: an oned that knows none of the VMs that it showed lately is not believed.
import { GatewayError } from '../errors.js';
import { type Grant, UNKNOWN_UID } from '../tokens/grant.js';
import type { Looker, LookParts } from './questions.js';
import type { Questions } from './standing.js';
import { type Finding, isGone } from './survey.js';

/** A VM, or that oned says it has none of that id. @throws GatewayError where there is no answer */
export async function findVm(
  vmId: number,
  { session, signal, priority }: Looker,
  { oned }: Pick<LookParts, 'oned'>,
): Promise<Finding> {
  try {
    return await oned.vmInfo(session, vmId, signal, priority);
  } catch (error) {
    if (isGone(error)) return 'gone';
    throw error;
  }
}

/**
 * Makes sure that VMs are gone, of which oned says so and that are all that were asked for. Another VM that it showed
 * lately has to be there; where there was no other, it has to know the service's user and the VM's.
 * @param grants those of the VMs
 * @throws GatewayError `oned-nonsense` where it is not to be believed; others where it gives no answer
 */
export async function makeSureGone(
  gone: ReadonlySet<number>,
  grants: readonly Grant[],
  looker: Looker,
  parts: LookParts,
  questions: Pick<Questions, 'account'>,
): Promise<void> {
  const witnesses = parts.knownVms.witnesses(gone);
  const isRight = witnesses.length > 0 ? hasOne(witnesses, looker, parts) : hasUsers(gone, grants, questions);
  if (!(await isRight)) {
    const many = gone.size === 1 ? `VM ${[...gone]}` : `${gone.size} VMs`;
    const detail = `oned knows neither ${many} nor any other that is or was in use (0x0400): a wrong or an old one?`;
    throw new GatewayError('oned-nonsense', { detail });
  }
  // Of a wrong one the service's user would hardly be.
  if (witnesses.length === 0) await parts.oned.userInfo(looker.session, looker.signal, looker.priority);
  parts.knownVms.forget(gone);
}

async function hasOne(vmIds: readonly number[], looker: Looker, parts: LookParts): Promise<boolean> {
  for (const vmId of vmIds) if ((await findVm(vmId, looker, parts)) !== 'gone') return true;
  return false;
}

async function hasUsers(
  gone: ReadonlySet<number>,
  grants: readonly Grant[],
  { account }: Pick<Questions, 'account'>,
): Promise<boolean> {
  if (gone.size > 1) return false;
  for (const { uid } of grants) if (uid !== UNKNOWN_UID && (await account(uid)) === 'gone') return false;
  return true;
}
