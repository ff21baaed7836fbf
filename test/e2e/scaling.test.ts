// Several hosts as docs/scaling.md has them: two services, one Redis with a user of its own, one nginx before them.
// The configuration is the page's and the shipped nginx file, with the test's addresses in it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { makePki } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startHaproxy } from '../support/haproxy.ts';
import { startNginx } from '../support/nginx.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { rawExchange } from '../support/raw-http.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { exchange, oneReply, type Service, startService } from '../support/service.ts';
import { greetAndEcho, rfbGreeting, startVncTarget } from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';
import { openConsole } from '../support/ws-client.ts';
import { encodeCall } from '../support/xmlrpc.ts';
import { readShipped, shippedPath } from './shipped-file.ts';

const session = 'alice:her password';
const secret = 'redis-secret';
const vmId = 7;

let oned: TestOned;
let redis: Redis;
let hosts: Service[];
let nginxPort: number;
let haproxyPort: number;
let everythingLogged: () => string;

const page = readFileSync(shippedPath('docs/scaling.md'), 'utf8');

/** The blocks of the page in a language. */
function blocks(language: string): string[] {
  const all = [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)];
  return all.filter(([, name]) => name === language).map(([, , text]) => text ?? '');
}

/** Text of the page with this test's addresses; what is to be replaced must be there. */
function adapted(text: string, replacements: Record<string, string>): string {
  return Object.entries(replacements).reduce((result, [from, to]) => {
    if (!result.includes(from)) throw new Error(`docs/scaling.md has no "${from}" any more`);
    return result.replaceAll(from, to);
  }, text);
}

beforeAll(async () => {
  oned = await startTestOned();
  oned.runVm(vmId, await startVncTarget(greetAndEcho));
  const acl = blocks('').find((text) => text.startsWith('user vnctoken')) ?? '';
  redis = await startRedis({
    users: ['user default on nopass ~* &* +@all', ...adapted(acl, { PASSWORD: secret }).trim().split('\n')],
  });
  nginxPort = await freePort();
  const [config = '', redisLine = ''] = blocks('yaml');
  hosts = await Promise.all(
    [1, 2].map(() =>
      startService({
        oned,
        flags: { workers: 2 },
        without: ['one_xmlrpc'],
        ownConfig: adapted(config + redisLine, {
          '192.0.2.11': '127.0.0.1',
          'http://192.0.2.10:2633/RPC2': oned.url,
          'https://one.example.com:2643': `https://127.0.0.1:${nginxPort}`,
          ',192.0.2.10': '',
          'PASSWORD@192.0.2.10:6379': `${secret}@127.0.0.1:${redis.port}`,
        }),
      }),
    ),
  );
  const folder = temporaryFolder();
  const { server } = await makePki();
  const nginx = await startNginx({
    folder,
    ports: [nginxPort],
    http: readShipped('nginx/vnctoken-hosts.conf', {
      'listen 2643 ssl': `listen 127.0.0.1:${nginxPort} ssl`,
      '/etc/nginx/ssl/vnctoken.crt': server.cert,
      '/etc/nginx/ssl/vnctoken.key': server.key,
      '192.0.2.11:2644': `127.0.0.1:${hosts[0]?.rpcPort}`,
      '192.0.2.12:2644': `127.0.0.1:${hosts[1]?.rpcPort}`,
      '192.0.2.11:29876': `127.0.0.1:${hosts[0]?.proxyPort}`,
      '192.0.2.12:29876': `127.0.0.1:${hosts[1]?.proxyPort}`,
      '/var/log/nginx/': `${folder}/`,
    }),
  });
  haproxyPort = await freePort();
  const pem = join(folder, 'both.pem');
  writeFileSync(pem, readFileSync(server.cert, 'utf8') + readFileSync(server.key, 'utf8'));
  const haproxy = adapted(blocks('haproxy')[0] ?? '', {
    'bind :2643': `bind 127.0.0.1:${haproxyPort}`,
    '/etc/haproxy/vnctoken.pem': pem,
    '192.0.2.11:2644': `127.0.0.1:${hosts[0]?.rpcPort}`,
    '192.0.2.12:2644': `127.0.0.1:${hosts[1]?.rpcPort}`,
    '192.0.2.11:29876': `127.0.0.1:${hosts[0]?.proxyPort}`,
    '192.0.2.12:29876': `127.0.0.1:${hosts[1]?.proxyPort}`,
  });
  await startHaproxy(haproxy, [haproxyPort]);
  everythingLogged = () =>
    [
      ...hosts.map(({ child }) => child.stdout() + child.stderr()),
      nginx.child.stderr(),
      readFileSync(join(folder, 'vnctoken-access.log'), 'utf8'),
    ].join('\n');
});

const host = (index: number): Service => {
  const one = hosts[index];
  if (!one) throw new Error('there are two');
  return one;
};

async function open(url: string, path: string) {
  const console = await openConsole(`${url}${path}`, { origin: `https://127.0.0.1:${nginxPort}` });
  expect(console.status).toBe(101);
  await console.waitForData(rfbGreeting.length);
  return console;
}

