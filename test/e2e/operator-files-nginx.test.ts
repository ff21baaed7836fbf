// The nginx examples before the real service and an oned of the test, with consoles to a VNC target.
// Whatever works at the service's own ports works through nginx's.
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { beforeAll, describe, expect, test } from 'vitest';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { rawExchange } from '../support/raw-http.ts';
import { oneReply, type Service, startService } from '../support/service.ts';
import { greetAndEcho, rfbGreeting, startVncTarget } from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';
import { openConsole } from '../support/ws-client.ts';
import { encodeCall } from '../support/xmlrpc.ts';
import { type Example, type ExampleName, startExample, startExamples } from './nginx-example.ts';

const vmId = 7;
const session = 'oneadmin:oneadmin';
const cookie = `sso=${'a'.repeat(32 * 1024)}`;

let oned: TestOned;
let service: Service;

beforeAll(async () => {
  oned = await startTestOned();
  oned.runVm(vmId, await startVncTarget(greetAndEcho));
  service = await startService({ oned, flags: { proxy_ping: 0.3 } });
});

const ports = () => ({ rpcPort: service.rpcPort, proxyPort: service.proxyPort, onedPort: oned.port });

const examples: [name: ExampleName, tokenPaths: string[]][] = [
  ['vnctoken', ['/?token=', '/websockify?token=', '/websockify/', '/']],
  ['opennebula-rpc', ['/websockify?token=', '/websockify/']],
];

describe.each(examples)('nginx/%s.conf', (name, tokenPaths) => {
  let example: Example;

  beforeAll(async () => {
    example = await startExample(name, ports());
  });

  test('brings calls to the XML-RPC interface', async () => {
    const reply = await ask(example.port, { path: '/RPC2/vnctoken', body: tokenCall });
    expect(oneReply(reply)).toEqual([true, expect.stringMatching(/^[a-z0-9]{25,}$/), 0]);
  });

  test('tells the service who the client is, whatever the client says', async () => {
    const headers = { 'X-Forwarded-For': '203.0.113.9', 'X-Real-IP': '203.0.113.10' };
    const body = encodeCall('one.vm.vnctokenonly', [session, 4711]);
    await ask(example.port, { path: '/RPC2/vnctoken', headers, body });
    const line = await service.waitForLog(({ vm }) => vm === 4711, 'the call');
    expect(line).toMatchObject({ client: '127.0.0.1' });
  });

  test('leaves a call that is too large out', async () => {
    const { status } = await ask(example.port, { path: '/RPC2/vnctoken', body: 'x'.repeat(70_000) });
    expect(status).toBe(413);
  });

  test('opens consoles for its own page, and logs none of their tokens', async () => {
    const tokens: string[] = [];
    for (const path of tokenPaths) {
      const token = await service.issueToken(vmId);
      tokens.push(token);
      const origin = `https://127.0.0.1:${example.port}`;
      const console = await openConsole(`wss://127.0.0.1:${example.port}${path}${token}`, {
        origin,
        headers: { Referer: `${origin}/vnc.html?path=websockify?token=${token}` },
      });
      expect(console.status).toBe(101);
      await console.waitForData(rfbGreeting.length);
      console.socket.send('hello', { binary: true });
      expect((await console.waitForData(rfbGreeting.length + 5)).toString()).toBe(`${rfbGreeting}hello`);
      console.socket.close(1000);
      await within(console.closed, { what: 'the end of the console' });
    }
    const opened = () => example.accessLines().filter((line) => line.includes(' 101 '));
    await waitFor(() => opened().length === tokens.length, { what: 'a line for each console' });
    for (const token of tokens) expect(example.everythingLogged()).not.toContain(token.slice(0, 12));
  });

  test('keeps the port of the Host, so that another port is another origin', async () => {
    const token = await service.issueToken(vmId);
    const url = `wss://127.0.0.1:${example.port}/websockify?token=${token}`;
    const refused = await openConsole(url, { origin: `https://127.0.0.1:${example.port + 1}` });
    expect(refused.status).toBe(403);
  });

  test('shows the console page and the state of the service', async () => {
    const page = await ask(example.port, { method: 'GET', path: '/console/' });
    expect(page).toMatchObject({
      status: 200,
      headers: { 'content-type': expect.stringMatching(/^text\/html/) },
    });
    const health = await ask(example.port, { method: 'GET', path: '/healthz' });
    expect(health).toMatchObject({ status: 200, body: 'ok' });
  });

  test.each([
    ['of HTTP/1.0 without Host', 'GET /healthz HTTP/1.0\r\n\r\n'],
    ['of HTTP/1.0 with Host', 'GET /healthz HTTP/1.0\r\nHost: one.example.com\r\n\r\n'],
    [
      'with 32 KiB of cookies',
      `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: ${cookie}\r\n\r\n`,
    ],
  ])("answers a balancer's check %s", async (_what, request) => {
    expect((await rawExchange({ port: example.port, tls: true, request })).status).toBe(200);
  });

  test.each<[what: string, lines: string[]]>([
    ['with 32 KiB of cookies', [`Cookie: ${cookie}`]],
    ['with a subprotocol that is empty', ['Sec-WebSocket-Protocol:']],
    ['with subprotocols that repeat', ['Sec-WebSocket-Protocol: binary,,binary']],
    ['with subprotocols in lines', ['Sec-WebSocket-Protocol: base64', 'Sec-WebSocket-Protocol: binary']],
    ['with versions in a list', ['Sec-WebSocket-Version: 13, 8']],
  ])('brings an upgrade %s to its console', async (_what, lines) => {
    const token = await service.issueToken(vmId);
    const versioned = lines.some((line) => /version/i.test(line)) ? [] : ['Sec-WebSocket-Version: 13'];
    const head = [
      `GET /websockify?token=${token} HTTP/1.1`,
      ...['Host: x', 'Upgrade: websocket', 'Connection: keep-alive, Upgrade'],
      ...['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', ...versioned, ...lines],
    ];
    const request = `${head.join('\r\n')}\r\n\r\n`;
    expect((await rawExchange({ port: example.port, tls: true, request })).status).toBe(101);
  });

  test('lets nobody but the portals to XML-RPC', async () => {
    for (const path of [
      '/RPC2',
      '/RPC2/vnctoken',
      '/x/../RPC2',
      '/%52PC2/vnctoken',
      '//RPC2',
      '/RPC2/vnctoken/../..//RPC2',
    ]) {
      const before = oned.calls.length;
      const stranger = await ask(example.port, { path, body: tokenCall, localAddress: '127.0.0.2' });
      expect([403, 404, 405]).toContain(stranger.status);
      expect(oned.calls.length).toBe(before);
    }
    const portal = await ask(example.port, {
      path: '/RPC2/vnctoken',
      body: tokenCall,
      localAddress: '127.0.0.1',
    });
    expect(portal.status).toBe(200);
    const person = await ask(example.port, { method: 'GET', path: '/console/', localAddress: '127.0.0.2' });
    expect(person.status).toBe(200);
  });

  test('says that it is to be reached by TLS alone, whatever the answer', async () => {
    for (const path of ['/console/', '/healthz', '/websockify', '/RPC2/vnctoken', '/nosuch/path']) {
      const { headers } = await ask(example.port, { method: 'GET', path, body: '' });
      expect(headers['strict-transport-security']).toBe('max-age=63072000');
    }
  });

  test.each(['AES128-SHA', 'AES256-GCM-SHA384', 'ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-AES256-SHA'])(
    'does not speak %s',
    async (ciphers) => {
      const old = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers } as const;
      await expect(ask(example.port, { path: '/healthz', method: 'GET', tls: old })).rejects.toThrow(
        /handshake/,
      );
    },
  );

  test('speaks TLS 1.2 with what is current', async () => {
    const tls = {
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305',
    } as const;
    expect((await ask(example.port, { path: '/healthz', method: 'GET', tls })).status).toBe(200);
  });

  test('speaks no TLS older than 1.2', async () => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const;
    await expect(ask(example.port, { path: '/healthz', method: 'GET', tls: old })).rejects.toThrow(
      /protocol/,
    );
  });

  test("leaves a silent console alone, since the service's pings pass", async () => {
    // The time-outs as short as a second: the pings, which come three times as often, must keep it open.
    const hasty = await startExample(name, { ...ports(), replace: { '1h;': '1s;' } });
    const token = await service.issueToken(vmId);
    const console = await openConsole(`wss://127.0.0.1:${hasty.port}/websockify?token=${token}`);
    let pings = 0;
    console.socket.on('ping', () => pings++);
    await waitFor(() => pings >= 10, { what: 'ten pings' });
    expect(console.socket.readyState).toBe(console.socket.OPEN);
  });
});

