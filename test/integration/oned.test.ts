// oned as it is on bad days, and as an attacker would be in its place. What always holds: each call ends with a clear
// answer, within its deadline, and the next one works.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { OnedClient } from '../../src/oned/client.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import { makePki } from '../support/certificates.ts';
import { atEnd } from '../support/lifetime.ts';
import { type Answer, startTestOned, type TestOned, vmCalls } from '../support/oned.ts';
import { type Service, startService } from '../support/service.ts';
import { vmXml } from '../support/vm.ts';
import { waitFor, within } from '../support/wait.ts';
import { encodeCall, encodeValue } from '../support/xmlrpc.ts';

const session = 'oneadmin:oneadmin';
const good = 1;
const bad = 2;

let oned: TestOned;
let service: Service;

beforeAll(async () => {
  oned = await startTestOned();
  oned.runVm(good, { host: 'node1', port: 5907 });
  service = await startService({ oned, flags: { oned_timeout: 20, oned_connections: 2, debug_level: 3 } });
});

const tokenForm = /^[a-z0-9]{25,128}$/;
const issued = [true, expect.stringMatching(tokenForm), 0];
const ask = (vmId: number, from = service, as = session) => from.call('one.vm.vnctokenonly', [as, vmId]);

const refusal = (text: string) => [
  ...[false, expect.stringMatching(new RegExp(`^${text} \\(ref [2-9A-Z]{6}\\)$`)), 0x2000],
];
const unreachable = refusal('OpenNebula cannot be reached');
const nonsense = refusal('OpenNebula gave an answer that makes no sense');
const tooSlow = refusal('OpenNebula did not answer in time');

/** The line in the log that belongs to what the caller was told. */
async function logOf(message: unknown, from = service) {
  const ref = /\(ref ([2-9A-Z]{6})\)$/.exec(String(message))?.[1];
  return from.waitForLog((line) => line['ref'] === ref, `the reference ${ref}`);
}

const reply = (content: string) => `<?xml version="1.0"?><methodResponse>${content}</methodResponse>`;
const fault = (content: string): Answer => ({ body: reply(`<fault>${content}</fault>`) });
const values = (...content: string[]): Answer => ({
  body: reply(
    `<params><param><value><array><data>${content.join('')}</data></array></value></param></params>`,
  ),
});
const answered = (...content: Parameters<typeof encodeValue>[0][]) => values(...content.map(encodeValue));
const struct = (name: string, value: string) =>
  `<value><struct><member><name>${name}</name>${value}</member></struct></value>`;

