// The life of the service: start and what may be in its way, signals, reload, stop. Through the real command line.
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { issueCertificate, makePki } from '../support/certificates.ts';
import { run, startChild } from '../support/child.ts';
import { startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import { atEnd } from '../support/lifetime.ts';
import { startTestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { runMain, startService } from '../support/service.ts';
import { greet, greetAndEcho, greetAndStall } from '../support/vnc-target.ts';
import { canConnect, waitFor, within } from '../support/wait.ts';
import { closePayload, frame, opcode, openRawWebSocket } from '../support/ws-client.ts';

const packageFile = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
const { version: packageVersion } = JSON.parse(packageFile) as { version: string };

/** A port that somebody else listens on. */
async function takenPort(): Promise<number> {
  const port = await freePort();
  const server = createServer().listen(port, '127.0.0.1');
  atEnd(() => void server.close());
  await waitFor(() => server.listening, { what: 'the port to be taken' });
  return port;
}

describe('--help, --version and check-config', () => {
  it('tell and exit 0', async () => {
    const help = await runMain(['--help']);
    expect([help.code, help.stderr]).toEqual([0, '']);
    expect(help.stdout).toContain('--token_ttl');
    const version = await runMain(['--version']);
    expect([version.code, version.stdout.trim()]).toEqual([0, packageVersion]);
    const check = await runMain(['check-config', '--token_ttl', '60']);
    expect([check.code, check.stderr]).toEqual([0, '']);
    expect(check.stdout).toMatch(/token_ttl\s+60 {2}\(--token_ttl\)/);
    expect(check.stdout).toMatch(/port\s+default: 2644/);
  });

  it('exit 2 where usage or configuration are wrong, with every problem', async () => {
    const wrong = await runMain(['check-config', '--port', 'x', '--token_ttl', 'y']);
    expect([wrong.code, wrong.stdout]).toEqual([2, '']);
    expect(wrong.stderr.trim().split('\n')).toEqual([
      expect.stringMatching(/--port: port: expected/),
      expect.stringMatching(/--token_ttl: token_ttl: expected/),
    ]);
    expect((await runMain(['nosuch'])).code).toBe(2);
    expect((await runMain(['serve', '--port', 'x'])).code).toBe(2);
  });
});

describe('a start that something is in the way of', () => {
  it.each<[string, () => Promise<{ flags: string[]; told: RegExp }>]>([
    [
      'the XML-RPC port in use',
      async () => {
        const port = await takenPort();
        return {
          flags: ['--port', `${port}`],
          told: new RegExp(`port: cannot listen on 127.0.0.1:${port}: the port is in use`),
        };
      },
    ],
    [
      'the proxy port in use',
      async () => {
        const port = await takenPort();
        return {
          flags: ['--vnc_proxy_port', `${port}`],
          told: /vnc_proxy_port: .*in use.*opennebula-novnc.*vnc_proxy_port: off/,
        };
      },
    ],
    [
      'an address that no interface has',
      async () => ({
        flags: ['--host', '192.0.2.1'],
        told: /cannot listen on 192\.0\.2\.1:\d+: no interface/,
      }),
    ],
    [
      'a missing certificate',
      async () => ({
        flags: [
          '--vnc_proxy_support_wss',
          'only',
          '--vnc_proxy_cert',
          '/nonexistent/c.pem',
          '--vnc_proxy_key',
          '/nonexistent/k.pem',
        ],
        told: /vnc_proxy_cert: cannot read \/nonexistent\/c\.pem: ENOENT/,
      }),
    ],
    [
      'a certificate that is none',
      async () => {
        const path = join(temporaryFolder(), 'x.pem');
        writeFileSync(path, 'no certificate');
        return {
          flags: ['--vnc_proxy_support_wss', 'yes', '--vnc_proxy_cert', path, '--vnc_proxy_key', path],
          told: /vnc_proxy_cert, vnc_proxy_key: .* no usable pair/,
        };
      },
    ],
    [
      'a log in a folder that is not there',
      async () => ({
        flags: ['--log_file', '/nonexistent/x.log'],
        told: /log_file: cannot write \/nonexistent\/x\.log: ENOENT/,
      }),
    ],
  ])('%s: one line that names the setting, exit 1', async (_what, given) => {
    const { flags, told } = await given();
    const free = ['--port', `${await freePort()}`, '--vnc_proxy_port', `${await freePort()}`];
    const ended = await runMain(['serve', ...free, ...flags]);
    expect(ended.code).toBe(1);
    expect(ended.stderr.trim().split('\n')).toEqual([expect.stringMatching(told)]);
    expect(ended.stdout).not.toContain('ready');
  });

  it.each([
    ['the state folder', 'var/vnctoken', /state folder: cannot write/],
    ["websockify's directory", 'var/sunstone_vnc_tokens', /token_folder_name: cannot write/],
  ])('%s that is a file', async (_what, path, told) => {
    const oneLocation = temporaryFolder();
    mkdirSync(join(oneLocation, 'var'));
    writeFileSync(join(oneLocation, path), '');
    const free = ['--port', `${await freePort()}`, '--vnc_proxy_port', `${await freePort()}`];
    const ended = await runMain(['serve', ...free], { oneLocation });
    expect([ended.code, ended.stderr.trim().split('\n').length]).toEqual([1, 1]);
    expect(ended.stderr).toMatch(told);
  });

  it('exit 1 by check-config too, where a certificate is missing', async () => {
    const flags = [
      '--vnc_proxy_support_wss',
      'only',
      '--vnc_proxy_cert',
      '/nonexistent/c',
      '--vnc_proxy_key',
      '/nonexistent/k',
    ];
    expect((await runMain(['check-config', ...flags])).code).toBe(1);
  });
});

describe('a start', () => {
  it('says that it is ready when all listeners are up, with the addresses', async () => {
    const service = await startService({ flags: { vnc_proxy_ipv6: true } });
    const ready = service.logLines().filter(({ msg }) => msg === 'ready');
    expect(ready).toEqual([
      expect.objectContaining({
        rpc: `127.0.0.1:${service.rpcPort}`,
        proxy: [`127.0.0.1:${service.proxyPort}`, `[::1]:${service.proxyPort}`],
        version: packageVersion,
      }),
    ]);
    for (const host of ['127.0.0.1', '::1']) expect(await canConnect(service.proxyPort, host)).toBe(true);
    expect((await service.rawCall('', { method: 'GET', path: '/healthz' })).body).toBe('ok');
  });

  it('without service_auth says in one line what that costs, as check-config does; with it says nothing', async () => {
    const told = /^service_auth is not set: .*deleted user.*migration.*encrypts/;
    const service = await startService();
    expect(service.logLines().filter(({ msg = '' }) => told.test(msg))).toHaveLength(1);
    const check = await runMain(['check-config']);
    expect(check.stdout.split('\n').filter((line) => line.startsWith('note: service_auth'))).toHaveLength(1);
    const file = join(temporaryFolder(), 'service_auth');
    writeFileSync(file, 'service:password\n', { mode: 0o600 });
    const checked = await runMain(['check-config', '--service_auth', file]);
    expect([checked.code, checked.stdout.includes('note: ')]).toEqual([0, false]);
  });

  it('on an address of the proxy, or without a proxy', async () => {
    const port = await freePort();
    await startService({ flags: { vnc_proxy_port: `127.0.0.2:${port}` } });
    expect([await canConnect(port, '127.0.0.2'), await canConnect(port, '127.0.0.1')]).toEqual([true, false]);
    const off = await startService({ flags: { vnc_proxy_port: 'off' } });
    expect(off.logLines().find(({ msg }) => msg === 'ready')?.['proxy']).toBe('off');
  });

  it('is told to systemd, and so is the stop', async () => {
    const socket = join(temporaryFolder(), 'notify.sock');
    const listener = [
      'import socket, sys',
      's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)',
      's.bind(sys.argv[1])',
      'print("bound", flush=True)',
      'while True: print(s.recv(4096).decode().replace("\\n", " "), flush=True)',
    ].join('\n');
    const manager = await startChild('/usr/bin/python3', ['-c', listener, socket], {
      ready: (child) => child.stdout().includes('bound'),
    });
    const service = await startService({ env: { NOTIFY_SOCKET: socket } });
    await waitFor(() => manager.stdout().includes('READY=1'), { what: 'READY=1' });
    expect((await service.stop()).code).toBe(0);
    await waitFor(() => manager.stdout().includes('STOPPING=1'), { what: 'STOPPING=1' });
  });

  it('goes on without systemd-notify', async () => {
    const service = await startService({ env: { NOTIFY_SOCKET: '/nonexistent/socket' } });
    await service.waitForLog(({ msg }) => msg === 'systemd-notify failed', 'the failure');
    expect((await service.rawCall('', { method: 'GET', path: '/healthz' })).status).toBe(200);
  });
});

describe('SIGTERM', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('as %s closes consoles with 1001 and exits 0', async (signal) => {
    const consoles = await startConsoles();
    const { token, target } = await consoles.console(greetAndEcho);
    const webSocket = await consoles.open(token);
    await webSocket.waitForData(12);
    consoles.service.signal(signal);
    expect(await webSocket.closeFrame()).toEqual({ code: 1001, reason: 'The service stops' });
    webSocket.send(frame({ opcode: opcode.close, payload: closePayload(1001) }));
    expect(await consoles.service.stop()).toMatchObject({ code: 0 });
    expect((await target.connection()).ended()).toBe(true);
    const lines = consoles.service.logLines();
    expect(lines.filter(({ msg }) => msg === 'console closed')).toHaveLength(1);
    expect(lines.at(-1)?.msg).toBe('stopped');
  });

  it('ends within stop_timeout whatever browsers and targets do', async () => {
    const consoles = await startConsoles({ flags: { stop_timeout: 1 } });
    for (const behaviour of [greet, greetAndStall]) {
      const { token } = await consoles.console(behaviour);
      const webSocket = await consoles.open(token);
      await webSocket.waitForData(12);
      // It will not answer the Close frame.
      webSocket.socket.pause();
    }
    expect(await consoles.service.stop()).toMatchObject({ code: 0 });
  });

  it('answers the call that is running, and takes no new ones', async () => {
    const oned = await startTestOned();
    const service = await startService({ oned });
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    oned.answer(1, async () => {
      await held;
      return { vm: { id: 1 } };
    });
    const running = service.call('one.vm.vnctokenonly', ['oneadmin:oneadmin', 1]);
    await waitFor(() => oned.active() === 1, { what: 'the call at oned' });
    service.signal('SIGTERM');
    await waitFor(async () => !(await canConnect(service.rpcPort)), { what: 'the listener to close' });
    release();
    expect((await running)[0]).toBe(true);
    expect((await service.stop()).code).toBe(0);
  });
});

describe('SIGHUP', () => {
  it('takes a new configuration; live sessions go on', async () => {
    const consoles = await startConsoles({ ownConfig: ':debug_level: 2\n' });
    const { service } = consoles;
    const { token } = await consoles.console(greetAndEcho);
    const webSocket = await consoles.open(token);
    const config = join(service.oneLocation, 'etc/vnctoken-server.conf');
    writeFileSync(
      config,
      ':allowed_origins: https://new.example\n:public_url: https://c.example\n:max_body: 2048\n',
    );
    service.signal('SIGHUP');
    await service.waitForLog(({ msg }) => msg === 'configuration reloaded', 'the reload');
    expect(service.logLines().find(({ keys }) => keys !== undefined)?.['keys']).toEqual(['max_body']);
    const refused = await consoles.open('unknown', { headers: { Origin: 'https://other.example' } });
    expect(refused.status).toBe(403);
    expect((await consoles.open('unknown', { headers: { Origin: 'https://new.example' } })).status).toBe(101);
    const [ok, url] = await service.call('one.vm.vncurl', ['oneadmin:oneadmin', 1]);
    expect([ok, String(url).startsWith('https://c.example/console/#token=')]).toEqual([true, true]);
    webSocket.send(frame({ payload: 'still here' }));
    expect((await webSocket.waitForData(22)).toString()).toContain('still here');
  });

  it('logs a bad configuration whole and keeps the old one', async () => {
    const consoles = await startConsoles({ ownConfig: ':allowed_origins: https://old.example\n' });
    const { service } = consoles;
    writeFileSync(join(service.oneLocation, 'etc/vnctoken-server.conf'), ':nosuch: 1\n:token_ttl: x\n');
    service.signal('SIGHUP');
    const line = await service.waitForLog(({ problems }) => problems !== undefined, 'the problems');
    expect(line['problems']).toEqual([
      expect.stringContaining('nosuch'),
      expect.stringContaining('token_ttl'),
    ]);
    const opened = await consoles.open('unknown', { headers: { Origin: 'https://old.example' } });
    expect(opened.status).toBe(101);
  });

  it('takes new certificates for new connections; a bad one changes nothing', async () => {
    const pki = await makePki();
    const folder = temporaryFolder();
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const first = await issueCertificate(pki.folder, 'first');
    const second = await issueCertificate(pki.folder, 'second');
    const install = (from: { cert: string; key: string }) => {
      writeFileSync(cert, readFileSync(from.cert));
      writeFileSync(key, readFileSync(from.key));
    };
    install(first);
    const consoles = await startConsoles({
      flags: { vnc_proxy_support_wss: 'yes', vnc_proxy_cert: cert, vnc_proxy_key: key },
    });
    const { token } = await consoles.console(greetAndEcho);
    const live = await consoles.open(token, { tls: true });
    install(second);
    consoles.service.signal('SIGHUP');
    await consoles.service.waitForLog(({ msg }) => msg === 'configuration reloaded', 'the reload');
    const serial = async () => {
      const script = ['s_client', '-connect', `127.0.0.1:${consoles.service.proxyPort}`, '-showcerts'];
      return (await run('openssl', script)).stdout.match(/subject=.*/)?.[0];
    };
    expect(await serial()).toContain('second');
    writeFileSync(cert, 'broken');
    consoles.service.signal('SIGHUP');
    await consoles.service.waitForLog(({ problems }) => problems !== undefined, 'the problem');
    expect(await serial()).toContain('second');
    live.send(frame({ payload: 'still here' }));
    expect((await live.waitForData(22)).toString()).toContain('still here');
  });
});

describe('SIGUSR2', () => {
  it('opens the log anew after it was renamed', async () => {
    const logFile = join(temporaryFolder(), 'vnctoken.log');
    const service = await startService({ flags: { log_file: logFile } });
    renameSync(logFile, `${logFile}.1`);
    service.signal('SIGUSR2');
    await waitFor(() => existsSync(logFile), { what: 'the new log' });
    await service.rawCall('nonsense');
    await waitFor(() => readFileSync(logFile, 'utf8').includes('call refused'), {
      what: 'a line in the new log',
    });
    expect(readFileSync(`${logFile}.1`, 'utf8')).toContain('ready');
    chmodSync(logFile, 0o600);
  });
});

describe('the proxy with TLS', () => {
  it.each([
    ['yes', 101, 101],
    ['only', 0, 101],
  ])('%s on one port', async (wss, plainStatus, tlsStatus) => {
    const { cert, key } = (await makePki()).server;
    const consoles = await startConsoles({
      flags: { vnc_proxy_support_wss: wss, vnc_proxy_cert: cert, vnc_proxy_key: key },
    });
    const { token } = await consoles.console(greetAndEcho);
    const plain = await consoles.open(token, { tls: false }).then(
      ({ status }) => status,
      () => 0,
    );
    expect(plain).toBe(plainStatus);
    const secure = await consoles.open(token, { tls: true, firstBytes: frame({ payload: 'early' }) });
    expect(secure.status).toBe(tlsStatus);
    expect((await secure.waitForData(17)).toString()).toBe('RFB 003.008\nearly');
  });

  it('closes a connection that sends no first byte when the service stops, and serves others meanwhile', async () => {
    const { cert, key } = (await makePki()).server;
    const consoles = await startConsoles({
      flags: {
        vnc_proxy_support_wss: 'yes',
        vnc_proxy_cert: cert,
        vnc_proxy_key: key,
        stop_timeout: 2,
      },
    });
    const { token } = await consoles.console(greet);
    const mute = openRawWebSocket({ port: consoles.service.proxyPort, request: '' });
    const rejected = expect(mute).rejects.toThrow('ended without a reply');
    expect((await consoles.open(token, { tls: true })).status).toBe(101);
    expect((await within(consoles.service.stop(), { what: 'the stop' })).code).toBe(0);
    await rejected;
  });
});
