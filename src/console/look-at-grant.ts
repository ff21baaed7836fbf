// A second look at what one grant stands for, at connect: the VM, its user, and what he may. Somebody waits.
// What always holds: `lost` is what oned has said; what oned could not be asked is told as such, and is no reason for it.
import { type GatewayError, toGatewayError } from '../errors.js';
import { type Grant, UNKNOWN_UID } from '../tokens/grant.js';
import { findVm, makeSureGone } from './gone-vms.js';
import type { ConsolePorts } from './policy.js';
import { type Looker, type LookParts, questionsOf } from './questions.js';
import { lossOfStanding, type Questions } from './standing.js';
import type { Finding } from './survey.js';
import { presentOf } from './verdict.js';

export type Seen =
  | { readonly lost: string }
  /** As it is now. `unsure`: what could not be asked, so that it may be somebody else's by now. */
  | { readonly grant: Grant; readonly unsure: GatewayError | undefined };

/** Throws nothing. */
export async function lookAtGrant(
  grant: Grant,
  consolePorts: ConsolePorts,
  looker: Looker,
  parts: LookParts,
): Promise<Seen> {
  const questions = questionsOf(looker, parts);
  // Both at once: where one has no answer, the other may have one that counts.
  if (grant.uid !== UNKNOWN_UID) void questions.account(grant.uid).catch(() => {});
  const { finding, unsure, isDoubtful } = await vmOf(grant, looker, parts, questions);
  // Then it is not to be believed about users either.
  if (isDoubtful) return { grant, unsure };
  const present = finding === undefined ? { grant } : presentOf(finding, grant, consolePorts);
  if ('lost' in present) return present;
  try {
    const lost = await lossOfStanding(grant, finding === 'gone' ? undefined : finding, questions);
    return lost === undefined ? { ...present, unsure } : { lost };
  } catch (error) {
    return { ...present, unsure: unsure ?? toGatewayError(error) };
  }
}

async function vmOf(
  grant: Grant,
  looker: Looker,
  parts: LookParts,
  questions: Questions,
): Promise<{ finding?: Finding; unsure?: GatewayError; isDoubtful?: boolean }> {
  const { vmId } = grant;
  let finding: Finding | undefined;
  try {
    finding = await findVm(vmId, looker, parts);
    if (finding === 'gone') await makeSureGone(new Set([vmId]), [grant], looker, parts, questions);
    else parts.knownVms.see(vmId);
    return { finding };
  } catch (error) {
    return { unsure: toGatewayError(error), isDoubtful: finding === 'gone' };
  }
}
