// A VM as oned describes it, built from the few facts that a console depends on.
// Attributes of the template are CDATA, and where the VM is stands in the last history record, as in oned's own.

/** One of HISTORY_RECORDS; what is left out, oned does not say. */
export interface HistoryRecord {
  host: string;
  /** The cluster. */
  cid?: number;
  /** When QEMU began to run there, in seconds since 1970; 0: it has not. */
  rstime?: number;
}

export interface Vm {
  id: number;
  /** 3 is ACTIVE. */
  state?: number;
  /** 3 is RUNNING. */
  lcmState?: number;
  /** Members of TEMPLATE/GRAPHICS, in capitals; null: the VM has no graphics. */
  graphics?: Record<string, string | number> | null;
  /** The history of hosts, the present one last. */
  hosts?: readonly (string | HistoryRecord)[];
  /** The owner; 0 is oneadmin. */
  uid?: number;
  /** 0 is oneadmin's group, 1 is users. */
  gid?: number;
  /** Owner, group and others, as `ls` writes it with u, m and a in place of r, w and x: `um-------`. */
  permissions?: string;
}

/** A VM's own, as oned gives it to new ones. */
const DEFAULT_PERMISSIONS = 'um-------';

/** The `<VM>…</VM>` of one.vm.info: by default a running VM with a VNC console on 127.0.0.1:5900. */
export function vmXml(vm: Vm): string {
  const { id, state = 3, lcmState = 3, graphics = {}, hosts = ['127.0.0.1'], uid = 0, gid = 0 } = vm;
  const members = { TYPE: 'VNC', LISTEN: '0.0.0.0', PORT: 5900, ...graphics };
  const console = graphics === null ? '' : `<GRAPHICS>${elements(members)}</GRAPHICS>`;
  const history = hosts.map((one, seq) => {
    const { host, cid, rstime } = typeof one === 'string' ? { host: one } : one;
    const told = [['CID', cid] as const, ['RSTIME', rstime] as const].map(([name, value]) =>
      value === undefined ? '' : `<${name}>${value}</${name}>`,
    );
    return (
      `<HISTORY><OID>${id}</OID><SEQ>${seq}</SEQ><HOSTNAME>${host}</HOSTNAME><HID>${seq}</HID>` +
      `${told.join('')}</HISTORY>`
    );
  });
  return (
    `<VM><ID>${id}</ID><UID>${uid}</UID><GID>${gid}</GID><UNAME>${uid === 0 ? 'oneadmin' : `user${uid}`}</UNAME>` +
    `<NAME>vm-${id}</NAME>${permissionsXml(vm.permissions ?? DEFAULT_PERMISSIONS)}<LAST_POLL>0</LAST_POLL>` +
    `<STATE>${state}</STATE><LCM_STATE>${lcmState}</LCM_STATE><DEPLOY_ID>one-${id}</DEPLOY_ID>` +
    `<MONITORING><ID><![CDATA[${id}]]></ID></MONITORING>` +
    `<TEMPLATE>${elements({ CPU: 1 })}${console}${elements({ VMID: id })}</TEMPLATE><USER_TEMPLATE></USER_TEMPLATE>` +
    `<HISTORY_RECORDS>${history.join('')}</HISTORY_RECORDS></VM>`
  );
}

/** The `<VM_POOL>…</VM_POOL>` of one.vmpool.infoset. */
export function vmPoolXml(vms: readonly string[]): string {
  return `<VM_POOL>${vms.join('')}</VM_POOL>`;
}

function permissionsXml(bits: string): string {
  const names = ['OWNER', 'GROUP', 'OTHER'].flatMap((who) => [`${who}_U`, `${who}_M`, `${who}_A`]);
  const flags = names.map((name, index) => `<${name}>${'uma'[index % 3] === bits[index] ? 1 : 0}</${name}>`);
  return `<PERMISSIONS>${flags.join('')}</PERMISSIONS>`;
}

function elements(members: Record<string, string | number>): string {
  return Object.entries(members)
    .map(
      ([name, value]) =>
        `<${name}><![CDATA[${String(value).replaceAll(']]>', ']]]]><![CDATA[>')}]]></${name}>`,
    )
    .join('');
}
