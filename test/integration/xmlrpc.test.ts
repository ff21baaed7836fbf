// XML-RPC over real sockets, as portals speak it and as nobody should. What always holds: a call is answered with an
// array of exactly three or a fault; whatever else comes costs its sender the connection, and nobody else anything.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { join } from 'node:path';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { beforeAll, describe, expect, it } from 'vitest';
import { TrustedProxies } from '../../src/client-address.ts';
import { Pace } from '../../src/console/pace.ts';
import { GatewayError } from '../../src/errors.ts';
import { httpLimits, MAX_CONNECTIONS } from '../../src/http-limits.ts';
import { createEndpoint } from '../../src/rpc/endpoint.ts';
import { makePki } from '../support/certificates.ts';
import { atEnd } from '../support/lifetime.ts';
import { startTestOned, type TestOned, vmCalls } from '../support/oned.ts';
import {
  type HttpReply,
  oneReply,
  type Service,
  type ServiceOptions,
  startService,
} from '../support/service.ts';
import { waitFor, within } from '../support/wait.ts';
import { decodeReply, encodeCall, escapeXml } from '../support/xmlrpc.ts';

const maxBody = 4096;
const vmId = 7;
const session = 'oneadmin:oneadmin';

let oned: TestOned;
let service: Service;

beforeAll(async () => {
  oned = await startTestOned();
  oned.runVm(vmId, { host: 'node1', port: 5907 }, { PASSWD: 'secret' });
  service = await startService({ oned, flags: { max_body: maxBody } });
});

const tokenForm = /^[a-z0-9]{25,128}$/;
const goodBody = encodeCall('one.vm.vnctokenonly', [session, vmId]);

/** A call of one.vm.vnctokenonly with parameters as they are written here. */
const written = (parameters: string, prolog = '') =>
  `${prolog}<methodCall><methodName>one.vm.vnctokenonly</methodName><params>${parameters}</params></methodCall>`;

const withSession = (value: string, prolog = '') =>
  written(`<param>${value}</param><param><value><int>${vmId}</int></value></param>`, prolog);

const withThird = (value: string) =>
  `<methodCall><methodName>one.vm.vnctoken</methodName><params><param><value>${session}</value></param>` +
  `<param><value>${vmId}</value></param><param><value>${value}</value></param></params></methodCall>`;
const optionXml = (name: string, value: string) =>
  `<struct><member><name>${name}</name><value>${value}</value></member></struct>`;
const withVmId = (value: string) =>
  written(`<param><value><string>${session}</string></value></param><param>${value}</param>`);

async function expectToken(reply: Promise<HttpReply>): Promise<void> {
  expect(oneReply(await reply)).toEqual([true, expect.stringMatching(tokenForm), 0]);
}

async function expectFault(reply: Promise<HttpReply>, code: number): Promise<void> {
  const { status, body } = await reply;
  expect(status).toBe(200);
  expect(decodeReply(body).fault?.code).toBe(code);
}

/** A connection for bytes of any kind; what comes back, and when it ends. */
async function open(port: number) {
  const socket: Socket = connect({ port, host: '127.0.0.1' });
  atEnd(() => {
    socket.destroy();
  });
  let received = '';
  let ended = false;
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
  });
  socket.once('close', () => {
    ended = true;
  });
  await once(socket, 'connect');
  return { socket, received: () => received, ended: () => ended };
}

