// A VM as oned describes it, built from the few facts that a console depends on.
// Attributes of the template are CDATA, and where the VM is stands in the last history record, as in oned's own.

export interface Vm {
  id: number;
  /** 3 is ACTIVE. */
  state?: number;
  /** 3 is RUNNING. */
  lcmState?: number;
  /** Members of TEMPLATE/GRAPHICS, in capitals; null: the VM has no graphics. */
  graphics?: Record<string, string | number> | null;
  /** The history of hosts, the present one last. */
  hosts?: readonly string[];
}

/** The `<VM>…</VM>` of one.vm.info: by default a running VM with a VNC console on 127.0.0.1:5900. */
export function vmXml(vm: Vm): string {
  const { id, state = 3, lcmState = 3, graphics = {}, hosts = ['127.0.0.1'] } = vm;
  const members = { TYPE: 'VNC', LISTEN: '0.0.0.0', PORT: 5900, ...graphics };
  const console = graphics === null ? '' : `<GRAPHICS>${elements(members)}</GRAPHICS>`;
  const history = hosts.map(
    (host, seq) =>
      `<HISTORY><OID>${id}</OID><SEQ>${seq}</SEQ><HOSTNAME>${host}</HOSTNAME><HID>${seq}</HID></HISTORY>`,
  );
  return (
    `<VM><ID>${id}</ID><UID>0</UID><GID>0</GID><UNAME>oneadmin</UNAME><NAME>vm-${id}</NAME>` +
    `<STATE>${state}</STATE><LCM_STATE>${lcmState}</LCM_STATE><DEPLOY_ID>one-${id}</DEPLOY_ID>` +
    `<MONITORING><ID><![CDATA[${id}]]></ID></MONITORING>` +
    `<TEMPLATE>${elements({ CPU: 1 })}${console}${elements({ VMID: id })}</TEMPLATE><USER_TEMPLATE></USER_TEMPLATE>` +
    `<HISTORY_RECORDS>${history.join('')}</HISTORY_RECORDS></VM>`
  );
}

function elements(members: Record<string, string | number>): string {
  return Object.entries(members)
    .map(
      ([name, value]) =>
        `<${name}><![CDATA[${String(value).replaceAll(']]>', ']]]]><![CDATA[>')}]]></${name}>`,
    )
    .join('');
}