test('nginx/opennebula-rpc.conf brings /RPC2 itself to oned', async () => {
  const example = await startExample('opennebula-rpc', ports());
  const before = oned.calls.length;
  const body = encodeCall('one.vm.info', [session, vmId]);
  const { status, body: reply } = await ask(example.port, { path: '/RPC2', body });
  expect({ status, calls: oned.calls.slice(before) }).toMatchObject({
    status: 200,
    calls: [{ method: 'one.vm.info', vmId, session }],
  });
  expect(reply).toContain('&lt;VM&gt;');
});

test('the two examples may be installed side by side', async () => {
  const both = await startExamples(['vnctoken', 'opennebula-rpc'], ports());
  for (const { port } of both) {
    expect(await ask(port, { method: 'GET', path: '/healthz' })).toMatchObject({ status: 200, body: 'ok' });
  }
});

const tokenCall = encodeCall('one.vm.vnctokenonly', [session, vmId]);

interface Question {
  path: string;
  method?: string;
  headers?: OutgoingHttpHeaders;
  body?: string;
  tls?: Pick<ConnectionOptions, 'minVersion' | 'maxVersion' | 'ciphers'>;
  localAddress?: string;
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** One HTTPS exchange, the certificate unchecked. */
function ask(port: number, question: Question): Promise<Answer> {
  const { path, method = 'POST', headers = {}, body = '', tls = {}, localAddress = '127.0.0.1' } = question;
  const to = { host: '127.0.0.1', port, localAddress };
  const options = { ...to, path, method, headers, agent: false, rejectUnauthorized: false };
  const answer = new Promise<Answer>((resolve, reject) => {
    const outgoing = request({ ...options, ...tls }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        text += chunk;
      });
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: text }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
  return within(answer, { what: `an answer to ${method} ${path}` });
}
