// Whose address it is behind real HAProxy and nginx, where an attacker writes as many headers as he likes: with
// bind_client, a stolen token opens for its owner's address alone.
import { beforeAll, describe, expect, it } from 'vitest';
import { MAX_HEADERS } from '../../src/http-limits.ts';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { startHaproxy } from '../support/haproxy.ts';
import { startNginx } from '../support/nginx.ts';
import { freePort } from '../support/ports.ts';
import { rawExchange } from '../support/raw-http.ts';
import { greet } from '../support/vnc-target.ts';
import { encodeCall } from '../support/xmlrpc.ts';

/** The proxies connect from 127.0.0.1, and are trusted; people come from other addresses of loopback. */
const owner = '127.0.0.5';
let attackers = 0;
/** Another one each time, so that none has so many refusals that they are only counted. */
function newAttacker(): string {
  attackers++;
  return `127.0.1.${attackers % 250}`;
}

let consoles: Consoles;
let lastVmId = 10_000;
const fronts: Record<string, { proxy: number; rpc: number }> = {};
const names = ['HAProxy', 'HAProxy as it comes', 'nginx'];

beforeAll(async () => {
  consoles = await startConsoles({
    flags: { bind_client: 'ip', trusted_proxies: '127.0.0.1', token_sessions: 'shared' },
  });
  const { rpcPort, proxyPort } = consoles.service;
  for (const name of names) fronts[name] = { proxy: await freePort(), rpc: await freePort() };
  for (const [name, global] of [
    // Large enough to pass on all that a client wrote.
    ['HAProxy', 'global\n  tune.bufsize 262144\n  tune.http.maxhdr 32767'],
    ['HAProxy as it comes', ''],
  ] as const) {
    const ports = portsOf(name);
    const config = [
      global,
      'defaults',
      '  mode http',
      '  option forwardfor',
      '  timeout connect 5s',
      '  timeout client 1m',
      '  timeout server 1m',
      '  timeout tunnel 1h',
      ...(['proxy', 'rpc'] as const).flatMap((which) => [
        `listen ${which}`,
        `  bind 127.0.0.1:${ports[which]}`,
        `  server one 127.0.0.1:${which === 'proxy' ? proxyPort : rpcPort}`,
      ]),
      '',
    ];
    await startHaproxy(config.join('\n'), [ports.proxy, ports.rpc]);
  }
  const ports = portsOf('nginx');
  await startNginx({
    ports: [ports.proxy, ports.rpc],
    http: `large_client_header_buffers 8 64k;
      proxy_http_version 1.1;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
      server { listen 127.0.0.1:${ports.proxy}; location / { proxy_pass http://127.0.0.1:${proxyPort}; } }
      server { listen 127.0.0.1:${ports.rpc}; location / { proxy_pass http://127.0.0.1:${rpcPort}; } }`,
  });
});

