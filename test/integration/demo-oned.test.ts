// The demo's oned against recorded exchanges with a real one: the recorded requests are sent again, byte for byte,
// and the replies must have the same shape, and the same values in everything that a console depends on.
import { once } from 'node:events';
import { connect } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { type DemoOned, startDemoOned } from '../../src/demo/oned.ts';
import type { DemoVm } from '../../src/demo/oned-vm.ts';
import { parseSystemConfig } from '../../src/oned/system-config.ts';
import { child, parseXml, serializeXml, type XmlElement } from '../../src/xml.ts';
import { atEnd } from '../support/lifetime.ts';
import { readGolden } from '../support/oned.ts';

const users = [
  { id: 0, name: 'oneadmin', password: 'oneadmin', groupId: 0, groupName: 'oneadmin' },
  { id: 2, name: 'alice', password: 'alicepw', groupId: 1, groupName: 'users' },
];

const vnc = { type: 'VNC', listen: '0.0.0.0', passwd: 'secret12' };
const running = { owner: 'oneadmin', state: 3, lcmState: 3, hostnames: ['127.0.0.1'] };
const encryptedPasswd = 'Xb/OyOPb1gLlG4zcJbANcQ==';

/** The VMs that the recorded oned had. */
const recordedVms: DemoVm[] = [
  { ...running, id: 0, name: 'run-vnc', graphics: { ...vnc, port: 5901 } },
  { ...running, id: 1, name: 'run-vnc-nopasswd', graphics: { type: 'VNC', listen: '0.0.0.0', port: 5902 } },
  {
    ...running,
    id: 2,
    name: 'run-spice',
    graphics: { ...vnc, type: 'SPICE', port: 5903, passwd: 'spicepw' },
  },
  { ...running, id: 3, name: 'run-nographics' },
  {
    ...running,
    id: 6,
    name: 'alice-run-vnc',
    owner: 'alice',
    graphics: { ...vnc, port: 5911, passwd: 'alicepw1' },
  },
  {
    ...running,
    id: 8,
    name: 'pending-vnc',
    state: 1,
    lcmState: 0,
    hostnames: [],
    graphics: { ...vnc, port: 5920 },
  },
  { ...running, id: 10, name: 'poweroff-vnc', state: 8, lcmState: 0, graphics: { ...vnc, port: 5940 } },
  { ...running, id: 13, name: 'undeployed-vnc', state: 9, lcmState: 0, graphics: vnc },
  {
    ...running,
    id: 15,
    name: 'migrated-live-vnc',
    hostnames: ['127.0.0.1', 'localhost'],
    graphics: { ...vnc, port: 5950 },
  },
  { ...running, id: 39, name: 'enc-oneadmin', graphics: { ...vnc, port: 5990, encryptedPasswd } },
  {
    ...running,
    id: 40,
    name: 'enc-alice',
    owner: 'alice',
    graphics: { ...vnc, port: 5991, encryptedPasswd },
  },
];

const vms = new Map(recordedVms.map((vm) => [vm.id, vm]));
let oned: DemoOned;

beforeAll(async () => {
  oned = await startDemoOned({ host: '127.0.0.1', port: 0, vms, users });
  atEnd(() => oned.close());
});