describe('an answer that is none', () => {
  it.each<[string, Answer, unknown]>([
    [
      'a page of a proxy (502)',
      { body: '<html><h1>502 Bad Gateway</h1></html>', status: 502, type: 'text/html' },
      nonsense,
    ],
    ['a page that is no XML', { body: 'Not Found', status: 404, type: 'text/plain' }, nonsense],
    ['an answer 500 without a body', { body: '', status: 500 }, nonsense],
    ['a redirect', { raw: 'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n' }, nonsense],
    ['a connection that ends at once', 'hang-up', unreachable],
    [
      'a reply that ends before its length',
      { raw: `HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n${reply('')}` },
      unreachable,
    ],
    [
      'a reply without length that ends in the middle',
      { raw: 'HTTP/1.1 200 OK\r\n\r\n<methodResponse><params>' },
      nonsense,
    ],
    ['bytes that are no HTTP', { raw: 'SSH-2.0-OpenSSH_9.2\r\n' }, unreachable],
    ['bytes of any kind', { raw: Buffer.from([0, 255, 22, 3, 1, 13, 10, 13, 10]) }, unreachable],
    [
      'endless headers',
      { raw: `HTTP/1.1 200 OK\r\n${`X: ${'y'.repeat(1000)}\r\n`.repeat(100)}` },
      unreachable,
    ],
    ['nothing in a reply', { body: '' }, nonsense],
    ['another document', { body: '<html/>' }, nonsense],
    ['no value', { body: reply('<params/>') }, nonsense],
    [
      'two values',
      { body: reply(`<params>${'<param><value>1</value></param>'.repeat(2)}</params>`) },
      nonsense,
    ],
    ['no array', { body: reply('<params><param><value>1</value></param></params>') }, nonsense],
    ['an empty array', answered(), nonsense],
    ['an array of the wrong types', answered('true', 5, 0), nonsense],
    ['a success without a text', answered(true, 5, 0), nonsense],
    ['a success that is no VM', answered(true, 'OK', 0), nonsense],
    ['a success that is empty', answered(true, '', 0), nonsense],
    ['a VM that is not well-formed', answered(true, '<VM><STATE>3</STATE>', 0), nonsense],
    ['a VM with a DOCTYPE', answered(true, '<!DOCTYPE VM [<!ENTITY x "y">]><VM/>', 0), nonsense],
    ['a VM nested a thousand times', answered(true, '<VM>'.repeat(1000) + '</VM>'.repeat(1000), 0), nonsense],
    ['a refusal without words', answered(false, '', 0x0400), nonsense],
    ['a refusal without a code', answered(false, 'No'), nonsense],
    ['a refusal whose code is a text', answered(false, 'No', 'x'), nonsense],
    [
      'a refusal whose code is no int',
      values(...[false, 'No'].map(encodeValue), '<value><int>99999999999</int></value>'),
      nonsense,
    ],
    ['a fault', { fault: 'Internal error', code: -503 }, nonsense],
    ['a fault without anything in it', fault(''), nonsense],
    ['a fault that is nil', fault('<value><nil/></value>'), nonsense],
    [
      'a fault whose code is a struct',
      fault(struct('faultCode', struct('toString', '<value>1</value>'))),
      nonsense,
    ],
    [
      'a fault whose text is a struct',
      fault(struct('faultString', struct('toString', '<value>1</value>'))),
      nonsense,
    ],
    ['a value of an unknown type', values('<value><nosuch>1</nosuch></value>'), nonsense],
    ['a date that is none', values('<value><dateTime.iso8601>x</dateTime.iso8601></value>'), nonsense],
    ['a character that there is not', values('<value><string>&#x110000;</string></value>'), nonsense],
    ['elements opened and never closed', { body: reply('<value>'.repeat(10_000)) }, nonsense],
    [
      'elements closed and never opened',
      { body: reply('<a>'.repeat(200_000) + '</b>'.repeat(200_000)) },
      nonsense,
    ],
    ['a comment of half a megabyte', { body: reply(`<!--${'x'.repeat(500_000)}-->`) }, nonsense],
  ])('%s is told as such, and the next call works', async (_what, answer, told) => {
    oned.answer(bad, answer);
    const first = await ask(bad);
    expect(first).toEqual(told);
    expect(await logOf(first[1])).toMatchObject({ level: 'error', vm: bad, user: 'oneadmin' });
    expect(await ask(good)).toEqual(issued);
  });

  it('of 50 MB is given up after a few', async () => {
    oned.answer(bad, { endlessBytes: 50 * 1024 * 1024 });
    const told = await ask(bad);
    expect(told).toEqual(nonsense);
    expect(await logOf(told[1])).toMatchObject({ reason: 'the reply of oned has more than 4194304 bytes' });
    await waitFor(() => oned.active() === 0, { what: 'the end of the connection to oned' });
    expect(oned.endlessBytesSent()).toBeLessThan(20 * 1024 * 1024);
    expect(await ask(good)).toEqual(issued);
  });

  it('is what a VM of a few megabytes is not', async () => {
    oned.answer(3, { value: vmXml({ id: 3, hosts: Array.from({ length: 15_000 }, () => 'node1') }) });
    expect(await ask(3)).toEqual(issued);
  });

  it.each([
    ['a character that XML forbids', '\x1b[31mError\x1b[0m \x0c \ufffe'],
    ['an entity of HTML', '&nbsp;&#27; R&D'],
    ['a name that begins with a digit', '</A><1A>x</1A><A>'],
    ['an element of its own', '</A><B><ID>2</ID><STATE>1</STATE></B><A>'],
  ])('is not what a VM is that has %s where nobody reads it', async (_what, junk) => {
    const xml = vmXml({ id: 4 }).replace('<USER_TEMPLATE>', () => `<USER_TEMPLATE><A>${junk}</A>`);
    oned.answer(4, { value: xml.replace('<DEPLOY_ID>', () => `<DEPLOY_ID><A>${junk}</A>`) });
    expect(await ask(4)).toEqual(issued);
  });

  it.each([
    [
      'a second section of graphics',
      '<GRAPHICS>',
      '<GRAPHICS><TYPE>VNC</TYPE><PORT>5911</PORT></GRAPHICS><GRAPHICS>',
    ],
    ['a second template', '<USER_TEMPLATE>', '<TEMPLATE></TEMPLATE><USER_TEMPLATE>'],
    ['a second history', '<HISTORY_RECORDS>', '<HISTORY_RECORDS></HISTORY_RECORDS><HISTORY_RECORDS>'],
  ])('is what a VM is that has %s', async (_what, place, written) => {
    oned.answer(5, { value: vmXml({ id: 5 }).replace(place, written) });
    expect(await ask(5)).toEqual(nonsense);
  });

  it('may be that nothing listens there', async () => {
    const alone = await startService({ flags: { debug_level: 1 } });
    const [ok, message, code] = await ask(good, alone);
    expect([ok, message, code]).toEqual(unreachable);
    expect(await logOf(message, alone)).toMatchObject({
      reason: expect.stringMatching(/one_xmlrpc http:.*ECONNREFUSED$/),
    });
  });
});

