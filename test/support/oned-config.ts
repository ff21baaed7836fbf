// What oned says of its own settings and of the zones, in the form of a real one: values in CDATA, an element an attribute.

/** What stands in oned.conf. */
export interface OnedConfig {
  /** VM_ENCRYPTED_ATTR, on top of what is shipped. */
  encrypted?: readonly string[];
  /** FEDERATION; without it the oned is in none. */
  federation?: { mode: string; zoneId: number };
  /** The ids of all zones. */
  zones?: readonly number[];
}

const SHIPPED = ['CONTEXT/PASSWORD', 'ONEAPP_ONEKS_CLUSTER_SPEC'];

/** The `<OPENNEBULA_CONFIGURATION>…` of one.system.config, with the secrets that stand in it. */
export function configXml({ encrypted = [], federation }: OnedConfig): string {
  const { mode, zoneId } = federation ?? { mode: 'STANDALONE', zoneId: 0 };
  const attributes = [...SHIPPED, ...encrypted].map((name) => cdata('VM_ENCRYPTED_ATTR', name));
  return (
    `<OPENNEBULA_CONFIGURATION>${cdata('API_LIST_ORDER', 'DESC')}` +
    `<DB>${cdata('BACKEND', 'sqlite')}${cdata('PASSWD', 'db71c00c5e1d')}</DB>` +
    `<FEDERATION>${cdata('MASTER_ONED', '')}${cdata('MODE', mode)}${cdata('SERVER_ID', '-1')}` +
    `${cdata('ZONE_ID', String(zoneId))}</FEDERATION>${cdata('ONE_KEY', '0a55b2ab7edb7d0ae7c1d08c')}` +
    `${cdata('DATASTORE_ENCRYPTED_ATTR', 'GRAPHICS/PASSWD')}${attributes.join('')}</OPENNEBULA_CONFIGURATION>`
  );
}

/** The `<ZONE_POOL>…` of one.zonepool.info. */
export function zonePoolXml({ zones, federation }: OnedConfig): string {
  const ids = zones ?? [federation?.zoneId ?? 0];
  const all = ids.map(
    (id) =>
      `<ZONE><ID>${id}</ID><NAME>zone${id}</NAME><STATE>0</STATE>` +
      `<TEMPLATE>${cdata('ENDPOINT', 'http://localhost:2633/RPC2')}</TEMPLATE><SERVER_POOL></SERVER_POOL></ZONE>`,
  );
  return `<ZONE_POOL>${all.join('')}</ZONE_POOL>`;
}

function cdata(name: string, text: string): string {
  return `<${name}><![CDATA[${text}]]></${name}>`;
}