describe('the session string', () => {
  const text = 'Größe:pässwörd €';
  const latin = 'Größe:pässwörd';
  const value = (session: string) => `<value><string>${session}</string></value>`;
  const prolog = (encoding: string) => `<?xml version="1.0" encoding="${encoding}"?>\n`;
  const swapped = (body: string) => Buffer.from(body, 'utf16le').swap16();

  it.each<[string, string, string | Buffer, string?]>([
    ['in UTF-8', text, withSession(value(text))],
    [
      'in iso-8859-1, by its prolog',
      latin,
      Buffer.from(withSession(value(latin), prolog('iso-8859-1')), 'latin1'),
    ],
    [
      'in iso-8859-1, by its header',
      latin,
      Buffer.from(withSession(value(latin)), 'latin1'),
      'text/xml;charset=iso-8859-1',
    ],
    ['behind a byte order mark', text, `\ufeff${withSession(value(text), prolog('utf-8'))}`],
    [
      'in UTF-16, little end first',
      text,
      Buffer.from(`\ufeff${withSession(value(text), prolog('utf-16'))}`, 'utf16le'),
    ],
    ['in UTF-16, big end first', text, swapped(`\ufeff${withSession(value(text), prolog('utf-16'))}`)],
    ['in CDATA', 'a:<&>', withSession(value('<![CDATA[a:<&>]]>'))],
    ['in two CDATA sections', 'a:]]>', withSession(value('<![CDATA[a:]]]]><![CDATA[>]]>'))],
    ['with character references', 'a:ü<', withSession(value('a:&#252;&#x3c;'))],
    ['with an escaped reference', 'a:&lt;', withSession(value('a:&amp;lt;'))],
    ['without a type', 'a:b', withSession('<value>a:b</value>')],
    ['without a type, with white space of its own', ' a:b ', withSession('<value> a:b </value>')],
    ['with white space around it', 'a:b', withSession('\n <value>\n  <string>a:b</string>\n </value>\n')],
    ['that begins like a number', '00123:00456', withSession(value('00123:00456'))],
    ['that begins like another number', '1e5:1e5', withSession(value('1e5:1e5'))],
    ['with spaces at its ends', ' a:&b ', withSession(value(' a:&amp;b '))],
    ['with a line break at its end, which is cut', 'a:b', withSession(value('a:b\n'))],
    ['with a line break of DOS at its end', 'a:b', withSession(value('a:b&#13;&#10;'))],
    ['with two line breaks, of which one is cut', 'a:b\n', withSession(value('a:b\n\n'))],
    ['behind white space before the prolog', 'a:b', `\r\n\t ${withSession(value('a:b'), prolog('utf-8'))}`],
  ])('%s reaches oned as %j', async (_what, meant, body, contentType = 'text/xml') => {
    const before = vmCalls(oned).length;
    await expectToken(service.rawCall(body, { headers: { 'content-type': contentType } }));
    expect(vmCalls(oned)).toHaveLength(before + 1);
    expect(vmCalls(oned).at(-1)).toMatchObject({ session: meant, vmId, rest: '' });
  });

  it('may be empty: that is for oned to refuse', async () => {
    await service.rawCall(withSession('<value/>'));
    expect(oned.calls.at(-1)?.body).toContain('<param><value><string></string></value></param>');
  });

  it.each([
    '<nil/>',
    '<ex:nil/>',
    '<int>1</int>',
    '<base64>YTpi</base64>',
    '<boolean>1</boolean>',
    '<array><data/></array>',
    '<struct/>',
  ])('may not be a %s', async (typed) => {
    const before = oned.calls.length;
    const reply = oneReply(await service.rawCall(withSession(`<value>${typed}</value>`)));
    expect(reply).toEqual([false, 'The first parameter, the session, is no string', 0x1000]);
    expect(oned.calls).toHaveLength(before);
  });
});

describe('the VM id', () => {
  it.each([
    '<int>7</int>',
    '<i4>7</i4>',
    '<i8>7</i8>',
    '<string>7</string>',
    '<string>+7</string>',
    '7',
    '<i4> 007 </i4>',
    '<i2>7</i2>',
    '<ex:i2>7</ex:i2>',
    '<ex:i8>7</ex:i8>',
    '<double>7</double>',
    '<double>7.0</double>',
  ])('may be %s', async (typed) => {
    await expectToken(service.rawCall(withVmId(`<value>${typed}</value>`)));
    expect(vmCalls(oned).at(-1)?.vmId).toBe(vmId);
  });

  it.each([
    '<nil/>',
    '<double>7.5</double>',
    '<base64>Nw==</base64>',
    '<dateTime.iso8601>19980717T14:08:55</dateTime.iso8601>',
    '<boolean>1</boolean>',
    '<array><data><value><int>7</int></value></data></array>',
    '<struct/>',
    '<i8>4294967303</i8>',
    '<i8>99999999999999999999</i8>',
    '<string>7; DROP</string>',
    '<string> 7</string>',
    '<string></string>',
    '<int>7.0</int>',
    '<int>0x7</int>',
    '<nosuch>7</nosuch>',
  ])('may not be %s', async (typed) => {
    const before = oned.calls.length;
    const reply = oneReply(await service.rawCall(withVmId(`<value>${typed}</value>`)));
    expect(reply).toEqual([false, 'The second parameter, the VM id, is no integer in range', 0x1000]);
    expect(oned.calls).toHaveLength(before);
  });

  it('of which oned knows nothing is refused with its words', async () => {
    expect(await service.call('one.vm.vnctokenonly', [session, -1])).toEqual([
      ...[false, '[one.vm.info] Error getting virtual machine [-1].', 0x0400],
    ]);
  });
});

