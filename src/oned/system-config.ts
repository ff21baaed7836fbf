// What oned is set to, as its `one.system.config` returns it, reduced to the two facts that a console depends on.
// What always holds: of the master key and the database's login, which the same answer holds, nothing leaves this file.
import { child, type XmlElement } from '../xml.js';
import { type OnedDocument, readDocument, textOf, textsOf, toNumber } from './document.js';

/** As oned compares it: to the letter, since the names of attributes are capitals in its VMs. */
const VNC_PASSWORD = 'GRAPHICS/PASSWD';

/** Of a zone that is in no federation (src/nebula/Nebula.cc in OpenNebula's sources). */
const STANDALONE_ZONE = 0;
const FEDERATED = /^(?:MASTER|SLAVE)$/i;

export interface SystemConfig {
  /** Whether oned shows GRAPHICS/PASSWD to administrators only (VM_ENCRYPTED_ATTR, an element an attribute). */
  readonly encryptsVncPassword: boolean;
  /** The id of oned's own zone; undefined where it does not say. */
  readonly zoneId: number | undefined;
}

/** `<OPENNEBULA_CONFIGURATION>`, as `one.system.config` returns it. */
export const systemConfigDocument: OnedDocument<SystemConfig> = {
  ...{ method: 'one.system.config', root: 'OPENNEBULA_CONFIGURATION', read: factsOf },
  shape: {
    children: {
      VM_ENCRYPTED_ATTR: { most: Number.POSITIVE_INFINITY },
      FEDERATION: { children: textsOf('MODE', 'ZONE_ID') },
    },
  },
};

/** @throws GatewayError `oned-nonsense` when it is no such document */
export function parseSystemConfig(xml: string): SystemConfig {
  return readDocument(xml, systemConfigDocument);
}

function factsOf(config: XmlElement): SystemConfig {
  return {
    encryptsVncPassword: config.children.some(
      ({ name, text }) => name === 'VM_ENCRYPTED_ATTR' && text === VNC_PASSWORD,
    ),
    zoneId: zoneIdOf(child(config, 'FEDERATION')),
  };
}

/** ZONE_ID counts in a federation alone; without a section oned is in none. */
function zoneIdOf(federation: XmlElement | undefined): number | undefined {
  if (!FEDERATED.test(textOf(federation, 'MODE') ?? '')) return STANDALONE_ZONE;
  return toNumber(textOf(federation, 'ZONE_ID') ?? '');
}
