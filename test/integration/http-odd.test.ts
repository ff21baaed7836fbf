// HTTP as intermediaries, balancers and attackers send it, to both listeners: tables of raw requests, so that the next
// odd one is a line.
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { MAX_HEADERS } from '../../src/http-limits.ts';
import { makePki } from '../support/certificates.ts';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { rawExchange } from '../support/raw-http.ts';
import { greet } from '../support/vnc-target.ts';
import { encodeCall } from '../support/xmlrpc.ts';

let consoles: Consoles;
let token: string;
const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const call = encodeCall('one.vm.vnctokenonly', ['oneadmin:oneadmin', 4711]);

beforeAll(async () => {
  const { server } = await makePki();
  consoles = await startConsoles({
    flags: {
      ...{ vnc_proxy_support_wss: 'yes', vnc_proxy_cert: server.cert, vnc_proxy_key: server.key },
      ...{ token_sessions: 'shared', max_sessions_per_vm: 256, max_sessions_per_user: 1000 },
    },
  });
  ({ token } = await consoles.console(greet));
});

const proxy = (request: string, tls = false) =>
  rawExchange({ port: consoles.service.proxyPort, request, tls });
const rpc = (request: string | Buffer) => rawExchange({ port: consoles.service.rpcPort, request });

/** An upgrade with the token in the query; of a header that is given the usual line is left out. */
function upgrade(lines: readonly string[], target = `/?token=${token}`, version = '1.1'): string {
  const usual = [
    'Host: 127.0.0.1',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${key}`,
  ];
  const given = new Set(lines.map((line) => line.split(':', 1)[0]?.toLowerCase()));
  const kept = usual.filter((line) => !given.has(line.split(':', 1)[0]?.toLowerCase()));
  return [`GET ${target} HTTP/${version}`, ...kept, ...lines, '', ''].join('\r\n');
}

describe('an upgrade', () => {
  it.each<[what: string, lines: string[]]>([
    ['with two lines of Upgrade', ['Upgrade: h2c', 'Upgrade: websocket']],
    ['with a list in Upgrade', ['Upgrade: websocket, h2c']],
    ['with other letters and blanks', ['Upgrade: \t WEBSocket \t', 'Connection: \tkeep-alive ,\tUPGRADE ']],
    ['with two lines of Connection', ['Connection: keep-alive', 'Connection: Upgrade']],
    ['with empty members in Connection', ['Connection: , Upgrade,,']],
    ['with no subprotocol in the header for it', ['Sec-WebSocket-Protocol:']],
    ['with a repeated subprotocol', ['Sec-WebSocket-Protocol: binary,,binary']],
    ['with an empty subprotocol first', ['Sec-WebSocket-Protocol:  , binary']],
    ['with subprotocols in lines', ['Sec-WebSocket-Protocol: base64', 'Sec-WebSocket-Protocol: binary']],
    ['with versions in a list', ['Sec-WebSocket-Version: 13, 8']],
    ['with versions in lines', ['Sec-WebSocket-Version: 8', 'Sec-WebSocket-Version: 13']],
    ['with a key and blanks', [`Sec-WebSocket-Key:   ${key}  `]],
    ['with odd extensions', ['Sec-WebSocket-Extensions: permessage-deflate; ;, x;y="']],
    ['with no extension', ['Sec-WebSocket-Extensions: ,']],
    ['with a length of nothing', ['Content-Length: 0']],
    ['with a type of nothing', ['Content-Type:', 'Content-Encoding: utf-8']],
    ['with a cookie of 32 KiB', [`Cookie: session=${'a'.repeat(32 * 1024)}`]],
    ['with 32 KiB in many cookies', Array<string>(64).fill(`Cookie: ${'a'.repeat(500)}=b`)],
    ['with hundreds of headers', Array.from({ length: 400 }, (_none, index) => `X-H-${index}: y`)],
    ['of a program behind a forward proxy', ['Proxy-Connection: keep-alive', 'Via: 1.0 squid']],
  ])('%s is one', async (_what, lines) => {
    expect((await proxy(upgrade(lines))).status).toBe(101);
    expect((await proxy(upgrade(lines), true)).status).toBe(101);
  });

  it.each(['http://127.0.0.1', 'ws://console.example', 'https://console.example:8443'])(
    'whose target is absolute, %s, is one',
    async (origin) => {
      expect((await proxy(upgrade([], `${origin}/?token=${token}`))).status).toBe(101);
    },
  );

  it.each<[status: number, what: string, lines: string[]]>([
    [400, 'with another protocol alone', ['Upgrade: h2c, websockets']],
    [400, 'with two keys', [`Sec-WebSocket-Key: ${key}`, `Sec-WebSocket-Key: ${key}`]],
    [400, 'with subprotocols of which none is spoken', ['Sec-WebSocket-Protocol: , base64,,base64']],
    [400, 'with a subprotocol that is no token', ['Sec-WebSocket-Protocol: binary, a b']],
    [426, 'with other versions alone', ['Sec-WebSocket-Version: 7, 14']],
    [403, 'with two origins', ['Origin: http://127.0.0.1', 'Origin: http://127.0.0.1']],
    [403, 'with an empty origin', ['Origin:']],
    [431, 'with a header too many', Array.from({ length: MAX_HEADERS }, (_none, index) => `X-H-${index}: y`)],
    [431, 'with thousands of headers', Array<string>(20_000).fill('a:')],
    [431, 'with a cookie of 70 KiB', [`Cookie: session=${'a'.repeat(70 * 1024)}`]],
    [400, 'with a folded header', ['X-Forwarded-For: 203.0.113.9\r\n , 127.0.0.1']],
    [400, 'with a name and a blank', ['X-Forwarded-For : 203.0.113.9']],
  ])('is told %i %s', async (status, _what, lines) => {
    expect((await proxy(upgrade(lines))).status).toBe(status);
    expect((await proxy(upgrade(lines), true)).status).toBe(status);
  });

  it('of HTTP/1.0 without Host comes from balancers that check more than they should, and is one', async () => {
    const request = upgrade(['Host:'], `/?token=${token}`, '1.0').replace('Host:\r\n', '');
    expect((await proxy(request)).status).toBe(101);
  });

  it('is answered with the subprotocol that is spoken, once', async () => {
    const { headers } = await proxy(upgrade(['Sec-WebSocket-Protocol: base64, binary,binary,']));
    expect(headers.filter((line) => line.startsWith('sec-websocket-protocol'))).toEqual([
      'sec-websocket-protocol: binary',
    ]);
    const none = await proxy(upgrade(['Sec-WebSocket-Protocol: ,']));
    expect(none.headers.join()).not.toContain('sec-websocket-protocol');
  });
});

describe('a check of health', () => {
  it.each<[what: string, request: string]>([
    ['of HTTP/1.0 without Host', 'GET /healthz HTTP/1.0\r\n\r\n'],
    ['of HTTP/1.0 by HEAD', 'HEAD /healthz HTTP/1.0\r\n\r\n'],
    ['with an empty Host', 'GET /healthz HTTP/1.1\r\nHost:\r\n\r\n'],
    ['with an absolute target', 'GET http://balancer.example/healthz HTTP/1.1\r\nHost: b\r\n\r\n'],
    ['with a query and dots', 'GET /x/../healthz?now HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['typed into a browser', 'GET /healthz HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: none\r\n\r\n'],
  ])('%s is answered by both listeners', async (_what, request) => {
    for (const reply of [await proxy(request), await proxy(request, true), await rpc(request)])
      expect(reply.status).toBe(200);
  });
});

describe('a call', () => {
  const post = (lines: readonly string[], body: string | Buffer = call, version = '1.1') => {
    const head = [`POST /RPC2 HTTP/${version}`, ...lines, `Content-Length: ${Buffer.byteLength(body)}`];
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), Buffer.from(body)]);
  };
  const host = 'Host: 127.0.0.1';
  const chunked = `POST /RPC2 HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\n${call.length.toString(16)}\r\n${call}\r\n0\r\n\r\n`;

  it.each<[what: string, request: () => string | Buffer]>([
    ['of HTTP/1.0 without Host', () => post([], call, '1.0')],
    ['in utf-8, told as a coding', () => post([host, 'Content-Encoding: utf-8'])],
    [
      'in UTF-8, told as two codings',
      () => post([host, 'Content-Encoding: UTF-8', 'Content-Encoding: identity']),
    ],
    ['with an empty coding', () => post([host, 'Content-Encoding:'])],
    ['packed', () => post([host, 'Content-Encoding: x-gzip'], gzipSync(call))],
    [
      'packed, in two lines',
      () => post([host, 'Content-Encoding: gzip', 'Content-Encoding: utf-8'], gzipSync(call)),
    ],
    ['that waits to be asked for its body', () => post([host, 'Expect: 100-continue'])],
    ['in chunks', () => chunked],
    ['with a cookie of 32 KiB', () => post([host, `Cookie: ${'a'.repeat(32 * 1024)}`])],
    ['that asks for an upgrade too', () => post([host, 'Connection: Upgrade', 'Upgrade: h2c'])],
  ])('%s is answered as one', async (_what, request) => {
    const { status, rest } = await rpc(request());
    expect(status).toBe(200);
    expect(rest).toContain('<i4>1024</i4>');
  });

  it.each<[status: number, what: string, request: () => string | Buffer]>([
    [415, 'in an unknown coding', () => post([host, 'Content-Encoding: zstd'])],
    [415, 'packed twice', () => post([host, 'Content-Encoding: gzip, gzip'], gzipSync(gzipSync(call)))],
    [415, 'in another charset, told as a coding', () => post([host, 'Content-Encoding: utf-16'])],
    [400, 'that is not packed as it says', () => post([host, 'Content-Encoding: gzip'])],
    [
      413,
      'that unpacks to more than max_body',
      () => post([host, 'Content-Encoding: gzip'], gzipSync('a'.repeat(100_000))),
    ],
    [431, 'with a header too many', () => post([host, ...Array<string>(MAX_HEADERS).fill('A: b')])],
    [431, 'with thousands of headers', () => post([host, ...Array<string>(20_000).fill('a:')])],
    [400, 'of HTTP/1.1 without Host', () => post([])],
  ])('is told %i %s', async (status, _what, request) => {
    expect((await rpc(request())).status).toBe(status);
  });

  it('may follow another one at once', async () => {
    const { status, rest } = await rpc(Buffer.concat([post([host]), post([host, 'Connection: close'])]));
    expect(status).toBe(200);
    expect(rest).toContain('<methodResponse>');
  });
});

it('a request without upgrade and with too many headers is told 431 by the proxy, too', async () => {
  const request = `GET /console/ HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(MAX_HEADERS)}\r\n`;
  expect((await proxy(request)).status).toBe(431);
});