describe("oned's refusal", () => {
  it.each([0x0100, 0x0200, 0x0400, 0x0800, 0x1000, 0x2000, 0x4000, 0x8000])(
    'with the code %i is passed on, in its own words',
    async (code) => {
      const error = `[one.vm.info] User [2] : Not <allowed> & "so" on [${code}].`;
      oned.answer(bad, { error, code });
      expect(await ask(bad)).toEqual([false, error, code]);
    },
  );

  it.each([
    ['error.wrong-password', 0x0100, /authenticated/],
    ['error.vm-missing', 0x0400, /virtual machine/i],
    ['vm.info.00-run-vnc.alice', 0x0200, /Not authorized to perform USE VM/],
  ])('as recorded (%s) is passed on', async (golden, code, words) => {
    oned.answer(bad, { golden });
    expect(await ask(bad)).toEqual([false, expect.stringMatching(words), code]);
  });

  it.each(['error.unknown-method', 'error.not-xml', 'error.no-params'])(
    'that is a fault (%s) is nonsense',
    async (golden) => {
      oned.answer(bad, { golden });
      expect(await ask(bad)).toEqual(nonsense);
    },
  );

  it('of many words is passed on in part', async () => {
    oned.answer(bad, { error: 'No. '.repeat(10_000), code: 0x0400 });
    expect(String((await ask(bad))[1]).length).toBeLessThanOrEqual(1000);
  });
});

