// The configuration file, the systemd unit and the logrotate file, tried with the programs that read them:
// the service itself, systemd-analyze and logrotate.
// Only what belongs to the host where they will be installed is replaced (see shipped-file.ts).
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { run, runWell } from '../support/child.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startTestOned } from '../support/oned.ts';
import { runMain, type Service, startService } from '../support/service.ts';
import { waitFor } from '../support/wait.ts';
import { readShipped, shippedPath } from './shipped-file.ts';

describe('etc/one/vnctoken-server.conf', () => {
  const path = 'etc/one/vnctoken-server.conf';

  test('sets the log file, and keeps VNC passwords from browsers, and nothing else', () => {
    expect(parse(readShipped(path))).toEqual({
      ':log_file': '/var/log/one/vnctoken.log',
      ':vnc_auth': 'proxy',
    });
  });

  test('shows each setting with the value that it has anyway', async () => {
    const uncommented = readShipped(path).replaceAll(/^#(?=:\w+:)/gm, '');
    const asShipped = await effectiveSettings({ file: shippedPath(path) });
    const allSet = await effectiveSettings({ text: uncommented });
    expect(allSet).toEqual(asShipped);
    expect(Object.keys(parse(uncommented) as object).sort()).toEqual(
      Object.keys(asShipped)
        .map((key) => `:${key}`)
        .sort(),
    );
  });

  /** What `check-config` says that the service would do, by key; '' where nothing is set. */
  async function effectiveSettings(config: { file: string } | { text: string }) {
    const folder = temporaryFolder();
    const file = 'file' in config ? config.file : join(folder, 'vnctoken-server.conf');
    if ('text' in config) writeFileSync(file, config.text);
    const { code, stdout, stderr } = await runMain(['check-config', '--config', file]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.split('\n\n')[0]?.split('\n') ?? [];
    return Object.fromEntries(
      lines.map((line) => {
        const [, key = '', value = ''] = /^(\w+)\s+(?:default: )?(.*?)\s*(?:\([^()]*\))?$/.exec(line) ?? [];
        return [key, value === 'not set' ? '' : value];
      }),
    );
  }
});

describe('etc/systemd/system/vnctoken.service', () => {
  // systemd-analyze wants the program to exist; where Node is differs from host to host.
  const unit = readShipped('etc/systemd/system/vnctoken.service', { '/usr/bin/node': process.execPath });
  let file: string;

  beforeAll(() => {
    file = join(temporaryFolder(), 'vnctoken.service');
    writeFileSync(file, unit);
  });

  test('systemd finds nothing wrong with it', async () => {
    const { code, stdout, stderr } = await run('systemd-analyze', [
      ...['verify', '--man=no', '--recursive-errors=one', file],
    ]);
    expect({ code, output: stdout + stderr }).toEqual({ code: 0, output: '' });
  });

  test('its exposure is at most 1.5 of 10, which systemd calls OK', async () => {
    const { code, stdout } = await run('systemd-analyze', [
      ...['security', '--no-pager', '--offline=true', '--threshold=15', file],
    ]);
    expect(stdout).toMatch(/Overall exposure level for vnctoken\.service: \d\.\d OK/);
    expect(code).toBe(0);
  });

  test.each([
    ['runs as oneadmin', /^User=oneadmin$/m],
    ['starts after oned', /^After=.*\bopennebula\.service\b/m],
    ['says when it is ready', /^Type=notify$/m],
    ['lets systemd-notify say so', /^NotifyAccess=all$/m],
    ['reloads by SIGHUP', /^ExecReload=\/bin\/kill -HUP \$MAINPID$/m],
    ['comes back after a failure', /^Restart=on-failure$/m],
    ['does not come back to the same bad configuration', /^RestartPreventExitStatus=2$/m],
    ['cannot see the credentials of oneadmin', /^InaccessiblePaths=-\/var\/lib\/one\/\.one$/m],
    ['cannot see the keys to the hypervisors', /^InaccessiblePaths=-\/var\/lib\/one\/\.ssh$/m],
    ['cannot see the disks', /^InaccessiblePaths=-\/var\/lib\/one\/datastores$/m],
    ['lets V8 write machine code', /^MemoryDenyWriteExecute=no$/m],
  ])('%s', (_what, line) => {
    expect(unit).toMatch(line);
  });

  test('lets it write to two folders of oneadmin, and to the log', () => {
    const writable = [...unit.matchAll(/^(?:ReadWritePaths|StateDirectory|BindPaths)=-?(.*)$/gm)];
    expect(writable.map(([, path]) => path).toSorted()).toEqual([
      ...['/var/lib/one/sunstone_vnc_tokens', '/var/lib/one/vnctoken', '/var/log/one'],
    ]);
    expect(unit).toMatch(/^ProtectSystem=strict$/m);
  });

  test('keeps what Node would do at a word of the environment from it', () => {
    const unset = [...unit.matchAll(/^UnsetEnvironment=(.*)$/gm)].flatMap(([, names = '']) =>
      names.split(' '),
    );
    expect(unset).toEqual(
      expect.arrayContaining(['NODE_OPTIONS', 'NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_DEBUG']),
    );
    expect(unit).toMatch(/^LimitCORE=0$/m);
  });

  test('gives the service longer to stop than the service takes by default', () => {
    const unitSeconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]);
    const config = readShipped('etc/one/vnctoken-server.conf');
    expect(unitSeconds).toBeGreaterThan(Number(/^#:stop_timeout: (\d+)$/m.exec(config)?.[1]));
  });
});

describe('logrotate/vnctoken', () => {
  test('no line is lost or doubled while the service logs under load', async () => {
    const host = await makeHost();
    const oned = await startTestOned();
    const service = await startService({ oned, flags: { log_file: host.logFile } });
    host.serviceIs(service);

    const load = startLoad(service);
    for (let rotation = 1; rotation <= 4; rotation++) {
      const wanted = load.answered() + 100;
      await waitFor(() => load.answered() >= wanted, { what: '100 more calls' });
      expect(await host.rotate()).toMatchObject({ code: 0, stderr: '' });
      // The next rotation compresses this one's file, which the service has to have left by then.
      await waitFor(() => readFileSync(host.logFile).length > 0, { what: 'a line in the new file' });
    }
    const calls = await load.stop();
    await service.stop();

    const logged = host
      .allLines()
      .map(({ vm }) => vm)
      .filter((vm) => vm !== undefined)
      .sort((a, b) => a - b);
    expect(logged).toEqual(Array.from({ length: calls }, (_value, index) => index));
    expect(readdirSync(host.logFolder).sort()).toEqual(
      ['', '.1', '.2.gz', '.3.gz', '.4.gz'].map((suffix) => `vnctoken.log${suffix}`),
    );
    expect(host.systemctlCalls()).toEqual(
      Array(4)
        .fill(['--quiet is-active vnctoken.service', 'kill -s USR2 --kill-who=main vnctoken.service'])
        .flat(),
    );
  });

  test('rotates as well while the service is stopped', async () => {
    const host = await makeHost();
    writeFileSync(host.logFile, '{"msg":"stopped"}\n');
    expect(await host.rotate()).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(`${host.logFile}.1`, 'utf8')).toBe('{"msg":"stopped"}\n');
    expect(host.systemctlCalls()).toEqual(['--quiet is-active vnctoken.service']);
  });

  test('has nothing against a host without systemd', async () => {
    const host = await makeHost({ systemctl: 'exit 127' });
    writeFileSync(host.logFile, '{"msg":"stopped"}\n');
    expect(await host.rotate()).toMatchObject({ code: 0, stderr: '' });
  });

  test('has nothing against a log that is not there yet', async () => {
    const host = await makeHost();
    expect(await host.rotate()).toMatchObject({ code: 0, stderr: '' });
    expect(readdirSync(host.logFolder)).toEqual([]);
  });

  test('never copies and truncates, which loses lines', () => {
    expect(readShipped('logrotate/vnctoken')).not.toContain('copytruncate');
  });
});

/** A folder in the place of /var/log/one, and a `systemctl` that knows vnctoken.service alone. */
async function makeHost({ systemctl = systemctlScript } = {}) {
  const folder = temporaryFolder();
  const logFolder = join(folder, 'log');
  const programs = join(folder, 'bin');
  for (const path of [logFolder, programs]) mkdirSync(path, { mode: 0o750 });
  const logFile = join(logFolder, 'vnctoken.log');
  writeFileSync(join(programs, 'systemctl'), `#!/bin/sh\n${systemctl}\n`, { mode: 0o755 });
  const config = join(folder, 'logrotate.conf');
  const group = (await runWell('id', ['-gn'])).trim();
  const owner = `${userInfo().username} ${group}`;
  const replacements = { '/var/log/one/': `${logFolder}/`, 'oneadmin oneadmin': owner };
  writeFileSync(config, readShipped('logrotate/vnctoken', replacements), { mode: 0o644 });
  const callsFile = join(folder, 'systemctl-calls');
  writeFileSync(callsFile, '');
  const env = { PATH: `${programs}:${process.env['PATH'] ?? ''}`, HOST: folder };
  return {
    logFolder,
    logFile,
    serviceIs: (service: Service) => writeFileSync(join(folder, 'pid'), `${service.child.pid}`),
    rotate: () => run('logrotate', ['--force', '--state', join(folder, 'state'), config], { env }),
    systemctlCalls: () => readFileSync(callsFile, 'utf8').split('\n').slice(0, -1),
    /** Everything logged, oldest first. */
    allLines: () =>
      readdirSync(logFolder)
        .sort((a, b) => ageOf(b) - ageOf(a))
        .map((name) => readFileSync(join(logFolder, name)))
        .map((bytes) => (bytes[0] === 0x1f ? gunzipSync(bytes) : bytes).toString('utf8'))
        .join('')
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as { vm?: number; audit?: string })
        // One line a call: who was given a console is told in a line of its own.
        .filter(({ audit }) => audit === undefined),
  };
}

function ageOf(name: string): number {
  return Number(/\.log\.(\d+)/.exec(name)?.[1] ?? 0);
}

const systemctlScript = `
echo "$*" >> "$HOST/systemctl-calls"
case "$*" in
  "--quiet is-active vnctoken.service") test -e "$HOST/pid" ;;
  "kill -s USR2 --kill-who=main vnctoken.service") kill -s USR2 "$(cat "$HOST/pid")" ;;
  *) exit 1 ;;
esac`;

/** Eight callers at a time; the n-th call is for VM n, so that it leaves one line in the log with its number. */
function startLoad(service: Service) {
  let started = 0;
  let answered = 0;
  let going = true;
  const callOnAndOn = async () => {
    while (going) {
      const [ok] = await service.call('one.vm.vnctokenonly', ['oneadmin:oneadmin', started++]);
      if (ok) throw new Error('there is no VM, and yet a token');
      answered++;
    }
  };
  const done = Promise.all(Array.from({ length: 8 }, callOnAndOn));
  const stop = async () => {
    going = false;
    await done;
    return answered;
  };
  return { answered: () => answered, stop };
}
