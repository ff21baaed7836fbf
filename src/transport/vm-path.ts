// Paths that name the VM: `%i` is its id, `%p` its own port. What always holds: only digits are filled in.
import { type TransportTarget, targetFailed } from './transport.js';

/** @throws GatewayError `target-failed` where the path wants the VM's id and nobody knows it */
export function fillIn(path: string, target: TransportTarget): string {
  if (target.vmId === undefined && path.includes('%i')) {
    throw targetFailed(target, `the path ${path} needs the VM's id`);
  }
  return path.replaceAll('%i', String(target.vmId)).replaceAll('%p', String(target.port));
}