describe('parameters', () => {
  it.each([
    ['a struct', { ttl: 5 }],
    ['an int', 0],
    ['a string', 'x'],
    ['a boolean', true],
    ['an array', [1]],
  ])('may have %s for the third, which is not asked for anything', async (_what, third) => {
    const [ok] = await service.call('one.vm.vnctokenonly', [session, vmId, third]);
    expect(ok).toBe(true);
    expect(vmCalls(oned).at(-1)?.rest).toBe('');
  });

  it.each([
    [
      'a struct',
      '<struct><member><name>view_only</name><value><boolean>1</boolean></value></member></struct>',
    ],
    ['what pyone makes of a dict', '<string>view_only="True"\n</string>'],
    ['a text', 'clipboard=off'],
  ])('may restrict with %s, which takes vnc_auth: proxy', async (_what, third) => {
    const reply = oneReply(await service.rawCall(withThird(third)));
    expect(reply).toEqual([
      false,
      expect.stringMatching(/^(view_only|clipboard) takes vnc_auth: proxy$/),
      0x1000,
    ]);
  });

  it.each([
    ['a boolean that is none', optionXml('view_only', '<boolean>true</boolean>')],
    ['another spelling', optionXml('viewOnly', '<boolean>1</boolean>')],
    ['a blank before', optionXml(' view_only', '<boolean>1</boolean>')],
    ['a struct in an array', `<array><data><value>${optionXml('view_only', '1')}</value></data></array>`],
    ['JSON', '<string>{"view_only": true}</string>'],
    ['another spelling in a text', 'VIEW_ONLY="YES"'],
  ])('may not restrict with %s: nobody is asked', async (_what, third) => {
    const before = oned.calls.length;
    const reply = oneReply(await service.rawCall(withThird(third)));
    expect(reply).toEqual([false, expect.stringMatching(/^view_only /), 0x1000]);
    expect(oned.calls).toHaveLength(before);
  });

  it.each([
    ['none', []],
    ['one', [session]],
    ['four', [session, vmId, 1, 2]],
    // As many as fit.
    ['many', Array.from({ length: 80 }, () => vmId)],
  ])('may not be %s', async (_what, parameters) => {
    const [ok, message, code] = await service.call('one.vm.vnctoken', parameters);
    expect([ok, code]).toEqual([false, 0x1000]);
    expect(message).toBe(
      `one.vm.vnctoken takes a session string, a VM id and optionally a struct; ${parameters.length} parameters came`,
    );
  });
});

describe('what is no call', () => {
  it.each<[string, string | Buffer, string?]>([
    ['nothing', ''],
    ['white space', ' \n'],
    ['no XML', 'one.vm.vnctoken'],
    ['half a call', goodBody.slice(0, -20)],
    ['invalid UTF-8', Buffer.concat([Buffer.from(withSession('<value>a:')), Buffer.from([0xff])])],
    ['iso-8859-1 that says it is UTF-8', Buffer.from(withSession('<value>ü</value>'), 'latin1')],
    [
      'an encoding that nobody knows',
      withSession('<value>a</value>', '<?xml version="1.0" encoding="x-no"?>'),
    ],
    ['a charset that nobody knows', goodBody, 'text/xml; charset=x-no'],
    ['a raw control character', withSession('<value>a:\x01</value>')],
    ['a NUL', withSession('<value>a:\0</value>')],
    ['a reference to a control character', withSession('<value>a:&#1;b</value>')],
    ['a reference to a surrogate', withSession('<value>a:&#xD800;</value>')],
    ['an entity that is not defined', withSession('<value>a:&copy;</value>')],
    ['a bare &', withSession('<value>a:b&c</value>')],
    ['deep nesting', withVmId(`<value>${'<array><data><value>'.repeat(60)}`)],
    ['deep nesting that ends', `${'<a>'.repeat(500)}${'</a>'.repeat(500)}`],
    ['a thousand attributes', `<methodCall ${'a="" '.repeat(700)}/>`],
  ])('%s: fault -32700', async (_what, body, contentType = 'text/xml') => {
    await expectFault(service.rawCall(body, { headers: { 'content-type': contentType } }), -32700);
  });

  it.each([
    ['another document', '<methodResponse/>'],
    ['HTML', '<html><body/></html>'],
    ['a call without a method', '<methodCall><params/></methodCall>'],
  ])('%s: fault -32600', async (_what, body) => {
    await expectFault(service.rawCall(body), -32600);
  });

  const external = '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/hostname">]>';
  const laughs = Array.from(
    { length: 20 },
    (_value, level) => `<!ENTITY l${level + 1} "${`&l${level};`.repeat(10)}">`,
  );

  it.each([
    ['a billion laughs', `<!DOCTYPE m [<!ENTITY l0 "ha">${laughs.join('')}]>`, '&l20;'],
    ['an external entity', external, '&x;'],
    ['an external subset', '<!DOCTYPE m SYSTEM "http://127.0.0.1:1/x.dtd">', 'x'],
    ['a parameter entity', '<!DOCTYPE m [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x">%x;]>', 'x'],
    ['nothing in it', '<!DOCTYPE m>', 'x'],
  ])('a DOCTYPE with %s is refused before it is looked at', async (_what, doctype, value) => {
    const before = oned.calls.length;
    const reply = await service.rawCall(withSession(`<value>${value}</value>`, doctype));
    expect(decodeReply(reply.body).fault).toEqual({
      code: -32700,
      message: 'Request is not well-formed XML: a DOCTYPE is not accepted',
    });
    expect(oned.calls).toHaveLength(before);
  });

  it('is not repeated to its sender', async () => {
    for (const body of [
      '<a>opensesame',
      '<!DOCTYPE opensesame>',
      'opensesame',
      '<opensesame/>',
      '<a>&opensesame;</a>',
    ])
      expect((await service.rawCall(body)).body).not.toContain('opensesame');
  });
});