describe('two hosts, one Redis, one nginx', () => {
  test('a token of one host opens its console on the other, and any host ends it at once', async () => {
    const token = await host(0).issueToken(vmId, session);
    const console = await open(host(1).proxyUrl, `/?token=${token}`);
    console.socket.send('over there', { binary: true });
    await console.waitForData(rfbGreeting.length + 'over there'.length);
    const [, listed] = await host(0).call('one.vm.vncsessions', [session, vmId]);
    expect(String(listed)).toContain('<USER>alice</USER>');
    expect(await host(0).call('one.vm.vncrevoke', [session, vmId])).toEqual([true, 1, 0]);
    // At the latest its host would have seen it when the lease is renewed, but that is every 20 s.
    const end = await within(console.closed, { what: 'the end of the console', deadlineMs: 5_000 });
    expect(end.code).toBe(4002);
  });

  test('through nginx, calls and consoles go to whichever host, and none is ever refused', async () => {
    for (let i = 0; i < 12; i++) {
      const reply = await exchange(
        `http://127.0.0.1:${host(i % 2).rpcPort}`,
        encodeCall('one.vm.vnctokenonly', [session, vmId]),
      );
      const token = String(oneReply(reply)[1]);
      const console = await open(`wss://127.0.0.1:${nginxPort}`, `/websockify?token=${token}`);
      console.socket.close(1000);
      await within(console.closed, { what: 'the end of the console' });
    }
    const opened = hosts.map((one) => one.logLines().filter(({ msg }) => msg === 'console opened').length);
    expect(Math.min(...opened)).toBeGreaterThan(2);
  });

  test("a balancer's check of HTTP/1.0 without Host is answered, and strangers have no XML-RPC", async () => {
    for (const port of [nginxPort, haproxyPort]) {
      const health = { port, tls: true, request: 'GET /healthz HTTP/1.0\r\n\r\n' };
      expect((await rawExchange(health)).status).toBe(200);
      const call = 'POST /RPC2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n<';
      const statusFor = async (localAddress: string) =>
        (await rawExchange({ port, tls: true, request: call, localAddress })).status;
      expect([await statusFor('127.0.0.2'), await statusFor('127.0.0.1')]).toEqual([403, 200]);
      const { headers } = await rawExchange({ ...health, request: 'GET /nosuch HTTP/1.0\r\n\r\n' });
      expect(headers).toContain('strict-transport-security: max-age=63072000');
    }
  });

  test('through HAProxy consoles open with 32 KiB of cookies, and calls tell who the client is', async () => {
    const token = await host(0).issueToken(vmId, session);
    const options = { headers: { Cookie: `sso=${'a'.repeat(32 * 1024)}`, 'X-Forwarded-For': '203.0.113.9' } };
    const console = await openConsole(`wss://127.0.0.1:${haproxyPort}/websockify?token=${token}`, options);
    expect(console.status).toBe(101);
    await console.waitForData(rfbGreeting.length);
    const lines = hosts.flatMap((one) => one.logLines());
    expect(lines.filter(({ client }) => client === '203.0.113.9')).toEqual([]);
  });

  test('a second window on the other host takes the console over', async () => {
    const token = await host(0).issueToken(vmId, session);
    const first = await open(host(0).proxyUrl, `/?token=${token}`);
    await open(host(1).proxyUrl, `/?token=${token}`);
    expect((await within(first.closed, { what: 'the end of the first' })).code).toBe(4001);
  });

  test('while Redis stands still nothing is let in and nothing ends; afterwards all goes on', async () => {
    const token = await host(0).issueToken(vmId, session);
    const spare = await host(0).issueToken(vmId, session);
    const console = await open(host(1).proxyUrl, `/?token=${token}`);
    redis.pause();
    try {
      const refused = await openConsole(`${host(0).proxyUrl}/?token=${spare}`, {});
      expect(refused.status).toBe(503);
      const [ok, , code] = await host(1).call('one.vm.vnctokenonly', [session, vmId]);
      expect([ok, code]).toEqual([false, 0x2000]);
      console.socket.send('still here', { binary: true });
      await console.waitForData(rfbGreeting.length + 'still here'.length);
    } finally {
      redis.resume();
    }
    await waitFor(async () => (await host(1).call('one.vm.vnctokenonly', [session, vmId]))[0] === true, {
      what: 'a token after the pause',
    });
    await waitFor(async () => (await openConsole(`${host(0).proxyUrl}/?token=${spare}`, {})).status === 101, {
      what: 'a console after the pause',
    });
  });

  test('what is logged and what Redis holds has no password, no token, no session string', async () => {
    const token = await host(0).issueToken(vmId, session);
    await open(host(1).proxyUrl, `/?token=${token}`);
    const keys = (await redis.cli('--scan')).split('\n').filter((key) => key.includes(':token:'));
    expect(keys.length).toBeGreaterThan(0);
    const values = await Promise.all(keys.map((key) => redis.cli('get', key)));
    const all = [everythingLogged(), ...keys, ...values].join('\n');
    for (const hidden of [secret, 'her password', token]) expect(all).not.toContain(hidden);
  });
});
