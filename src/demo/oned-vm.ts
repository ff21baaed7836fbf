// The VMs of the demo's oned, and how oned writes one: the text that `one.vm.info` returns.
// What always holds: elements and their order are those that a real oned was seen to send; what users write
// (TEMPLATE, MONITORING) stands in CDATA, what oned writes is plain text.
import { element, serializeXml } from '../xml.js';

/** TEMPLATE/GRAPHICS; what is left out, the VM does not have. */
export interface DemoGraphics {
  readonly type?: string;
  readonly listen?: string;
  readonly port?: string | number;
  readonly passwd?: string;
  /** What is shown in the place of `passwd` to everybody but an administrator who asks for decryption. */
  readonly encryptedPasswd?: string;
}

/** A VM. `owner` is a user's name. */
export interface DemoVm {
  readonly id: number;
  readonly name: string;
  readonly owner: string;
  /** 3 is ACTIVE. */
  readonly state: number;
  /** 3 is RUNNING. */
  readonly lcmState: number;
  /** HOSTNAME of every history record, the present host last; none: never deployed. */
  readonly hostnames: readonly string[];
  readonly graphics?: DemoGraphics;
}

/** A user. Group 0 is oneadmin's, which may see every VM. */
export interface DemoUser {
  readonly id: number;
  readonly name: string;
  readonly password: string;
  readonly groupId: number;
  readonly groupName: string;
}

/** XML that is already escaped. Only the functions below make it. */
type Markup = string & { readonly markup: unique symbol };

/** What is the same in every VM here: when it was started, in seconds since 1970. */
const STARTED = 1_795_295_589;

/** `<VM>…</VM>`; `decrypt`: the encrypted password in clear. */
export function writeVm(vm: DemoVm, owner: DemoUser, decrypt: boolean): string {
  const deployed = vm.hostnames.length > 0;
  return parent('VM', [
    ...plain({ ID: vm.id, UID: owner.id, GID: owner.groupId, UNAME: owner.name, GNAME: owner.groupName }),
    ...plain({ NAME: vm.name }),
    parent('PERMISSIONS', [
      ...plain({ OWNER_U: 1, OWNER_M: 1, OWNER_A: 0, GROUP_U: 0, GROUP_M: 0, GROUP_A: 0 }),
      ...plain({ OTHER_U: 0, OTHER_M: 0, OTHER_A: 0 }),
    ]),
    ...plain({ LAST_POLL: STARTED, STATE: vm.state, LCM_STATE: vm.lcmState }),
    ...plain({ PREV_STATE: vm.state, PREV_LCM_STATE: vm.lcmState, RESCHED: 0, STIME: STARTED, ETIME: 0 }),
    ...plain({ DEPLOY_ID: deployed ? `${vm.hostnames[0]}:${vm.name}:dummy` : '' }),
    parent('MONITORING', [
      ...cdata({ CPU: 0, DISKRDBYTES: 329, DISKRDIOPS: 751, DISKWRBYTES: 510, DISKWRIOPS: 432, ID: vm.id }),
      ...cdata({ MEMORY: 12_943, NETRX: 5_990, NETTX: 6_040, TIMESTAMP: STARTED }),
    ]),
    parent('SCHED_ACTIONS'),
    writeTemplate(vm, decrypt),
    parent('USER_TEMPLATE'),
    parent(
      'HISTORY_RECORDS',
      vm.hostnames.map((hostname, sequence) => writeHistory(vm, hostname, sequence)),
    ),
    parent('BACKUPS', [parent('BACKUP_CONFIG'), parent('BACKUP_IDS')]),
  ]);
}

function writeTemplate({ id, graphics, hostnames }: DemoVm, decrypt: boolean): Markup {
  const uuid = `742a124b-28e6-4922-ba34-${id.toString(16).padStart(12, '0')}`;
  return parent('TEMPLATE', [
    ...cdata({ AUTOMATIC_REQUIREMENTS: '!(PIN_POLICY = PINNED)', CPU: '0.01' }),
    ...(graphics === undefined ? [] : [writeGraphics(graphics, decrypt)]),
    ...cdata({ MEMORY: 16 }),
    parent('OS', cdata({ UUID: uuid })),
    ...cdata({ TM_MAD_SYSTEM: hostnames.length > 0 ? 'dummy' : undefined, VMID: id }),
  ]);
}

function writeGraphics(graphics: DemoGraphics, decrypt: boolean): Markup {
  const { type, listen, port, passwd, encryptedPasswd } = graphics;
  const shownPasswd = decrypt ? passwd : (encryptedPasswd ?? passwd);
  return parent('GRAPHICS', cdata({ LISTEN: listen, PASSWD: shownPasswd, PORT: port, TYPE: type }));
}

function writeHistory({ id, hostnames }: DemoVm, hostname: string, sequence: number): Markup {
  const ended = sequence < hostnames.length - 1 ? STARTED : 0;
  return parent('HISTORY', [
    ...plain({
      OID: id,
      SEQ: sequence,
      HOSTNAME: hostname,
      HID: sequence,
      CID: 0,
      STIME: STARTED,
      ETIME: ended,
    }),
    ...cdata({ VM_MAD: 'dummy', TM_MAD: 'dummy' }),
    ...plain({ DS_ID: 0, PLAN_ID: -2, ACTION_ID: -1, PSTIME: STARTED, PETIME: STARTED, RSTIME: STARTED }),
    ...plain({ RETIME: ended, ESTIME: 0, EETIME: 0, ACTION: ended === 0 ? 0 : 2, UID: -1, GID: -1 }),
    ...plain({ REQUEST_ID: -1 }),
  ]);
}

function parent(name: string, contents: readonly Markup[] = []): Markup {
  return `<${name}>${contents.join('')}</${name}>` as Markup;
}

type Leaves = Readonly<Record<string, string | number | undefined>>;

function plain(leaves: Leaves): Markup[] {
  return writeLeaves(leaves, (name, text) => serializeXml(element(name, text)));
}

function cdata(leaves: Leaves): Markup[] {
  // A section cannot hold its own end; two sections can.
  return writeLeaves(leaves, (name, text) => {
    return `<${name}><![CDATA[${text.replaceAll(']]>', ']]]]><![CDATA[>')}]]></${name}>`;
  });
}

function writeLeaves(leaves: Leaves, write: (name: string, text: string) => string): Markup[] {
  return Object.entries(leaves).flatMap(([name, value]) =>
    value === undefined ? [] : [write(name, String(value)) as Markup],
  );
}