describe('an error text that echoes what came', () => {
  const told = async (method: string) => (await service.call(method, [session, vmId]))[1];

  it.each([
    ['</string><b>&]]>', '</string><b>&]]>'],
    ['a\tb\nc\u007fd\u0085e\u202ef', 'a?b?c?d?e?f'],
    ['größe', 'gr??e'],
    ["it's", "it's"],
  ])('the method %j is told as %j, and leaves the reply whole', async (method, named) => {
    expect(await told(method)).toMatch(
      new RegExp(`^Unknown method '${named.replace(/[\]?]/g, '\\$&')}'\\. Expected`),
    );
  });

  it.each([
    ['markup', '</string></value> <b>&amp; ]]> <![CDATA[x]]>'],
    ['line breaks', 'one\ntwo\r\nthree'],
    ['another language', 'Größe 世界 😀'],
  ])("%s in oned's words arrives as it is", async (_what, message) => {
    oned.answer(1, { error: message, code: 0x0400 });
    const [, words] = await service.call('one.vm.vnctoken', [session, 1]);
    // Raw line breaks are one character in XML, whoever parses them first.
    expect(String(words).replace(/\r\n/g, '\n')).toBe(message.replace(/\r\n/g, '\n'));
  });

  it("a control character in oned's words is not passed on", async () => {
    oned.answer(1, { error: 'a\x1b[31mb\0c', code: 0x0400 });
    expect((await service.call('one.vm.vnctoken', [session, 1]))[1]).toBe('a\ufffd[31mb\ufffdc');
  });

  it('a graphics type is told as it is', async () => {
    oned.answer(1, { vm: { id: 1, graphics: { TYPE: '<b>&' } } });
    expect(await service.call('one.vm.vnctoken', [session, 1])).toEqual([
      ...[false, "Graphics type '<b>&' but 'VNC' expected", 0x0400],
    ]);
  });
});