describe("the demo's oned", () => {
  test.each([
    'vm.info.00-run-vnc.oneadmin',
    'vm.info.01-run-vnc-nopasswd.oneadmin',
    'vm.info.02-run-spice.oneadmin',
    'vm.info.03-run-nographics.oneadmin',
    'vm.info.06-alice-run-vnc.alice',
    'vm.info.08-pending-vnc.oneadmin',
    'vm.info.10-poweroff-vnc.oneadmin',
    'vm.info.13-undeployed-vnc.oneadmin',
    'vm.info.15-migrated-live-vnc.oneadmin',
    'encrypted-passwd.oneadmin.decrypt-true',
    'encrypted-passwd.alice.default',
  ])('shows the VM of %s as the real one did', async (name) => {
    const [reply, golden] = await replay(name);
    expect(withoutVm(reply)).toEqual(withoutVm(golden));
    const [vm, goldenVm] = [vmOf(reply), vmOf(golden)];
    expect(factsOf(vm)).toEqual(factsOf(goldenVm));
    expect(shapeOf(vm)).toEqual(shapeOf(goldenVm));
    expect(cdataNames(reply)).toEqual(cdataNames(golden));
  });

  test.each([
    'vm.info.00-run-vnc.alice',
    'error.wrong-password',
    'error.vm-missing',
    'error.vmid-string-0',
    'error.unknown-method',
    'error.no-params',
    'error.not-xml',
  ])('refuses %s with the words of the real one', async (name) => {
    const [reply, golden] = await replay(name);
    expect(compact(reply)).toEqual(compact(golden));
  });

  test('shows its zones as the real one did', async () => {
    const [reply, golden] = await replay('one.zonepool.info');
    expect(vmOf(reply)).toEqual(vmOf(golden));
  });

  test('tells its settings, in which nothing of a console is encrypted', async () => {
    const request = readGolden('oned/one.zonepool.info.request')
      .toString('utf8')
      .replace('one.zonepool.info', 'one.system.config');
    const config = serializeXml(vmOf((await exchange(Buffer.from(request))).body));
    expect(parseSystemConfig(config)).toEqual({ encryptsVncPassword: false, zoneId: 0 });
  });

  test('has the HTTP headers of the real one', async () => {
    const reply = await exchange(readGolden('oned/vm.info.00-run-vnc.oneadmin.request'));
    expect(reply.head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(reply.head).toContain('Content-type: text/xml; charset=utf-8\r\n');
    expect(reply.head).toMatch(/Content-length: \d+\r\n/);
    expect(reply.head).toMatch(/Connection: close/i);
  });

  test.each([
    ['GET', 'GET /RPC2 HTTP/1.1\r\nHost: x\r\n\r\n', '405'],
    ['an empty body', 'POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n', '400'],
    ['another path', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx', '404'],
    [
      'a body that is too long',
      `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n${' '.repeat(70_000)}`,
      '413',
    ],
  ])('answers %s over HTTP alone', async (_what, request, status) => {
    expect((await exchange(Buffer.from(request))).head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  test('shows a VM as it is at the time of the call, with any text in it', async () => {
    const passwd = '<&]]>"\' 00';
    const id = 77;
    vms.set(id, { ...running, id, name: 'a<b', graphics: { ...vnc, port: '0', passwd } });
    const request = Buffer.from(
      readGolden('oned/vm.info.00-run-vnc.oneadmin.request')
        .toString('utf8')
        .replace('<int>0</int>', `<i4>${id}</i4>`)
        .replace(/Content-Length: \d+/, (header) => `Content-Length: ${Number(header.split(' ')[1]) - 1}`),
    );
    const facts = factsOf(vmOf((await exchange(request)).body));
    expect(facts).toMatchObject({ NAME: 'a<b', graphics: { PASSWD: passwd, PORT: '0' } });
    vms.delete(id);
    expect((await exchange(request)).body).toContain('Error getting virtual machine [77].');
  });
});

/** The demo's reply and the recorded one to a recorded request, without their HTTP headers. */
async function replay(name: string): Promise<[string, string]> {
  const golden = readGolden(`oned/${name}.response`).toString('utf8');
  const { body } = await exchange(readGolden(`oned/${name}.request`));
  return [body, golden.slice(golden.indexOf('\r\n\r\n') + 4)];
}

/** Sends bytes to the demo's oned and reads until it closes the connection. */
async function exchange(request: Buffer): Promise<{ head: string; body: string }> {
  const socket = connect(Number(new URL(oned.url).port), '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(request);
  await once(socket, 'close');
  const reply = Buffer.concat(chunks).toString('utf8');
  const end = reply.indexOf('\r\n\r\n');
  return { head: reply.slice(0, end + 2), body: reply.slice(end + 4) };
}

/** An element without the white space between its children, in which the writers differ. */
interface Compact {
  name: string;
  text?: string;
  children: Compact[];
}

function compact(xml: string): Compact {
  const visit = ({ name, children, text }: XmlElement): Compact => {
    return { name, children: children.map(visit), ...(children.length === 0 ? { text } : {}) };
  };
  return visit(parseXml(xml));
}

function withoutVm(reply: string): Compact {
  return compact(reply.replace(/<string>&lt;VM&gt;[\s\S]*<\/string>/, '<string></string>'));
}

function vmOf(reply: string): XmlElement {
  const path = ['params', 'param', 'value', 'array', 'data'];
  const data = path.reduce<XmlElement | undefined>((parent, name) => child(parent, name), parseXml(reply));
  return parseXml(data?.children[1]?.children[0]?.text ?? '');
}

/** Everything that a console depends on. */
function factsOf(vm: XmlElement) {
  const text = (parent: XmlElement | undefined, name: string) => child(parent, name)?.text;
  const plain = ['ID', 'UID', 'GID', 'UNAME', 'GNAME', 'NAME', 'STATE', 'LCM_STATE', 'DEPLOY_ID'];
  const graphics = child(child(vm, 'TEMPLATE'), 'GRAPHICS')?.children ?? [];
  return {
    ...Object.fromEntries(plain.map((name) => [name, text(vm, name)])),
    graphics: Object.fromEntries(graphics.map(({ name, text: value }) => [name, value])),
    hosts: child(vm, 'HISTORY_RECORDS')?.children.map((record) => [
      text(record, 'SEQ'),
      text(record, 'HOSTNAME'),
    ]),
  };
}

/** The names of all elements in their order; MONITORING has as many as there were measurements. */
function shapeOf({ name, children }: XmlElement): Compact {
  return { name, children: name === 'MONITORING' ? [] : children.map(shapeOf) };
}

/** Which elements have their text in CDATA. */
function cdataNames(reply: string): string[] {
  const names = [...reply.matchAll(/&lt;(\w+)&gt;&lt;!\[CDATA\[/g)].map((match) => match[1] ?? '');
  const measured = new Set([
    'DISKRDBYTES',
    'DISKRDIOPS',
    'DISKWRBYTES',
    'DISKWRIOPS',
    'NETRX',
    'NETTX',
    'TIMESTAMP',
    'ID',
  ]);
  return [...new Set(names)].filter((name) => !measured.has(name)).sort();
}
