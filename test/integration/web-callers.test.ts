// Calls that come from web pages, as raw requests: what browsers put into them decides, before the body is read.
import { beforeAll, describe, expect, it } from 'vitest';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { rawExchange } from '../support/raw-http.ts';
import { type Service, startService } from '../support/service.ts';
import { encodeCall } from '../support/xmlrpc.ts';

let oned: TestOned;
/** How often oned was asked for a VM. */
const looks = () => oned.calls.filter(({ method }) => method === 'one.vm.info').length;
let service: Service;
const call = encodeCall('one.vm.vnctokenonly', ['oneadmin:oneadmin', 4711]);

beforeAll(async () => {
  oned = await startTestOned();
  service = await startService({
    oned,
    flags: {
      public_url: 'https://Console.example/vnc',
      allowed_origins: ['https://portal.example', 'https://*.apps.example', 'null', 'capacitor://localhost'],
      allowed_hosts: ['rpc.example', '2001:db8::1'],
    },
  });
});

interface Asked {
  lines: readonly string[];
  method?: string;
  path?: string;
  body?: string;
}

function ask({ lines, method = 'POST', path = '/RPC2', body = call }: Asked) {
  const head = [`${method} ${path} HTTP/1.1`, ...lines, `Content-Length: ${Buffer.byteLength(body)}`];
  return rawExchange({ port: service.rpcPort, request: `${head.join('\r\n')}\r\n\r\n${body}` });
}

const crossSite = ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: empty'];

