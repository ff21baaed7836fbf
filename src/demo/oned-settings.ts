// What the demo's oned says of itself: its settings, as far as anybody may depend on them, and its only zone.
// What always holds: elements and their order are those that a real oned was seen to send.
import { element, serializeXml, type XmlElement } from '../xml.js';

const ENDPOINT = 'http://localhost:2633/RPC2';

/** `<OPENNEBULA_CONFIGURATION>…`, of an oned that encrypts nothing of a console and is in no federation. */
export function writeConfiguration(): string {
  const federation = texts({ MASTER_ONED: '', MODE: 'STANDALONE', SERVER_ID: '-1', ZONE_ID: '0' });
  return serializeXml(
    element(
      'OPENNEBULA_CONFIGURATION',
      element('FEDERATION', ...federation),
      ...texts({ VM_ENCRYPTED_ATTR: 'CONTEXT/PASSWORD' }),
    ),
  );
}

/** `<ZONE_POOL>…`. */
export function writeZonePool(): string {
  const template = element('TEMPLATE', ...texts({ ENDPOINT, ENDPOINT_GRPC: 'localhost:2634' }));
  const zone = element(
    'ZONE',
    ...texts({ ID: '0', NAME: 'OpenNebula', STATE: '0' }),
    template,
    element('SERVER_POOL', ''),
  );
  return serializeXml(element('ZONE_POOL', zone));
}

function texts(members: Readonly<Record<string, string>>): XmlElement[] {
  return Object.entries(members).map(([name, text]) => element(name, text));
}