function portsOf(name: string): { proxy: number; rpc: number } {
  const ports = fronts[name];
  if (ports === undefined) throw new Error(`no ${name} was started`);
  return ports;
}

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const upgrade = (token: string, lines: readonly string[] = []) =>
  [
    `GET /?token=${token} HTTP/1.1`,
    'Host: console.example',
    ...[
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${key}`,
    ],
    ...lines,
    '',
    '',
  ].join('\r\n');

const many = (count: number) => Array.from({ length: count }, (_none, index) => `X-${index}: y`);
const claims = (address: string) => [`X-Forwarded-For: ${address}`];

/** What an attacker may write to pass for the owner. */
const disguises: [what: string, lines: string[]][] = [
  ['nothing', []],
  ['the address', claims(owner)],
  ['the address twice, in two lines', [...claims(owner), ...claims(owner)]],
  ['the address and no more', [...claims(`${owner}, `), 'X-Forwarded-For:']],
  ['the address with a port', claims(`${owner}:80`)],
  ['the address behind a word', claims(`unknown, ${owner}`)],
  ['the address before a word', claims(`${owner}, unknown`)],
  ['a name with underscores', ['X_Forwarded_For: 127.0.0.5', 'X-Forwarded_For: 127.0.0.5']],
  ['other headers', [`X-Real-IP: ${owner}`, `Forwarded: for=${owner}`, `X-Client-IP: ${owner}`]],
  ['the header as one of the connection', ['Connection: Upgrade, X-Forwarded-For', ...claims(owner)]],
  ['a folded line', [`X-Forwarded-For: ${owner},\r\n ${owner}`]],
  ...[80, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 200, 400].map((count): [string, string[]] => [
    `the address and ${count} headers`,
    [...claims(owner), ...many(count)],
  ]),
  ...[-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 900].map((more): [string, string[]] => {
    const count = MAX_HEADERS + more;
    return [`the address before ${count} headers`, [...claims(owner), ...many(count)]];
  }),
];

describe.each(names)('behind %s', (name) => {
  let token: string;

  beforeAll(async () => {
    ({ token } = await consoles.console(greet));
    const opened = await rawExchange({
      port: portsOf(name).proxy,
      localAddress: owner,
      request: upgrade(token),
    });
    expect(opened.status).toBe(101);
  });

  it.each(disguises)('a thief who writes %s does not pass for the owner', async (_what, lines) => {
    const attacker = newAttacker();
    const { status, rest } = await rawExchange({
      ...{ port: portsOf(name).proxy, localAddress: attacker },
      request: upgrade(token, lines),
    });
    // 400 is HAProxy's, for what it does not read itself.
    expect([400, 401, 431]).toContain(status);
    if (status !== 401) return;
    const ref = /\(ref (\w{6})\)/.exec(rest)?.[1];
    const line = await consoles.service.waitForLog((one) => one['ref'] === ref, 'the refusal');
    expect(line['client']).toBe(attacker);
  });

  it.each(disguises)('a call of somebody who writes %s is his own', async (_what, lines) => {
    const attacker = newAttacker();
    lastVmId++;
    const vmId = lastVmId;
    const body = encodeCall('one.vm.vnctokenonly', ['oneadmin:oneadmin', vmId]);
    const head = [
      ...['POST /RPC2 HTTP/1.1', 'Host: x', 'Connection: close', ...lines],
      `Content-Length: ${body.length}`,
    ];
    const { status } = await rawExchange({
      ...{ port: portsOf(name).rpc, localAddress: attacker },
      request: `${head.join('\r\n')}\r\n\r\n${body}`,
    });
    expect([200, 400, 431]).toContain(status);
    if (status !== 200) return;
    const line = await consoles.service.waitForLog(({ vm }) => vm === vmId, 'the call');
    expect(line['client']).toBe(attacker);
  });

  it.each<[what: string, lines: string[]]>([
    ['empty subprotocols', ['Sec-WebSocket-Protocol:']],
    ['repeated subprotocols', ['Sec-WebSocket-Protocol: binary,,binary']],
    ['subprotocols in lines', ['Sec-WebSocket-Protocol: , base64', 'Sec-WebSocket-Protocol: binary']],
    ['an upgrade in lines', ['Upgrade: h2c', 'Connection: keep-alive']],
    ['versions in lines', ['Sec-WebSocket-Version: 8']],
    ['odd extensions', ['Sec-WebSocket-Extensions: permessage-deflate; ;,,']],
    ['a length of nothing', ['Content-Length: 0']],
    ['a cookie of 12 KiB', [`Cookie: a=${'b'.repeat(12 * 1024)}`]],
  ])('an upgrade with %s is one', async (_what, lines) => {
    const opened = await rawExchange({
      ...{ port: portsOf(name).proxy, localAddress: owner },
      request: upgrade(token, lines),
    });
    expect(opened.status).toBe(101);
  });

  it('the owner comes back to his console', async () => {
    const again = await rawExchange({
      ...{ port: portsOf(name).proxy, localAddress: owner },
      request: upgrade(token, many(60)),
    });
    expect(again.status).toBe(101);
  });
});

it('of whom a trusted proxy names no address is let in nowhere where addresses count', async () => {
  const { token } = await consoles.console(greet);
  for (const header of ['unknown', '', '_hidden', `${owner}, unix:`]) {
    const { status } = await rawExchange({
      ...{ port: consoles.service.proxyPort, localAddress: '127.0.0.1' },
      request: upgrade(token, [`X-Forwarded-For: ${header}`]),
    });
    expect(status).toBe(401);
  }
  expect(
    await consoles.service.waitForLog(({ reason }) => /bind_client/.test(String(reason)), 'why'),
  ).toMatchObject({
    client: 'unknown',
    reason: expect.stringContaining('trusted_proxies'),
  });
});