describe('the call of oned', () => {
  it.each([
    'oneadmin:oneadmin',
    'alice:<&>"\'',
    'alice:]]>',
    'alice:]]>x]]>y]]>',
    'alice:<![CDATA[x]]>',
    'alice:&lt;&amp;&#60;',
    'Größe:世界 😀',
    ' alice : x ',
    'alice:a\tb\nc',
    'no colon at all',
    `alice:${'x'.repeat(2000)}`,
  ])('has the session %j to the letter', async (as) => {
    await ask(good, service, as);
    expect(vmCalls(oned).at(-1)).toMatchObject({ session: as, vmId: good, rest: '' });
    // Who a session is was remembered where another test has just asked.
    const who = oned.calls.filter(({ method, session }) => method === 'one.user.info' && session === as);
    expect(who.at(-1)).toMatchObject({ vmId: -1, rest: '' });
  });

  it('cannot be rewritten by what stands in the session', async () => {
    const inside =
      '</string></value></param><param><value><int>99</int></value></param></params></methodCall>';
    for (const as of [`alice:${inside}`, `alice:]]>]]>${inside}<!--`, `alice:]]>]]>${inside}<![CDATA[`]) {
      const [ok] = await ask(good, service, as);
      expect(ok).toBe(true);
      const { body, ...call } = vmCalls(oned).at(-1) ?? { body: '' };
      expect(call).toMatchObject({ method: 'one.vm.info', session: as, vmId: good, rest: '' });
      expect(body.match(/<param>/g)).toHaveLength(2);
      expect(body).not.toContain('<![CDATA[');
    }
  });

  it('keeps a carriage return inside the session', async () => {
    await ask(good, service, 'alice:a\rb');
    expect(vmCalls(oned).at(-1)?.body).toMatch(/<string>alice:a&#(13|xD);b<\/string>/);
  });

  it('asks for nothing but the VM, and who the caller is, as the caller', () => {
    expect(new Set(oned.calls.map(({ method, rest }) => `${method} ${rest}`))).toEqual(
      new Set(['one.vm.info ', 'one.user.info ']),
    );
  });
});

describe('a connection that hangs', () => {
  it('is given up after oned_timeout, and the next call works', async () => {
    oned.answer(bad, 'hang');
    const impatient = await startService({ oned, flags: { oned_timeout: 1, oned_connections: 2 } });
    const [waiting, other] = await Promise.all([ask(bad, impatient), ask(bad, impatient)]);
    expect(waiting).toEqual(tooSlow);
    expect(other).toEqual(tooSlow);
    expect(await logOf(waiting[1], impatient)).toMatchObject({
      reason: 'no answer from oned within 1 s (oned_timeout)',
    });
    await waitFor(() => oned.active() === 0, { what: 'the end of the connections to oned' });
    expect(await ask(good, impatient)).toEqual(issued);
  });

  /** Says the beginning of a reply, and drips for ever. */
  async function startDripping(beginning: string) {
    const dripping = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(`HTTP/1.1 ${beginning}`);
      const timer = setInterval(() => socket.write(' '), 20);
      socket.once('close', () => clearInterval(timer));
    });
    dripping.listen(0, '127.0.0.1');
    await once(dripping, 'listening');
    const { port } = dripping.address() as AddressInfo;
    return {
      url: `http://127.0.0.1:${port}/RPC2`,
      closed: async () => {
        // It closes only when nobody is connected any more.
        dripping.close();
        await within(once(dripping, 'close'), { what: 'the end of the connection' });
      },
    };
  }

  it.each([
    ['a reply', '200 OK\r\n\r\n<?xml version="1.0"?>', 300, 'oned-timeout'],
    ['headers', '200 OK\r\nX-Slow: ', 300, 'oned-timeout'],
    ['what is no reply at all', '404 Not Found\r\n\r\n', 60_000, 'oned-nonsense'],
    ['what can be no reply any more', '200 OK\r\n\r\n<methodResponse><nosuch></nosuch>', 300, 'oned-timeout'],
  ])(
    'that drips %s for ever is ended as soon as it is clear what it is',
    async (_what, beginning, timeoutMs, code) => {
      const { url, closed } = await startDripping(beginning);
      const client = new OnedClient(() => ({ url, timeoutMs, connections: 1 }));
      const asked = client.vmInfo(session as SessionString, good, new AbortController().signal);
      await expect(asked).rejects.toMatchObject({ code });
      await closed();
    },
  );

  it('counts while a call waits for its turn: who waits too long is told so, and oned never hears of him', async () => {
    let timeoutMs = 60_000;
    const client = new OnedClient(() => ({ url: oned.url, timeoutMs, connections: 1 }));
    const gone = new AbortController();
    oned.answer(bad, 'hang');
    const first = client.vmInfo(session as SessionString, bad, gone.signal).catch((error: unknown) => error);
    await waitFor(() => oned.active() === 1, { what: 'the first call at oned' });
    timeoutMs = 200;
    const calls = oned.calls.length;
    const second = client.vmInfo(session as SessionString, good, new AbortController().signal);
    await expect(second).rejects.toMatchObject({ code: 'oned-timeout' });
    expect(oned.calls).toHaveLength(calls);
    gone.abort();
    expect(await first).toMatchObject({ code: 'caller-gone' });
  });

  it('has one deadline over waiting and call', async () => {
    let timeoutMs = 60_000;
    const client = new OnedClient(() => ({ url: oned.url, timeoutMs, connections: 1 }));
    const gone = new AbortController();
    oned.answer(bad, 'hang');
    const first = client.vmInfo(session as SessionString, bad, gone.signal).catch(() => undefined);
    await waitFor(() => oned.active() === 1, { what: 'the first call at oned' });
    timeoutMs = 2000;
    const startedAt = performance.now();
    const second = client.vmInfo(session as SessionString, bad, new AbortController().signal);
    const end = second.catch((error: unknown) => error);
    await waitFor(() => performance.now() - startedAt > 1500, { what: 'most of the time to pass' });
    gone.abort();
    await first;
    expect(await end).toMatchObject({ code: 'oned-timeout' });
    // Two whole seconds for the call alone would make it 3.5.
    expect(performance.now() - startedAt).toBeLessThan(3000);
  });
});

