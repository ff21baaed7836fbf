// What a second look at a VM means for a console that was granted before; who may see it is `standing`'s matter. Pure:
// finding and grant in, verdict out.
// What always holds: a live migration and a state in between lose nothing; a console is lost for a reason that can be told.
import { toGatewayError } from '../errors.js';
import type { Grant } from '../tokens/grant.js';
import { type ConsolePorts, consoleStateOf, isMigrating, presentPlaceOf } from './policy.js';
import type { Finding } from './survey.js';

/** Why the console is no longer the user's; undefined: it is, as far as can be told. */
export function lossOf(finding: Finding): string | undefined {
  if (finding === 'gone') return 'the VM is gone';
  const { state, lcmState } = finding;
  if (consoleStateOf(finding) === 'over') return `no console in STATE:${state} LCM_STATE:${lcmState}`;
  return undefined;
}

/** The grant as it is now, with the VM's present host and port, or why there is none any more. */
export function presentOf(
  finding: Finding,
  grant: Grant,
  ports: ConsolePorts,
): { readonly grant: Grant } | { readonly lost: string } {
  const lost = lossOf(finding);
  if (finding === 'gone' || lost !== undefined) return { lost: lost ?? '' };
  // Of several records oned shows the last alone to some questions: then nobody knows whence the VM comes.
  if (isMigrating(finding) && finding.leaving === undefined) return { grant };
  try {
    return { grant: { ...grant, target: presentPlaceOf(finding, ports) } };
  } catch (error) {
    return { lost: toGatewayError(error).detail };
  }
}
