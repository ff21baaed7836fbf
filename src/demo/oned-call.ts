// What the demo's oned does with a call: from the text of a request to the text of a reply, without I/O.
// What always holds: order and wording of the refusals are oned's (login, then the VM, then the rights), and every
// body gets a reply, since oned answers bad calls with HTTP 200 too.
import { element, type XmlElement } from '../xml.js';
import { writeConfiguration, writeZonePool } from './oned-settings.js';
import { writeUser } from './oned-user.js';
import { type DemoUser, type DemoVm, writeVm } from './oned-vm.js';
import {
  CallFault,
  FAULT_NO_METHOD,
  readCall,
  readParameter,
  writeFault,
  writeReply,
} from './oned-xmlrpc.js';

/** Everything that this oned knows; changes to the VMs show in the next call. */
export interface DemoCloud {
  readonly vms: ReadonlyMap<number, DemoVm>;
  readonly users: readonly DemoUser[];
}

const AUTHENTICATION = 0x0100;
const AUTHORIZATION = 0x0200;
const NO_EXISTS = 0x0400;

const ADMIN_GROUP = 0;
/** Whoever calls, in the place of a user's id. */
const SELF = -1;

/** Answers a request body with a reply body. Never throws. */
export function answerCall(body: string, cloud: DemoCloud): string {
  try {
    const { method, parameters } = readCall(body);
    const answer = methods[method];
    if (answer === undefined) throw new CallFault(FAULT_NO_METHOD, `Method '${method}' not defined`);
    const session = readParameter(parameters, 0, 'string');
    const id = method in settings ? SELF : Number(readParameter(parameters, 1, 'integer'));
    const decrypt = parameters.length > 2 && readParameter(parameters, 2, 'boolean') === '1';
    const caller = callerOf(cloud, session);
    return writeReply(
      caller === undefined
        ? refusal(method, "User couldn't be authenticated, aborting call.", AUTHENTICATION, -1)
        : answer(cloud, caller, id, decrypt),
    );
  } catch (error) {
    if (error instanceof CallFault) return writeFault(error);
    throw error;
  }
}

type Answer = (cloud: DemoCloud, caller: DemoUser, id: number, decrypt: boolean) => XmlElement[];

/** Methods that are about oned itself, and take nothing but a session. */
const settings: Readonly<Record<string, Answer>> = {
  'one.system.config': () => success(writeConfiguration()),
  'one.zonepool.info': () => success(writeZonePool()),
};

const methods: Readonly<Record<string, Answer>> = {
  'one.vm.info': findVm,
  'one.user.info': findUser,
  ...settings,
};

function callerOf({ users }: DemoCloud, session: string): DemoUser | undefined {
  const [name, password] = splitSession(session);
  return users.find((user) => user.name === name && user.password === password);
}

function findVm({ vms, users }: DemoCloud, caller: DemoUser, vmId: number, decrypt: boolean): XmlElement[] {
  const vm = vms.get(vmId);
  const owner = users.find((user) => user.name === vm?.owner);
  if (vm === undefined || owner === undefined) {
    return refusal('one.vm.info', `Error getting virtual machine [${vmId}].`, NO_EXISTS, vmId);
  }
  const isAdmin = caller.groupId === ADMIN_GROUP;
  if (!isAdmin && caller !== owner) return notAuthorized('one.vm.info', caller, `USE VM [${vmId}]`);
  return success(writeVm(vm, owner, decrypt && isAdmin));
}

function findUser({ users }: DemoCloud, caller: DemoUser, asked: number): XmlElement[] {
  const id = asked === SELF ? caller.id : asked;
  const user = users.find((one) => one.id === id);
  if (user === undefined) return refusal('one.user.info', `Error getting user [${id}].`, NO_EXISTS, id);
  if (caller.groupId !== ADMIN_GROUP && caller !== user)
    return notAuthorized('one.user.info', caller, `USE USER [${id}]`);
  return success(writeUser(user));
}

function success(value: string): XmlElement[] {
  return [element('boolean', '1'), element('string', value), element('i4', '0')];
}

function notAuthorized(method: string, caller: DemoUser, what: string): XmlElement[] {
  return refusal(method, `User [${caller.id}] : Not authorized to perform ${what}.`, AUTHORIZATION, -1);
}

/** A name has no colon, a password may have some. */
function splitSession(session: string): [string, string] {
  const at = session.indexOf(':');
  return at === -1 ? [session, ''] : [session.slice(0, at), session.slice(at + 1)];
}

/** Five elements: the object that it is about and, always -1 here, the replication index. */
function refusal(method: string, message: string, code: number, objectId: number): XmlElement[] {
  return [
    element('boolean', '0'),
    element('string', `[${method}] ${message}`),
    element('i4', String(code)),
    element('i4', String(objectId)),
    element('i8', '-1'),
  ];
}
