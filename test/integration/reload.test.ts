// A reload is taken whole or not at all: everything about a service changes at once, and each part in its turn is the
// one that refuses; then everything is as before, in one process and with workers.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { issueCertificate, makePki } from '../support/certificates.ts';
import { run } from '../support/child.ts';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import { childrenOf } from '../support/processes.ts';
import { greetWith, startVncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { openRawWebSocket } from '../support/ws-client.ts';

const NEW_ORIGIN = 'https://new.example';
const CLIENT = '203.0.113.9';
const PASSWORD_KEY = `${'k'.repeat(42)}0\n`;

type Config = Record<string, string>;

function configText(config: Config): string {
  return Object.entries(config)
    .map(([key, value]) => `:${key}: ${value}\n`)
    .join('');
}

/** A service of which every part can be told to be old or new. */
async function startChangeable(workers: number) {
  const { folder } = await makePki();
  const certificates = {
    old: await issueCertificate(folder, 'first'),
    next: await issueCertificate(folder, 'second'),
  };
  const targets = {
    old: await startVncTarget(greetWith('RFB 003.008\n')),
    next: await startVncTarget(greetWith('RFB 003.003\n')),
  };
  const files = temporaryFolder();
  const file = (name: string, text: string, mode = 0o600) => {
    writeFileSync(join(files, name), text, { mode });
    return join(files, name);
  };
  const passwordKey = file('password-key', PASSWORD_KEY);
  const common = { password_key: passwordKey, vnc_proxy_support_wss: 'yes' };
  const old: Config = {
    ...common,
    token_store: 'sealed',
    token_sessions: 'shared',
    sealed_keys: file('keys-old', `old ${'A'.repeat(43)}\n`),
    service_auth: file('auth-old', 'serviceold:verysecretold\n'),
    trusted_proxies: '192.0.2.1',
    vnc_proxy_cert: certificates.old.cert,
    vnc_proxy_key: certificates.old.key,
    targets: `[{ via: tcp, port: ${targets.old.port} }]`,
    debug_level: '2',
  };
  const next: Config = {
    ...old,
    sealed_keys: file('keys-new', `new ${'B'.repeat(42)}A\n`),
    service_auth: file('auth-new', 'servicenew:verysecretnew\n'),
    trusted_proxies: '127.0.0.0/8',
    allowed_origins: NEW_ORIGIN,
    vnc_proxy_cert: certificates.next.cert,
    vnc_proxy_key: certificates.next.key,
    targets: `[{ via: tcp, port: ${targets.next.port} }]`,
    debug_level: '1',
  };
  const consoles = await startConsoles({ ownConfig: configText(old), flags: { workers } });
  return { consoles, next, file, passwordKey };
}

/** Which settings are in force, part by part. */
async function inForce({ service, oned, tokenFor }: Consoles) {
  const token = await tokenFor('127.0.0.1', 5900);
  const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as {
    kid: string;
  };
  const callsBefore = oned.calls.length;
  const console_ = await openRawWebSocket({ port: service.proxyPort, path: `/?token=${token}` });
  const greeting = (await console_.waitForData(12)).toString();
  console_.socket.destroy();
  const asked = oned.calls.slice(callsBefore).map(({ session }) => session.split(':')[0]);
  const page = await openRawWebSocket({
    port: service.proxyPort,
    path: '/?token=x',
    headers: { Origin: NEW_ORIGIN },
  });
  page.socket.destroy();
  const linesBefore = service.logLines().length;
  await service.rawCall('nonsense');
  await service.call('one.vm.vncurl', ['oneadmin:oneadmin', 1], { headers: { 'X-Forwarded-For': CLIENT } });
  const lines = () => service.logLines().slice(linesBefore);
  const warning = await waitFor(() => lines().find((line) => line['code'] === 'no-public-url'), {
    what: 'the warning',
  });
  const tls = await run('openssl', ['s_client', '-connect', `127.0.0.1:${service.proxyPort}`]);
  return {
    sealedKey: header.kid,
    greeting,
    asked: [...new Set(asked)],
    originStatus: page.status,
    client: warning['client'],
    tellsInfo: lines().some((line) => line['fault'] !== undefined),
    certificate: /subject=.*CN ?= ?(\w+)/.exec(tls.stdout)?.[1],
  };
}

const OLD = {
  sealedKey: 'old',
  greeting: 'RFB 003.008\n',
  asked: ['serviceold'],
  originStatus: 403,
  client: '127.0.0.1',
  tellsInfo: true,
  certificate: 'first',
};
const NEW = {
  sealedKey: 'new',
  greeting: 'RFB 003.003\n',
  asked: ['servicenew'],
  originStatus: 101,
  client: CLIENT,
  tellsInfo: false,
  certificate: 'second',
};

interface Refusal {
  readonly part: string;
  /** What is wrong with the new configuration. */
  readonly wrong: (given: { file: Changeable['file']; passwordKey: string }) => Config;
  readonly told: RegExp;
}
type Changeable = Awaited<ReturnType<typeof startChangeable>>;

const refusals: readonly Refusal[] = [
  { part: 'the configuration', wrong: () => ({ token_ttl: 'x' }), told: /token_ttl/ },
  { part: 'the rules', wrong: () => ({ targets: '[{ via: pigeon }]' }), told: /targets/ },
  {
    part: 'sealed keys',
    wrong: ({ file }) => ({ sealed_keys: file('keys-bad', 'no key\n') }),
    told: /sealed_keys: .* line 1/,
  },
  {
    part: 'the service session',
    wrong: ({ file }) => ({ service_auth: file('auth-bad', 'servicenew:verysecretnew\n', 0o644) }),
    told: /service_auth: .* has mode 0644/,
  },
  {
    part: 'the password key',
    wrong: ({ passwordKey }) => {
      writeFileSync(passwordKey, 'damaged');
      return {};
    },
    told: /password_key: .* does not hold a key/,
  },
  {
    part: 'the ways to targets',
    wrong: () => ({ targets: '[{ via: tls, ca_file: /nonexistent/ca.pem }]' }),
    told: /targets\[0\]\.ca_file: .*ENOENT/,
  },
  {
    part: 'the certificate',
    wrong: ({ file }) => ({ vnc_proxy_cert: file('bad.pem', 'no certificate') }),
    told: /vnc_proxy_cert, vnc_proxy_key: .* no usable pair/,
  },
];

describe.each([1, 2])('with %s processes that relay, a reload that one part refuses', (workers) => {
  it('changes nothing of the others', { timeout: 180_000 }, async () => {
    const changeable = await startChangeable(workers);
    const { consoles, next, passwordKey } = changeable;
    const { service } = consoles;
    const reload = (config: Config) => {
      writeFileSync(join(service.oneLocation, 'etc/vnctoken-server.conf'), configText(config));
      service.signal('SIGHUP');
    };
    expect(await inForce(consoles), 'at the start').toEqual(OLD);
    const processes = childrenOf(service.child.pid);
    const problemsFrom = (from: number) =>
      service
        .logLines()
        .slice(from)
        .find(({ problems }) => problems !== undefined)?.['problems'] as string[] | undefined;
    for (const { part, wrong, told } of refusals) {
      const before = service.logLines().length;
      reload({ ...next, ...wrong(changeable) });
      const problems = await waitFor(() => problemsFrom(before), { what: `the problem with ${part}` });
      expect(problems, part).toEqual([expect.stringMatching(told)]);
      expect(await inForce(consoles), part).toEqual(OLD);
      await waitFor(() => childrenOf(service.child.pid).every((pid) => processes.includes(pid)), {
        what: 'what was started for it to be gone',
      });
      writeFileSync(passwordKey, PASSWORD_KEY);
    }
    if (workers > 1) {
      const before = service.logLines().length;
      reload(next);
      // The workers themselves are a part: one that does not come up refuses for all.
      await waitFor(
        () => {
          const fresh = childrenOf(service.child.pid).filter((pid) => !processes.includes(pid));
          for (const pid of fresh.slice(-1)) process.kill(pid, 'SIGKILL');
          return fresh.length > 0;
        },
        { what: 'a new worker' },
      );
      const problems = await waitFor(() => problemsFrom(before), { what: 'the problem with a worker' });
      expect(problems).toEqual([expect.stringMatching(/a worker ended before it was ready \(SIGKILL\)/)]);
      expect(await inForce(consoles)).toEqual(OLD);
    }
    reload(next);
    await waitFor(async () => (await inForce(consoles)).certificate === 'second', { what: 'the reload' });
    // Until the last of the old ones has ended it may accept a connection.
    await waitFor(() => !childrenOf(service.child.pid).some((pid) => processes.includes(pid)), {
      what: 'the old workers to end',
    });
    expect(await inForce(consoles)).toEqual(NEW);
  });
});
