// A scriptable oned: each VM has an answer, recorded, built or hostile. It notes every call and how many of them
// it had at a time; what it is not told about it answers as oned does.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { aclXml } from './acl.ts';
import { atEnd } from './lifetime.ts';
import { configXml, type OnedConfig, zonePoolXml } from './oned-config.ts';
import { type Vm, vmPoolXml, vmXml } from './vm.ts';
import { encodeValue, escapeXml } from './xmlrpc.ts';

/** What oned does with a call. */
export type Answer =
  /** Replies with this VM. */
  | { vm: Vm }
  /** Replies with this string as the value. */
  | { value: string }
  /** oned's refusal, with its five elements. */
  | { error: string; code: number }
  /** An XML-RPC fault. */
  | { fault: string; code: number }
  /** The recorded bytes of test/golden/oned/NAME.response. */
  | { golden: string }
  /** Any HTTP reply. */
  | { body: string; status?: number; type?: string }
  /** Any bytes in the place of an HTTP reply; then the connection ends. */
  | { raw: string | Buffer }
  /** The beginning of a good reply, and then so many bytes more, but never the end of its XML. */
  | { endlessBytes: number }
  /** Never answers. */
  | 'hang'
  /** Closes the connection without a byte. */
  | 'hang-up';

export interface OnedCall {
  method: string;
  session: string;
  /** NaN for a set of VMs; of a user his id, and -1 for the caller himself. */
  vmId: number;
  /** Of a set of VMs. */
  ids: number[];
  /** The third parameter, as XML text. */
  rest: string;
  body: string;
}

/** A user, for one.user.info. */
export interface OnedUser {
  id: number;
  name: string;
  /** The primary group first. */
  gids: readonly number[];
  /** Disabled where it is false. */
  enabled?: boolean;
  loginTokens?: readonly { token: string; egid: number }[];
}

export type Script = Answer | ((call: OnedCall) => Answer | Promise<Answer>);

export interface TestOned {
  url: string;
  port: number;
  calls: OnedCall[];
  /** Calls that are being answered now, and the most that ever were. */
  active(): number;
  mostActive(): number;
  /** Bytes of endless replies that somebody took. */
  endlessBytesSent(): number;
  /** Sets what the VM answers, to everybody or to one session. */
  answer(vmId: number, script: Script, session?: string): void;
  /** A running VM with a VNC console there: what most tests need. */
  runVm(
    vmId: number,
    target: { host: string; port: number },
    graphics?: Record<string, string | number>,
  ): void;
  /** Changes a VM while it runs: a state, a host, an owner. It must have been given as a VM. */
  changeVm(vmId: number, changes: Partial<Vm>): void;
  /** The VM is removed from the database, as after `onedb purge-done`. */
  removeVm(vmId: number): void;
  /** Who a session is; without this, oneadmin is himself and everybody else a user of the group 1. */
  user(session: string, user: OnedUser): void;
  /** Sets what oned.conf says: in no federation and nothing of a console encrypted without this. */
  config(config: OnedConfig): void;
  /** Who a user is, in the eyes of others; without this, everybody is somebody of the group 1, and 0 is oneadmin. */
  account(user: OnedUser): void;
  removeAccount(uid: number): void;
  /** The rules of the ACL, as `oneacl` takes them. */
  rules: string[];
  /** What nobody may ask who is not asking for himself. */
  forbidden: Set<'users' | 'rules'>;
  /** Sets what a whole method answers, whatever it asks for; undefined: as before. */
  answerMethod(method: string, script: Script | undefined): void;
  stop(): Promise<void>;
}

/** Those that ask for a single VM: who the caller is is asked for beside them. */
export function vmCalls({ calls }: TestOned): OnedCall[] {
  return calls.filter(({ method }) => method === 'one.vm.info');
}

const goldenFolder = join(import.meta.dirname, '../golden');

/** Recorded bytes, by path below test/golden. */
export function readGolden(path: string): Buffer {
  return readFileSync(join(goldenFolder, path));
}

