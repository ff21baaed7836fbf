// A second look at everything that is in use: VMs, their users, and what those may, in the background.
// What always holds: what oned could not be asked is told, and loses nobody anything; where oned cannot be reached it is
// not asked on.
import { GatewayError, toGatewayError } from '../errors.js';
import { inParallel } from '../parallel.js';
import { type Grant, UNKNOWN_UID } from '../tokens/grant.js';
import { makeSureGone } from './gone-vms.js';
import { type Looker, type LookParts, questionsOf } from './questions.js';
import { lossOfStanding, type Questions } from './standing.js';
import { type Finding, survey } from './survey.js';
import { lossOf } from './verdict.js';

/** Users that are asked for at a time. */
const USERS_AT_A_TIME = 4;
/** Grants that are judged at a time: what there is to wait for is the same for all. */
const JUDGED_AT_A_TIME = 32;

export interface BackgroundLooker extends Looker {
  /** 0 to 1. */
  readonly random: () => number;
  /** Is told of whatever could not be asked. */
  readonly failed: (error: GatewayError) => void;
}

/** What is in use. */
interface InUse {
  readonly grant: Grant;
}

export interface Loss<T> {
  readonly of: T;
  readonly why: string;
}

/** Throws nothing. */
export async function lookAtAll<T extends InUse>(
  inUse: readonly T[],
  looker: BackgroundLooker,
  parts: LookParts,
): Promise<readonly Loss<T>[]> {
  const { failed } = looker;
  const questions = questionsOf(looker, parts);
  const ids = new Set(inUse.map(({ grant }) => grant.vmId));
  const findings = await survey(ids, { oned: parts.oned, ...looker });
  try {
    await believe(findings, inUse, looker, parts, questions);
  } catch (error) {
    failed(toGatewayError(error));
    return [];
  }
  const account = await askForUsers(inUse, questions, failed);
  const losses: Loss<T>[] = [];
  await inParallel(inUse, JUDGED_AT_A_TIME, async (one) => {
    const why = await whyLost(one.grant, findings.get(one.grant.vmId), { ...questions, account }, failed);
    if (why !== undefined) losses.push({ of: one, why });
  });
  return losses;
}

async function whyLost(
  grant: Grant,
  finding: Finding | undefined,
  questions: Questions,
  failed: BackgroundLooker['failed'],
): Promise<string | undefined> {
  const lost = finding === undefined ? undefined : lossOf(finding);
  if (lost !== undefined || finding === 'gone') return lost;
  try {
    return await lossOfStanding(grant, finding, questions);
  } catch (error) {
    failed(toGatewayError(error));
    return undefined;
  }
}

/** @throws GatewayError where oned says of all VMs that they are gone, and is not to be believed */
async function believe(
  findings: ReadonlyMap<number, Finding>,
  inUse: readonly InUse[],
  looker: Looker,
  parts: LookParts,
  questions: Questions,
): Promise<void> {
  const gone = new Set([...findings].flatMap(([vmId, finding]) => (finding === 'gone' ? [vmId] : [])));
  for (const vmId of findings.keys()) if (!gone.has(vmId)) parts.knownVms.see(vmId);
  if (gone.size === 0) return;
  if (gone.size < findings.size) return parts.knownVms.forget(gone);
  const grants = inUse.map(({ grant }) => grant).filter(({ vmId }) => gone.has(vmId));
  await makeSureGone(gone, grants, looker, parts, questions);
}

/** @returns the answers; who could not be asked for has none, and is asked for by nobody else in this look */
async function askForUsers(
  inUse: readonly InUse[],
  { account }: Questions,
  failed: BackgroundLooker['failed'],
): Promise<Questions['account']> {
  const asked = new Set<number>();
  let isOver = false;
  const uids = new Set(inUse.map(({ grant }) => grant.uid).filter((uid) => uid !== UNKNOWN_UID));
  await inParallel([...uids], USERS_AT_A_TIME, async (uid) => {
    if (isOver) return;
    asked.add(uid);
    try {
      await account(uid);
    } catch (error) {
      const problem = toGatewayError(error);
      isOver ||= problem.code !== 'oned-refused' && problem.code !== 'oned-nonsense';
      failed(problem);
    }
  });
  const notAsked = () => Promise.reject(new GatewayError('caller-gone'));
  return (uid) => (asked.has(uid) ? account(uid) : notAsked());
}