describe('who may call', () => {
  it.each<[what: string, lines: string[]]>([
    ["a portal's server, by any name", ['Host: whatever.example:2644']],
    ["a portal's server, by an address", ['Host: 203.0.113.9']],
    ["a portal's server that says where it comes from", ['Host: x', 'Referer: https://evil.example/']],
    ["a server that uses Node's fetch", ['Host: x', 'Sec-Fetch-Mode: cors', 'User-Agent: node']],
    ['a page of an allowed origin', ['Host: 127.0.0.1:2644', 'Origin: https://portal.example', ...crossSite]],
    ['a page below an allowed pattern', ['Host: localhost', 'Origin: https://a.apps.example']],
    [
      'a page without an origin, where that is allowed',
      ['Host: rpc.example:80', 'Origin: null', ...crossSite],
    ],
    ['an app', ['Host: [2001:DB8::1]:2644', 'Origin: capacitor://localhost']],
    ['a page of public_url', ['Host: console.example', 'Origin: https://console.example']],
    ['a page of the very host', ['Host: rpc.example:2644', 'Origin: http://rpc.example:2644']],
  ])('%s', async (_what, lines) => {
    const before = looks();
    const reply = await ask({ lines });
    expect([reply.status, looks() - before]).toEqual([200, 1]);
    expect(reply.headers.filter((line) => line.startsWith('access-control'))).toEqual([]);
  });

  it.each<[what: string, setting: string, lines: string[]]>([
    ['a page of another site', 'allowed_origins', ['Host: 127.0.0.1', 'Origin: https://evil.example']],
    [
      'its simple request',
      'allowed_origins',
      ['Host: localhost', 'Origin: https://evil.example', ...crossSite],
    ],
    [
      'a page two labels below a pattern',
      'allowed_origins',
      ['Host: localhost', 'Origin: https://a.b.apps.example'],
    ],
    ['an empty origin', 'allowed_origins', ['Host: localhost', 'Origin:']],
    [
      'two origins',
      'allowed_origins',
      ['Host: localhost', 'Origin: https://portal.example', 'Origin: https://evil.example'],
    ],
    ['a link in a page', 'allowed_origins', ['Host: localhost', ...crossSite]],
    [
      'an address that was typed',
      'allowed_origins',
      ['Host: localhost', 'Sec-Fetch-Site: none', 'Sec-Fetch-Mode: navigate'],
    ],
    [
      'a page of the same site, without origin',
      'allowed_origins',
      ['Host: localhost', 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: cors'],
    ],
    ...[
      'Site: same-origin',
      'Mode: no-cors',
      'Mode: navigate',
      'Dest: document',
      'User: ?1',
      'Storage-Access: none',
      'Mode:',
    ].map((line): [string, string, string[]] => [
      `Sec-Fetch-${line} alone`,
      'allowed_origins',
      ['Host: localhost', `Sec-Fetch-${line}`],
    ]),
    [
      'a name that was made to point here',
      'allowed_hosts',
      ['Host: evil.example:2644', 'Origin: http://evil.example:2644'],
    ],
    [
      'an allowed origin by a strange name',
      'allowed_hosts',
      ['Host: evil.example', 'Origin: https://portal.example'],
    ],
    ['a name below ours', 'allowed_hosts', ['Host: a.console.example', 'Origin: https://a.console.example']],
    ['no name', 'allowed_hosts', ['Host:', 'Origin: https://portal.example']],
    ['the address of everything', 'allowed_hosts', ['Host: 0.0.0.0:2644', 'Origin: http://0.0.0.0:2644']],
  ])('not %s: 403 that names %s', async (_what, setting, lines) => {
    const before = looks();
    const { status, rest, headers } = await ask({ lines });
    expect([status, looks() - before]).toEqual([403, 0]);
    expect(rest).toContain(setting);
    expect(headers.filter((line) => line.startsWith('access-control'))).toEqual([]);
    const ref = /\(ref (\w{6})\)/.exec(rest)?.[1];
    const line = await service.waitForLog((one) => one['ref'] === ref, 'the refusal');
    expect(line).toMatchObject({
      code: 'browser-refused',
      reason: expect.stringMatching(/allowed_|no origin/),
    });
  });

  it('is decided before the body is there', async () => {
    const request =
      'POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nContent-Length: 60000\r\n\r\n<';
    const { status } = await rawExchange({ port: service.rpcPort, request });
    expect(status).toBe(403);
  });

  it('GET is no way around', async () => {
    const lines = ['Host: localhost', 'Origin: https://evil.example'];
    expect((await ask({ lines, method: 'GET' })).status).toBe(403);
  });

  it('nobody asks for permission here: OPTIONS is 405, without a word about origins', async () => {
    const lines = [
      'Host: localhost',
      'Origin: https://portal.example',
      'Access-Control-Request-Method: POST',
    ];
    const { status, headers } = await ask({ lines, method: 'OPTIONS', body: '' });
    expect([status, headers.filter((line) => line.startsWith('access-control'))]).toEqual([405, []]);
  });

  it("Node's own fetch is a portal's server", async () => {
    const reply = await fetch(service.rpcUrl, { method: 'POST', body: call });
    expect(reply.status).toBe(200);
  });
});

describe('the log of a refusal', () => {
  it('has the origin in letters that are what they look like, and not for long', async () => {
    const origin = `https://evil.example/\x1b[2Jx\x07\xe2\x80\xaegnp.exe\xd0\xb0${'y'.repeat(1000)}`;
    const upgrade =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
    // Control characters are no header for Node; what is left is.
    const sent = origin.replace(/[\x00-\x1f]/g, '');
    const toProxy = Buffer.from(
      `GET /?token=x HTTP/1.1\r\nHost: a\r\nOrigin: ${sent}\r\n${upgrade}\r\n\r\n`,
      'latin1',
    );
    const toRpc = Buffer.from(
      `POST /RPC2 HTTP/1.1\r\nHost: b\xff\r\nOrigin: ${sent}\r\nContent-Length: 0\r\n\r\n`,
      'latin1',
    );
    for (const [port, request] of [
      [service.proxyPort, toProxy],
      [service.rpcPort, toRpc],
    ] as const) {
      const { status, rest } = await rawExchange({ port, request });
      expect(status).toBe(403);
      const ref = /\(ref (\w{6})\)/.exec(rest)?.[1];
      const line = await service.waitForLog((one) => one['ref'] === ref, 'the refusal');
      expect(line['origin']).toMatch(/^https:\/\/evil\.example\/\[2Jx\?{3}gnp\.exe\?\?y+$/);
      expect(String(line['origin']).length).toBe(200);
      expect(JSON.stringify(line)).toMatch(/^[\x20-\x7e]+$/);
    }
  });
});
