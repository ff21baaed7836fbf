// The permission bits of an object of OpenNebula, as its XML has them.
// What always holds: all of them are there, or the document is nonsense; a missing bit is never taken for a no or a yes.
import { child, type XmlElement } from '../xml.js';
import type { Shape } from '../xml-selection.js';
import { flagOf, textsOf } from './document.js';

/** What a class of users may do: U is USE, M is MANAGE. ADMIN plays no part in a console. */
export interface Bits {
  readonly use: boolean;
  readonly manage: boolean;
}

export interface Permissions {
  readonly owner: Bits;
  readonly group: Bits;
  readonly other: Bits;
}

export const permissionsShape: Shape = {
  children: textsOf(...['OWNER', 'GROUP', 'OTHER'].flatMap((of) => [`${of}_U`, `${of}_M`])),
};

/** Reads `<PERMISSIONS>` of the object. @throws GatewayError `oned-nonsense` */
export function permissionsOf(object: XmlElement): Permissions {
  const element = child(object, 'PERMISSIONS');
  const bits = (of: string): Bits => ({
    use: flagOf(element, `${of}_U`),
    manage: flagOf(element, `${of}_M`),
  });
  return { owner: bits('OWNER'), group: bits('GROUP'), other: bits('OTHER') };
}
