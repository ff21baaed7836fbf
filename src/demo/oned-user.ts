// How the demo's oned writes a user: the text that `one.user.info` returns.
// What always holds: elements and their order are a real oned's; a password's hash stands there in a real one, here none.
import { element, serializeXml } from '../xml.js';
import type { DemoUser } from './oned-vm.js';

/** `<USER>…</USER>`, in one group and enabled. */
export function writeUser({ id, name, groupId, groupName }: DemoUser): string {
  return serializeXml(
    element(
      'USER',
      element('ID', String(id)),
      element('GID', String(groupId)),
      element('GROUPS', element('ID', String(groupId))),
      element('GNAME', groupName),
      element('NAME', name),
      element('PASSWORD', ''),
      element('AUTH_DRIVER', 'core'),
      element('ENABLED', '1'),
      element('TEMPLATE', ''),
    ),
  );
}