describe('many calls', () => {
  it('are at oned at most oned_connections at a time', async () => {
    const own = await startTestOned();
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    own.answer(good, async () => {
      await gate;
      return { vm: { id: good } };
    });
    const few = await startService({ oned: own, flags: { oned_connections: 3 } });
    const calls = Array.from({ length: 20 }, () => ask(good, few));
    await waitFor(() => own.active() === 3, { what: 'three calls at oned' });
    open();
    for (const call of calls) expect(await call).toEqual(issued);
    expect([own.mostActive(), vmCalls(own).length]).toEqual([3, 20]);
  });

  it('are asked in the order in which they came', async () => {
    const own = await startTestOned();
    const few = await startService({ oned: own, flags: { oned_connections: 1 } });
    const socket = connect({ port: few.rpcPort, host: '127.0.0.1' });
    atEnd(() => {
      socket.destroy();
    });
    socket.resume();
    const order = [5, 3, 9, 1, 7, 2, 8];
    // On one connection, so that the order in which they arrive is known.
    const requests = order.map((vmId) => {
      const body = encodeCall('one.vm.vnc', [session, vmId]);
      return `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    });
    socket.write(requests.join(''));
    await waitFor(() => vmCalls(own).length === order.length, { what: 'all calls at oned' });
    expect(vmCalls(own).map(({ vmId }) => vmId)).toEqual(order);
    expect(own.mostActive()).toBe(1);
  });

  /** A portal that sends a call and can leave. */
  async function portal(to: Service, vmId: number) {
    const socket = connect({ port: to.rpcPort, host: '127.0.0.1' });
    await once(socket, 'connect');
    socket.on('error', () => undefined);
    const body = encodeCall('one.vm.vnc', [session, vmId]);
    socket.write(`POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    return socket;
  }

  it('lose one whose caller leaves while it waits: oned never hears of it', async () => {
    const own = await startTestOned();
    const few = await startService({ oned: own, flags: { oned_connections: 1, debug_level: 3 } });
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    own.answer(1, async () => {
      await gate;
      return { vm: { id: 1 } };
    });
    own.answer(3, { vm: { id: 3 } });
    const first = ask(1, few);
    await waitFor(() => own.active() === 1, { what: 'the first call at oned' });
    (await portal(few, 2)).destroy();
    await few.waitForLog(({ code, vm }) => code === 'caller-gone' && vm === 2, 'the caller who left');
    const third = ask(3, few);
    open();
    expect(await first).toEqual(issued);
    expect(await third).toEqual(issued);
    expect(vmCalls(own).map(({ vmId }) => vmId)).toEqual([1, 3]);
  });

  it('lose one whose caller leaves while oned is at it: its place is free at once', async () => {
    const own = await startTestOned();
    const few = await startService({
      oned: own,
      flags: { oned_connections: 1, oned_timeout: 60, debug_level: 3 },
    });
    own.answer(1, 'hang');
    own.answer(2, { vm: { id: 2 } });
    const socket = await portal(few, 1);
    await waitFor(() => own.active() === 1, { what: 'the call at oned' });
    socket.destroy();
    await waitFor(() => own.active() === 0, { what: 'the end of the connection to oned' });
    expect(await ask(2, few)).toEqual(issued);
  });
});

describe('oned behind TLS', () => {
  it('is asked where its certificate is trusted, and only there', async () => {
    const pki = await makePki();
    const front = createTlsServer(
      { cert: readFileSync(pki.server.cert), key: readFileSync(pki.server.key) },
      (socket) => {
        const behind = connect({ port: oned.port, host: '127.0.0.1' });
        for (const end of [socket, behind]) end.on('error', () => undefined);
        socket.pipe(behind).pipe(socket);
      },
    );
    front.on('tlsClientError', () => undefined);
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    atEnd(() => {
      front.close();
    });
    const url = `https://localhost:${(front.address() as AddressInfo).port}/RPC2`;
    const trusting = await startService({ oned: { url }, env: { NODE_EXTRA_CA_CERTS: pki.ca.cert } });
    expect(await ask(good, trusting)).toEqual(issued);
    const wary = await startService({ oned: { url } });
    const told = await ask(good, wary);
    expect(told).toEqual(unreachable);
    expect(await logOf(told[1], wary)).toMatchObject({ reason: expect.stringMatching(/(SIGN|CERT)/) });
  });
});
