// Many VMs at once, as oned's `one.vmpool.infoset` returns them.
// What always holds: only VMs that were asked for are taken over; one that does not make sense makes the whole nonsense.
import { nonsense, type OnedDocument, readDocument } from './document.js';
import { factsOf, type VmFacts, vmShape } from './vm.js';

/**
 * At most so many ids in a question. A VM has some 5 KB in a reply, more where its owner writes long attributes: of
 * 4 MiB, the bound on a reply, each has 20 KB.
 */
export const MAX_POOL_IDS = 200;

/**
 * `<VM_POOL>`, as `one.vmpool.infoset` returns it.
 * @param ids those that were asked for
 */
export function vmPoolDocument(ids: readonly number[]): OnedDocument<ReadonlyMap<number, VmFacts>> {
  const asked = new Set(ids);
  return {
    ...{ method: 'one.vmpool.infoset', root: 'VM_POOL' },
    shape: { children: { VM: { ...vmShape, most: Number.POSITIVE_INFINITY, guarded: true } } },
    read: (pool) => {
      const vms = new Map<number, VmFacts>();
      for (const vm of pool.children.map(factsOf)) {
        // One of two would have to be believed.
        if (vms.has(vm.id)) throw nonsense('the VM_POOL of oned has a VM twice');
        if (asked.has(vm.id)) vms.set(vm.id, vm);
      }
      return vms;
    },
  };
}

/** @throws GatewayError `oned-nonsense` when it is no such document */
export function parseVmPool(xml: string, ids: readonly number[]): ReadonlyMap<number, VmFacts> {
  return readDocument(xml, vmPoolDocument(ids));
}
