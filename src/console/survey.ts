// Looks at many VMs as the service's own user: in groups, in the background, and one VM's oddities spoil no other's look.
// What always holds: a VM counts as gone only where oned says so of that VM alone; what nobody knows is not among the
// findings.
import { GatewayError, OneCode, toGatewayError } from '../errors.js';
import type { OnedClient } from '../oned/client.js';
import type { SessionString } from '../oned/session-string.js';
import type { VmFacts } from '../oned/vm.js';
import { MAX_POOL_IDS } from '../oned/vm-pool.js';

/** Questions on top for a group that makes no sense as a whole; a single odd VM in it costs sixteen. */
const MAX_SPLITS = 64;

export type Finding = VmFacts | 'gone';

export interface SurveyParts {
  readonly oned: Pick<OnedClient, 'vmInfo' | 'vmPoolInfo'>;
  readonly session: SessionString;
  readonly signal: AbortSignal;
  /** 0 to 1: groups are not the same every time, so that one VM does not hide another for ever. */
  readonly random: () => number;
  /** Is told of whatever could not be asked. */
  readonly failed: (error: GatewayError) => void;
}

/** @returns what is known now, by VM id */
export async function survey(
  ids: Iterable<number>,
  parts: SurveyParts,
): Promise<ReadonlyMap<number, Finding>> {
  const findings = new Map<number, Finding>();
  const missing: number[] = [];
  const waiting = shuffled(ids, parts.random);
  while (waiting.length > 0) {
    const group = waiting.splice(0, MAX_POOL_IDS);
    const found = await lookAtGroup(group, parts);
    if (found === undefined) break;
    for (const id of found.looked) {
      const vm = found.vms.get(id);
      if (vm === undefined) missing.push(id);
      else findings.set(id, vm);
    }
  }
  for (const id of missing) {
    const finding = await lookAtOne(id, parts);
    if (finding === 'stop') break;
    if (finding !== undefined) findings.set(id, finding);
  }
  return findings;
}

/** Whether oned says that there is no such VM. */
export function isGone(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'oned-refused' && error.oneCode === OneCode.noExists;
}

/** Whether oned says that this user may not ask that. */
export function isNotAllowed(error: unknown): boolean {
  return (
    error instanceof GatewayError && error.code === 'oned-refused' && error.oneCode === OneCode.authorization
  );
}

interface Looked {
  /** Those that were asked for with success, and of them those that oned showed. */
  readonly looked: readonly number[];
  readonly vms: ReadonlyMap<number, VmFacts>;
}

/**
 * A reply that is too long or makes no sense is asked for in halves: users write into their VMs, and one of them must
 * not keep us from looking at the others'. Whatever else fails would fail for the rest as well.
 * @returns undefined: there is no use in asking on
 */
async function lookAtGroup(group: readonly number[], parts: SurveyParts): Promise<Looked | undefined> {
  const { oned, session, signal, failed } = parts;
  const looked: number[] = [];
  const odd: number[] = [];
  const vms = new Map<number, VmFacts>();
  const waiting = [group];
  let splits = MAX_SPLITS;
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    try {
      for (const [id, vm] of await oned.vmPoolInfo(session, part, signal)) vms.set(id, vm);
      looked.push(...part);
    } catch (error) {
      const problem = toGatewayError(error);
      failed(problem);
      if (problem.code !== 'oned-nonsense') return undefined;
      if (part.length === 1) odd.push(...part);
      if (part.length === 1 || splits <= 0) continue;
      splits -= 2;
      const half = Math.ceil(part.length / 2);
      waiting.push(part.slice(half), part.slice(0, half));
    }
  }
  if (looked.length === 0 && group.length > 1) return undefined;
  // one.vm.info shows what oned makes of a VM, a set what it has stored, with whatever its owner wrote.
  return { looked: [...looked, ...odd], vms };
}

/**
 * A VM that is missing in a set was removed from oned's database, or the service's user may not see it; only the first
 * is gone.
 */
async function lookAtOne(vmId: number, parts: SurveyParts): Promise<Finding | 'stop' | undefined> {
  const { oned, session, signal, failed } = parts;
  try {
    return await oned.vmInfo(session, vmId, signal, { background: true });
  } catch (error) {
    if (isGone(error)) return 'gone';
    const problem = toGatewayError(error);
    failed(problem);
    return problem.code === 'oned-refused' || problem.code === 'oned-nonsense' ? undefined : 'stop';
  }
}

/** Fisher and Yates. */
function shuffled(ids: Iterable<number>, random: () => number): number[] {
  const list = [...ids];
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [list[last], list[other]] = [list[other] as number, list[last] as number];
  }
  return list;
}