export async function startTestOned({ port = 0 } = {}): Promise<TestOned> {
  const scripts = new Map<string, Script>();
  const methodScripts = new Map<string, Script>();
  const users = new Map<string, OnedUser>();
  const accounts = new Map<number, OnedUser | 'gone'>();
  const rules: string[] = [];
  const forbidden = new Set<'users' | 'rules'>();
  const calls: OnedCall[] = [];
  let config: OnedConfig = {};
  let active = 0;
  let mostActive = 0;
  let endlessBytesSent = 0;

  const scriptOf = (vmId: number, session: string) =>
    scripts.get(`${vmId} ${session}`) ?? scripts.get(`${vmId}`) ?? missingVm(vmId);

  /** The set of those that have a VM; others oned leaves out without a word. */
  const poolOf = async (call: OnedCall): Promise<Answer> => {
    const vms: string[] = [];
    for (const id of new Set(call.ids)) {
      const script = scriptOf(id, call.session);
      const answer = typeof script === 'function' ? await script(call) : script;
      if (typeof answer === 'string') return answer;
      if ('vm' in answer) vms.push(vmXml(answer.vm));
      else if ('value' in answer) vms.push(answer.value);
    }
    return { value: vmPoolXml(vms) };
  };

  const answerTo = async (call: OnedCall): Promise<Answer> => {
    const own = methodScripts.get(call.method);
    if (own !== undefined) return typeof own === 'function' ? own(call) : own;
    if (call.method === 'one.system.config') return { value: configXml(config) };
    if (call.method === 'one.zonepool.info') return { value: zonePoolXml(config) };
    if (call.method === 'one.user.info') {
      // No name and no password: oned knows nobody of whom this could be the session.
      if (!call.session.includes(':'))
        return { error: `[${call.method}] User couldn't be authenticated, aborting call.`, code: 0x0100 };
      const own = users.get(call.session) ?? userOf(call);
      return call.vmId === SELF ? { value: userXml(own) } : accountOf(call.vmId, accounts, forbidden);
    }
    if (call.method === 'one.acl.info') {
      return forbidden.has('rules') ? notAllowed(call.method, 'MANAGE ACL') : { value: aclXml(rules) };
    }
    if (call.method === 'one.vmpool.infoset') return poolOf(call);
    const script = scriptOf(call.vmId, call.session);
    return typeof script === 'function' ? script(call) : script;
  };

  const server = createServer(async (request, response) => {
    mostActive = Math.max(mostActive, ++active);
    response.once('close', () => active--);
    try {
      const call = parseCall(await bodyOf(request));
      calls.push(call);
      const answer = await answerTo(call);
      endlessBytesSent += await give(answer, request, response);
    } catch {
      // The caller is gone: nobody to answer.
      request.socket.destroy();
    }
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const bound = (server.address() as AddressInfo).port;
  const stop = async () => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  atEnd(stop);
  const answer = (vmId: number, script: Script, session?: string) => {
    scripts.set(session === undefined ? `${vmId}` : `${vmId} ${session}`, script);
  };
  return {
    url: `http://127.0.0.1:${bound}/RPC2`,
    port: bound,
    calls,
    active: () => active,
    mostActive: () => mostActive,
    endlessBytesSent: () => endlessBytesSent,
    answer,
    runVm: (id, { host, port: PORT }, graphics = {}) =>
      answer(id, { vm: { id, hosts: [host], graphics: { PORT, ...graphics } } }),
    changeVm: (vmId, changes) => {
      const present = scripts.get(`${vmId}`);
      if (typeof present !== 'object' || !('vm' in present)) throw new Error(`VM ${vmId} is no VM`);
      answer(vmId, { vm: { ...present.vm, ...changes } });
    },
    removeVm: (vmId) => {
      scripts.delete(`${vmId}`);
    },
    user: (session, user) => {
      users.set(session, user);
      accounts.set(user.id, user);
    },
    config: (next) => {
      config = next;
    },
    account: (user) => {
      accounts.set(user.id, user);
    },
    removeAccount: (uid) => {
      accounts.set(uid, 'gone');
    },
    ...{ rules, forbidden },
    answerMethod: (method, script) => {
      if (script === undefined) methodScripts.delete(method);
      else methodScripts.set(method, script);
    },
    stop,
  };
}

const SELF = -1;

/** oned looks whether there is one before it looks at rights. */
function accountOf(
  uid: number,
  accounts: ReadonlyMap<number, OnedUser | 'gone'>,
  forbidden: ReadonlySet<string>,
): Answer {
  const user = accounts.get(uid) ?? { id: uid, name: `user${uid}`, gids: [uid === 0 ? 0 : 1] };
  if (user === 'gone') return { error: `[one.user.info] Error getting user [${uid}].`, code: 0x0400 };
  return forbidden.has('users') ? notAllowed('one.user.info', `USE USER [${uid}]`) : { value: userXml(user) };
}

function notAllowed(method: string, what: string): Answer {
  return { error: `[${method}] User [9] : Not authorized to perform ${what}.`, code: 0x0200 };
}

/** Whom a session is of, as far as its name tells. */
function userOf({ session }: OnedCall): OnedUser {
  const name = session.split(':', 1)[0] ?? '';
  return name === 'oneadmin' ? { id: 0, name, gids: [0] } : { id: 2, name, gids: [1] };
}

/** The `<USER>…</USER>` of one.user.info, with the secrets that stand in it. */
function userXml({ id, name, gids, enabled = true, loginTokens }: OnedUser): string {
  const tokens = (loginTokens ?? [{ token: 'b40de715279ed5cd', egid: -1 }]).map(
    ({ token, egid }) =>
      `<LOGIN_TOKEN><TOKEN>${escapeXml(token)}</TOKEN><EXPIRATION_TIME>1795299537</EXPIRATION_TIME>` +
      `<EGID>${egid}</EGID></LOGIN_TOKEN>`,
  );
  const groups = gids.map((gid) => `<ID>${gid}</ID>`).join('');
  return (
    `<USER><ID>${id}</ID><GID>${gids[0]}</GID><GROUPS>${groups}</GROUPS><GNAME>group${gids[0]}</GNAME>` +
    `<NAME>${escapeXml(name)}</NAME><PASSWORD><![CDATA[6624974ea2baffac]]></PASSWORD>` +
    '<AUTH_DRIVER><![CDATA[core]]></AUTH_DRIVER>' +
    `<ENABLED>${enabled ? 1 : 0}</ENABLED>${tokens.join('')}` +
    '<TEMPLATE><TOKEN_PASSWORD><![CDATA[bee0657e6415789b]]></TOKEN_PASSWORD></TEMPLATE></USER>'
  );
}

function missingVm(vmId: number): Answer {
  return { error: `[one.vm.info] Error getting virtual machine [${vmId}].`, code: 0x0400 };
}

/** Replies, and gives how many bytes of an endless reply were taken. */
async function give(answer: Answer, request: IncomingMessage, response: ServerResponse): Promise<number> {
  if (answer === 'hang') return 0;
  if (answer === 'hang-up') request.socket.destroy();
  else if ('golden' in answer) request.socket.end(readGolden(`oned/${answer.golden}.response`));
  else if ('raw' in answer) request.socket.end(answer.raw);
  else if ('endlessBytes' in answer) return giveEndlessly(answer.endlessBytes, response);
  else {
    const { status, type, body } = 'body' in answer ? answer : { body: replyXml(answer) };
    const headers = { 'content-type': type ?? 'text/xml; charset=utf-8', connection: 'close' };
    response.writeHead(status ?? 200, { ...headers, 'content-length': Buffer.byteLength(body) });
    response.end(body);
  }
  return 0;
}

type Reply = Extract<Answer, { vm: Vm } | { value: string } | { code: number }>;

function replyXml(reply: Reply): string {
  const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n';
  if ('fault' in reply) {
    const fault = encodeValue({ faultCode: reply.code, faultString: reply.fault });
    return `${declaration}<methodResponse>\n<fault>${fault}</fault>\n</methodResponse>\n`;
  }
  const values =
    'error' in reply
      ? [false, reply.error, reply.code, -1].map(encodeValue).concat('<value><i8>-1</i8></value>')
      : [true, 'vm' in reply ? vmXml(reply.vm) : reply.value, 0].map(encodeValue);
  const array = `<value><array><data>\n${values.join('\n')}\n</data></array></value>`;
  return `${declaration}<methodResponse>\n<params>\n<param>${array}</param>\n</params>\n</methodResponse>\n`;
}

async function giveEndlessly(limitBytes: number, response: ServerResponse): Promise<number> {
  const open = replyXml({ value: '@' }).split('@')[0] ?? '';
  const chunk = Buffer.from(escapeXml('<VM>'.repeat(16 * 1024)));
  let sent = 0;
  let gone = false;
  response.once('close', () => {
    gone = true;
    response.emit('drain');
  });
  response.writeHead(200, { 'content-type': 'text/xml; charset=utf-8' });
  response.write(open);
  while (!gone && sent < limitBytes) {
    sent += chunk.length;
    if (!response.write(chunk)) await once(response, 'drain');
  }
  response.end();
  return sent;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function parseCall(body: string): OnedCall {
  const method = /<methodName>\s*(.*?)\s*<\/methodName>/.exec(body)?.[1] ?? '';
  const params = [...body.matchAll(/<param>\s*<value>([\s\S]*?)<\/value>\s*<\/param>/g)].map(
    ([, value]) => value ?? '',
  );
  const text = (value = '') =>
    value.replace(/^\s*<(\w+)>([\s\S]*)<\/\1>\s*$/, '$2').replace(markup, unescaped);
  const asked = text(params[1]);
  const ids = method === 'one.vmpool.infoset' ? asked.split(',').filter(Boolean).map(Number) : [];
  const vmId = ids.length > 0 ? Number.NaN : Number(asked);
  return { method, session: text(params[0]), vmId, ids, rest: params[2] ?? '', body };
}

const markup = /<!\[CDATA\[([\s\S]*?)\]\]>|&(lt|gt|quot|apos|amp);/g;
const entities: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function unescaped(_markup: string, verbatim: string | undefined, entity = ''): string {
  return verbatim ?? entities[entity] ?? '';
}
