// Many VMs at once, as oned's `one.vmpool.infoset` returns them.
// What always holds: only VMs that were asked for are taken over; one that does not make sense makes the whole nonsense.
import { rootElement } from './document.js';
import { factsOf, type VmFacts } from './vm.js';

/**
 * At most so many ids in a question. A VM has some 5 KB in a reply, more where its owner writes long attributes: of
 * 4 MiB, the bound on a reply, each has 20 KB.
 */
export const MAX_POOL_IDS = 200;

/** Reads `<VM_POOL>`. @throws GatewayError `oned-nonsense` when it is no such document */
export function parseVmPool(xml: string, ids: readonly number[]): ReadonlyMap<number, VmFacts> {
  const asked = new Set(ids);
  const pool = rootElement(xml, 'VM_POOL', 'one.vmpool.infoset');
  const vms = pool.children.filter(({ name }) => name === 'VM').map(factsOf);
  return new Map(vms.filter(({ id }) => asked.has(id)).map((vm) => [vm.id, vm]));
}