describe('the body', () => {
  const padded = (length: number) => goodBody + ' '.repeat(length - goodBody.length);

  /** Sends a body in chunks of 100 bytes, without a length. */
  async function callChunked(body: string) {
    const { socket, received, ended } = await open(service.rpcPort);
    socket.write('POST /RPC2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let at = 0; at < body.length; at += 100) {
      const chunk = body.slice(at, at + 100);
      socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    }
    socket.write('0\r\n\r\n');
    await waitFor(ended, { what: 'the answer' });
    return received();
  }

  it('of exactly max_body is taken', async () => {
    await expectToken(service.rawCall(padded(maxBody)));
    expect(await callChunked(padded(maxBody))).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('of one byte more is 413, whether its length is told or not', async () => {
    const { status, body, headers } = await service.rawCall(padded(maxBody + 1));
    expect([status, body]).toEqual([413, `Request is larger than max_body, ${maxBody} bytes\n`]);
    expect(headers.connection).toBe('close');
    expect(await callChunked(padded(maxBody + 1))).toMatch(/^HTTP\/1\.1 413 /);
  });

  it('of many megabytes is 413', async () => {
    expect((await service.rawCall(Buffer.alloc(20 * 1024 * 1024, 'x'))).status).toBe(413);
  });

  it.each([
    ['gzip', gzipSync(goodBody)],
    ['GZIP', gzipSync(goodBody)],
    ['deflate', deflateSync(goodBody)],
    ['br', brotliCompressSync(goodBody)],
    ['identity', Buffer.from(goodBody)],
  ])('may be coded as %s', async (coding, body) => {
    await expectToken(service.rawCall(body, { headers: { 'content-encoding': coding } }));
  });

  it('that is a bomb is 413, and costs no memory', async () => {
    const bomb = gzipSync(Buffer.alloc(100 * 1024 * 1024));
    const peakKilobytes = () =>
      Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${service.child.pid}/status`, 'utf8'))?.[1]);
    const before = peakKilobytes();
    for (let times = 0; times < 3; times++)
      expect((await service.rawCall(bomb, { headers: { 'content-encoding': 'gzip' } })).status).toBe(413);
    expect(peakKilobytes() - before).toBeLessThan(80 * 1024);
    await expectToken(service.rawCall(goodBody));
  });

  it.each([
    ['of an unknown coding', 415, Buffer.from(goodBody), 'compress'],
    ['of two codings', 415, gzipSync(gzipSync(goodBody)), 'gzip, gzip'],
    ['that is not what its coding says', 400, Buffer.from(goodBody), 'gzip'],
    ['that ends too soon', 400, gzipSync(goodBody).subarray(0, -20), 'gzip'],
  ])('%s is %i', async (_what, status, body, coding) => {
    const reply = await service.rawCall(body, { headers: { 'content-encoding': coding } });
    expect(reply.status).toBe(status);
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(reply.body).not.toMatch(/node_modules|at |<html/);
  });

  it.each([
    'application/xml',
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json',
    'multipart/form-data; boundary=x',
    'garbage;;;=',
    '',
  ])('may be of the type %j', async (type) => {
    await expectToken(service.rawCall(goodBody, { headers: { 'content-type': type } }));
  });

  it('may come with GET as well as with POST', async () => {
    await expectToken(service.rawCall(goodBody, { method: 'GET' }));
    await expectFault(service.rawCall('', { method: 'GET' }), -32700);
  });
});

describe('the path', () => {
  it.each([
    '/RPC2',
    '/RPC2/',
    '/RPC2x',
    '/RPC2/vnctoken',
    '/RPC2?a=b',
    '/RPC2/../RPC2',
    '/x/../RPC2',
    '/./RPC2',
    '/%2e/RPC2',
    '/x/%2e%2E/RPC2',
    '/../RPC2',
    'http://elsewhere.example/RPC2',
  ])('%s is XML-RPC', async (path) => {
    await expectToken(service.rawCall(goodBody, { path }));
  });

  it.each([
    '/',
    '/rpc2',
    '/RPC',
    '//RPC2',
    '/x/RPC2',
    '/x/..//RPC2',
    '/RPC2/../x',
    '/RPC2/%2e%2e/x',
    '/RPC2/../../etc/passwd',
    '/..%2fRPC2',
    '/%52PC2',
    '/?/RPC2',
    '/healthz/RPC2',
    'http://elsewhere.example/',
    'http://elsewhere.example/x#/RPC2',
    '*',
  ])('%s is not found', async (path) => {
    const before = oned.calls.length;
    const { status, body } = await service.rawCall(goodBody, { path });
    expect([status, body]).toEqual([404, 'Not found; XML-RPC is at /RPC2\n']);
    expect(oned.calls).toHaveLength(before);
  });

  it.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'HEAD'])(
    'may not be asked with %s: 405',
    async (method) => {
      const before = oned.calls.length;
      const { status, headers } = await service.rawCall(
        method === 'TRACE' || method === 'HEAD' ? '' : goodBody,
        { method },
      );
      expect([status, headers.allow]).toEqual([405, 'GET, POST']);
      expect(oned.calls).toHaveLength(before);
    },
  );

  it('/healthz is ok', async () => {
    for (const path of ['/healthz', '/x/../healthz', '/RPC2/../healthz', '/healthz?x'])
      expect(await service.rawCall('', { method: 'GET', path })).toMatchObject({ status: 200, body: 'ok' });
    expect((await service.rawCall('', { method: 'HEAD', path: '/healthz' })).status).toBe(200);
  });
});

describe('a reply', () => {
  it('is text/xml, says nothing of what serves it, and may be read by the oldest of clients', async () => {
    const bodies: [status: number, body: string][] = [
      [200, goodBody],
      [200, encodeCall('one.vm.vnctoken', [session, vmId])],
      [200, encodeCall('one.vm.vnc', [session, vmId])],
      [200, encodeCall('one.vm.vncurl', [session, vmId])],
      [200, encodeCall('one.vm.nosuch', [session, vmId])],
      [200, encodeCall('one.vm.vnctoken', [])],
      [200, 'nonsense'],
    ];
    for (const [status, sent] of bodies) {
      const { status: got, headers, body } = await service.rawCall(sent);
      expect([got, headers['content-type']]).toEqual([status, 'text/xml; charset=utf-8']);
      expect(headers).not.toHaveProperty('x-powered-by');
      expect(body).not.toMatch(/<nil|<!\[CDATA|<ex:/);
      const { value, fault } = decodeReply(body);
      if (fault) expect(fault.message).not.toBe('');
      else {
        expect(value).toHaveLength(3);
        expect((value as unknown[])[1]).not.toBe('');
      }
    }
  });

  it('to one.vm.vnctoken has every member, empty ones too', async () => {
    oned.answer(2, {
      vm: { id: 2, hosts: ['node1', 'node2'], graphics: { TYPE: 'vnc', LISTEN: '', PASSWD: '' } },
    });
    const [ok, value, code] = await service.call('one.vm.vnctoken', [session, 2]);
    const token = expect.stringMatching(tokenForm);
    expect([ok, code]).toEqual([true, 0]);
    expect(value).toEqual({
      ...{ id: 2, host: 'node2', type: 'vnc', port: 5900, listen: '', password: '', wss: false, token },
      ...{ VmId: 2, Host: 'node2', Type: 'vnc', Listen: '', Password: '', Wss: false, Token: token },
    });
    expect((value as Record<string, unknown>)['token']).toBe((value as Record<string, unknown>)['Token']);
  });

  it.each(['00123', '1e5', ' a&b ', ']]>', '<i4>1</i4>', '"\'', 'pässwörd', '世界😀', ' ', '%41', ''])(
    'tells the password %j as it is, in every form',
    async (password) => {
      oned.runVm(3, { host: 'node1', port: 5907 }, { PASSWD: password });
      const [, struct] = await service.call('one.vm.vnctoken', [session, 3]);
      expect(struct).toMatchObject({ password, Password: password });
      const [, xml] = await service.call('one.vm.vnc', [session, 3]);
      expect(xml).toMatch(
        /^<VM><ID>3<\/ID><HOST>node1<\/HOST><TYPE>VNC<\/TYPE><PORT>5907<\/PORT><LISTEN>0\.0\.0\.0<\/LISTEN><PASSWORD>/,
      );
      const inside =
        /<PASSWORD>([^<]*)<\/PASSWORD><WSS>false<\/WSS><TOKEN>[a-z0-9]{25,}<\/TOKEN><\/VM>$/.exec(
          String(xml),
        );
      expect(inside?.[1]?.replace(/&quot;/g, '"').replace(/&apos;/g, "'")).toBe(escapeXml(password));
    },
  );

  it.each([
    [
      'SPICE',
      { vm: { id: 4, graphics: { TYPE: 'SPICE' } } },
      "Graphics type 'SPICE' but 'VNC' expected",
      0x0400,
    ],
    ['no graphics', { vm: { id: 4, graphics: null } }, "Graphics type '' but 'VNC' expected", 0x0400],
    [
      'sshd for its port',
      { vm: { id: 4, graphics: { PORT: 22 } } },
      "Graphics port '22' is not in console_ports",
      0x0400,
    ],
    ['no host', { vm: { id: 4, hosts: [] } }, 'The VM has no host', 0x0400],
    [
      'a host of odd characters',
      { vm: { id: 4, hosts: ['a b'] } },
      "The name of the VM's host has characters that are not accepted",
      0x0400,
    ],
    [
      'the state POWEROFF',
      { vm: { id: 4, state: 8, lcmState: 0 } },
      'Unsupported VM state! STATE:8 LCM_STATE:0',
      0x0800,
    ],
    ['the state PROLOG', { vm: { id: 4, lcmState: 1 } }, 'Unsupported VM state! STATE:3 LCM_STATE:1', 0x0800],
  ])('for a VM with %s is a refusal', async (_what, answer, message, code) => {
    oned.answer(4, answer);
    for (const method of ['one.vm.vnctoken', 'one.vm.vnctokenonly', 'one.vm.vnc'])
      expect(await service.call(method, [session, 4])).toEqual([false, message, code]);
  });

  it('to one.vm.vncurl without public_url is a refusal, and oned is not asked', async () => {
    const before = oned.calls.length;
    expect(await service.call('one.vm.vncurl', [session, vmId])).toEqual([
      ...[false, 'public_url is not set', 0x2000],
    ]);
    expect(oned.calls).toHaveLength(before);
  });
});

describe('public_url and vnc_proxy_support_wss', () => {
  it.each(['no', 'yes', 'only'])('%s: what is told of the way to the proxy', async (support) => {
    const ownConfig = (publicUrl?: string) => (publicUrl === undefined ? '' : `:public_url: ${publicUrl}\n`);
    const options: ServiceOptions = { oned, flags: { vnc_proxy_support_wss: support } };
    if (support !== 'no') {
      const { server } = await makePki();
      options.flags = { ...options.flags, vnc_proxy_cert: server.cert, vnc_proxy_key: server.key };
    }
    const own = await startService({ ...options, ownConfig: ownConfig() });
    const ask = async () =>
      (await own.call('one.vm.vnctoken', [session, vmId]))[1] as Record<string, unknown>;
    const xml = async () => String((await own.call('one.vm.vnc', [session, vmId]))[1]);

    const plain = await ask();
    expect([plain['wss'], plain['Wss']]).toEqual([support !== 'no', support !== 'no']);
    expect(plain).not.toHaveProperty('url');
    expect(await xml()).toContain(`<WSS>${support !== 'no'}</WSS>`);

    let reloads = 0;
    for (const publicUrl of ['https://cloud.example:8443/vnc/', 'http://cloud.example']) {
      writeFileSync(join(own.oneLocation, 'etc/vnctoken-server.conf'), ownConfig(publicUrl));
      own.signal('SIGHUP');
      reloads++;
      await waitFor(
        () => own.logLines().filter(({ msg }) => msg === 'configuration reloaded').length === reloads,
        {
          what: 'the reload',
        },
      );
      const secure = publicUrl.startsWith('https') || support !== 'no';
      const told = await ask();
      expect([told['wss'], told['Wss']]).toEqual([secure, secure]);
      const prefix = `${publicUrl.replace(/\/$/, '')}/console/#token=`;
      expect(told['url']).toBe(`${prefix}${told['token']}&password=secret`);
      const [ok, url, code] = await own.call('one.vm.vncurl', [session, vmId]);
      expect([ok, code]).toEqual([true, 0]);
      expect(String(url).slice(0, prefix.length)).toBe(prefix);
      expect(String(url).slice(prefix.length)).toMatch(/^[a-z0-9]{25,}&password=secret$/);
    }
  });
});

describe('the log of a call', () => {
  it.each<[string, string | undefined, string]>([
    ['is the peer where nothing is forwarded', undefined, '127.0.0.1'],
    ['is whom a trusted proxy names', '203.0.113.9', '203.0.113.9'],
    ['is the right-most that is not trusted', '198.51.100.1, 203.0.113.9, 127.0.0.2', '203.0.113.9'],
    ['is nobody where the proxy names nonsense', '<script>, "x"', 'unknown'],
  ])('has the client, which %s', async (_what, forwardedFor, client) => {
    const before = service.logLines().length;
    const headers: Record<string, string> = { 'x-real-ip': '192.0.2.77' };
    if (forwardedFor !== undefined) headers['x-forwarded-for'] = forwardedFor;
    const [, token] = oneReply(await service.rawCall(goodBody, { headers }));
    const line = await waitFor(
      () =>
        service
          .logLines()
          .slice(before)
          .find(({ msg }) => msg === 'token issued'),
      { what: 'its line' },
    );
    expect(line).toMatchObject({
      ...{ level: 'info', vm: vmId, user: 'oneadmin', client, target: { host: 'node1', port: 5907 } },
      ref: expect.stringMatching(/^[2-9A-Z]{6}$/),
      fingerprint: expect.stringMatching(/^[0-9a-f]{12}$/),
      durationMs: expect.any(Number),
    });
    expect(JSON.stringify(line)).not.toContain(String(token));
  });

  it('has the peer itself where it is not among trusted_proxies', async () => {
    const own = await startService({ oned, flags: { trusted_proxies: '192.0.2.0/24' } });
    await own.rawCall(goodBody, { headers: { 'x-forwarded-for': '203.0.113.9' } });
    const line = await own.waitForLog(({ msg }) => msg === 'token issued', 'the call');
    expect(line).toMatchObject({ client: '127.0.0.1' });
  });

  it('has the reference that the caller was told', async () => {
    oned.answer(5, 'hang-up');
    const [, message] = await service.call('one.vm.vnctoken', [session, 5]);
    const ref = /\(ref ([2-9A-Z]{6})\)$/.exec(String(message))?.[1];
    expect(ref).toBeDefined();
    const line = await service.waitForLog((candidate) => candidate['ref'] === ref, 'the refusal');
    expect(line).toMatchObject({ level: 'error', vm: 5, user: 'oneadmin', code: 'oned-unreachable' });
  });

  it.each([
    ['a fault', 'nonsense', { fault: -32700, reason: expect.stringContaining('not well-formed') }],
    ['an unknown method', encodeCall('one.vm.opensesame', [session, vmId]), { reason: 'unknown method' }],
    ['a refusal of the policy', encodeCall('one.vm.vnc', [session, 6]), { code: 'wrong-state', vm: 6 }],
  ])('has a line and a reference for %s', async (_what, body, expected) => {
    oned.answer(6, { vm: { id: 6, state: 8 } });
    const before = service.logLines().length;
    await service.rawCall(body);
    const line = await waitFor(() => service.logLines()[before], { what: 'its line' });
    expect(line).toMatchObject({ msg: 'call refused', ref: expect.any(String), ...expected });
    expect(JSON.stringify(line)).not.toContain('opensesame');
  });
});

describe('a peer that takes its time', () => {
  /** The service's own listener, with an oned that answers at once, and with less patience. */
  async function impatientServer(limits: { headersTimeout?: number; requestTimeout?: number }) {
    const refuse = () => Promise.reject(new GatewayError('wrong-state'));
    const many = 1_000_000;
    const server = createEndpoint({
      pace: new Pace(),
      issue: refuse,
      oned: { vmInfo: refuse },
      identities: { present: refuse },
      zone: { learn: async () => {} },
      rights: { mayManage: refuse },
      revocation: { revokeVm: refuse, sessionsOfVm: refuse },
      audit: () => {},
      logger: pino({ level: 'silent' }),
      isExempt: () => true,
      maxBodyBytes: maxBody,
      settings: () => ({
        ...{ publicUrl: undefined, wss: false, trustedProxies: new TrustedProxies([]) },
        ...{ allowedOrigins: [], ownHosts: new Set<string>() },
        ...{ serverUsers: new Set<string>(), maxCallsPerAddress: many },
        ...{ maxFailedLogins: many, maxFailedLoginsPerAddress: many },
      }),
      stopping: new AbortController().signal,
    });
    Object.assign(server, limits);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => {
      server.closeAllConnections();
      server.close();
    });
    return { server, port: (server.address() as AddressInfo).port };
  }

  /** A byte every now and then, for as long as anybody takes them. */
  function trickle(socket: Socket, bytes: string): void {
    let at = 0;
    const timer = setInterval(() => socket.write(bytes[at++ % bytes.length] ?? ' '), 20);
    socket.once('close', () => clearInterval(timer));
  }

  it('is given ten seconds for its headers, thirty for all, and five between two calls', async () => {
    const { server } = await impatientServer({});
    expect(server).toMatchObject({
      ...{ headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 },
      ...{ maxHeadersCount: 513, maxConnections: MAX_CONNECTIONS },
    });
    // The default would look every thirty seconds only.
    expect(httpLimits.connectionsCheckingInterval).toBe(1000);
  });

  it('by sending nothing loses its connection', async () => {
    const { port } = await impatientServer({ headersTimeout: 200, requestTimeout: 300 });
    const { ended } = await open(port);
    await waitFor(ended, { what: 'the end of the connection', deadlineMs: 5000 });
  });

  it('in its headers loses its connection', async () => {
    const { port } = await impatientServer({ headersTimeout: 200, requestTimeout: 300 });
    const { socket, ended, received } = await open(port);
    socket.write('POST /RPC2 HTTP/1.1\r\nHost: x\r\nX-Slow: ');
    trickle(socket, 'x');
    await waitFor(ended, { what: 'the end of the connection', deadlineMs: 5000 });
    expect(received()).toMatch(/^HTTP\/1\.1 408 /);
  });

  it.each([
    ['of a told length', 'Content-Length: 4000\r\n\r\n', goodBody],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n', '1\r\nx\r\n'],
    ['that is too long in the end', 'Transfer-Encoding: chunked\r\n\r\n2000\r\n', 'x'],
    ['of which none comes', 'Content-Length: 100000\r\n\r\n', ''],
  ])('with a body %s loses its connection', async (_what, headers, bytes) => {
    const { port } = await impatientServer({ headersTimeout: 200, requestTimeout: 400 });
    const { socket, ended } = await open(port);
    socket.write(`POST /RPC2 HTTP/1.1\r\nHost: x\r\n${headers}`);
    if (bytes !== '') trickle(socket, bytes);
    await waitFor(ended, { what: 'the end of the connection', deadlineMs: 5000 });
  });

  it('keeps nobody else waiting: a thousand of them, and a call is answered', async () => {
    const idle = await Promise.all(Array.from({ length: 1000 }, () => open(service.rpcPort)));
    for (const [index, { socket }] of idle.entries())
      if (index % 2 === 0)
        socket.write('POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n<methodCall>');
    await within(expectToken(service.rawCall(goodBody)), { what: 'the answer', deadlineMs: 8000 });
    expect(idle.every(({ ended }) => !ended())).toBe(true);
    for (const { socket } of idle) socket.destroy();
  });
});

describe('a connection', () => {
  it('is closed after headers that are too long or no HTTP', async () => {
    for (const [bytes, status] of [
      [`POST /RPC2 HTTP/1.1\r\nX: ${'y'.repeat(65 * 1024)}\r\n\r\n`, 431],
      ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
      [`POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
    ] as const) {
      const { socket, received, ended } = await open(service.rpcPort);
      socket.write(Buffer.from(bytes, 'latin1'));
      await waitFor(ended, { what: 'the end of the connection' });
      expect(received()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    }
  });

  it('may carry several calls, one after the other or at once, answered in order', async () => {
    const { socket, received } = await open(service.rpcPort);
    const request = (method: string) => {
      const body = encodeCall(method, [session, vmId]);
      return `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
    };
    socket.write(request('one.vm.vnctokenonly') + request('one.vm.nosuch') + request('one.vm.vnc'));
    await waitFor(() => received().split('</methodResponse>').length === 4, { what: 'three answers' });
    const [first, second, third] = received().split('</methodResponse>');
    expect(first).toMatch(/<string>[a-z0-9]{25,}<\/string>/);
    expect(second).toContain('Unknown method');
    expect(third).toContain('&lt;VM&gt;');
  });
});
