// Node's inspector stays shut, and workers have no secrets in their environment. Real processes, real signals.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startChild } from '../support/child.ts';
import { startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import { atEnd } from '../support/lifetime.ts';
import { freePort } from '../support/ports.ts';
import { catchesSigusr1, childrenOf, environmentOf, listeningPorts } from '../support/processes.ts';
import { commandLine, mainFile, runMain } from '../support/service.ts';
import { greetAndEcho } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';

/** Long enough for Node to open an inspector many times over: the control below is given no more. */
const PATIENCE_MS = 1_000;

describe('SIGUSR1', () => {
  it('opens the inspector of any other Node, which is what the tests below look for', async () => {
    const child = await startChild(process.execPath, [
      ...[`--inspect-port=${await freePort()}`, '-e', 'setInterval(() => {}, 1000)'],
    ]);
    await waitFor(() => catchesSigusr1(child.pid), { what: "Node's handler" });
    child.signal('SIGUSR1');
    await waitFor(() => listeningPorts(child.pid).length === 1, {
      what: 'an inspector',
      deadlineMs: PATIENCE_MS * 10,
    });
  });

  it.each([1, 2])('opens nothing in any of the processes, workers: %s', async (workers) => {
    const consoles = await startConsoles({ flags: { workers } });
    const { service } = consoles;
    const pids = [service.child.pid, ...childrenOf(service.child.pid)];
    expect(pids).toHaveLength(workers === 1 ? 1 : 3);
    for (let i = 0; i < 10; i++) for (const pid of pids) process.kill(pid, 'SIGUSR1');
    await sleep(PATIENCE_MS);
    const ours = [service.rpcPort, service.proxyPort];
    for (const pid of pids) for (const port of listeningPorts(pid)) expect(ours).toContain(port);
    const { token } = await consoles.console(greetAndEcho);
    expect((await consoles.open(token)).status).toBe(101);
    expect([service.child.pid, ...childrenOf(service.child.pid)]).toEqual(pids);
  });

  it('opens nothing that stays open, however early it comes', { timeout: 60_000 }, async () => {
    const folder = temporaryFolder();
    const [port, proxyPort] = [await freePort(), await freePort()];
    const flags = { port, vnc_proxy_port: proxyPort, workers: 1 };
    const child = spawn(process.execPath, [mainFile, 'serve', ...commandLine(flags)], {
      env: { PATH: process.env['PATH'] ?? '', ONE_LOCATION: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { pid } = child;
    if (pid === undefined) throw new Error('no process');
    atEnd(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    let [told, complained] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (told += text.toString()));
    child.stderr.on('data', (text: Buffer) => (complained += text.toString()));
    // From the very moment on at which Node listens to it: before, it would end the process.
    while (!catchesSigusr1(pid)) await sleep(0);
    child.kill('SIGUSR1');
    await waitFor(() => told.includes('"ready"'), { what: 'the service', deadlineMs: 30_000 });
    await sleep(PATIENCE_MS);
    expect(listeningPorts(pid).toSorted()).toEqual([port, proxyPort].toSorted());
    // Node says so itself, where it came in time; else the test has proved no more than the one before.
    expect(complained === '' || complained.includes('Debugger listening')).toBe(true);
  });

  it('does not end other commands', async () => {
    expect((await runMain(['check-config'])).code).toBe(0);
  });
});

describe('the environment', () => {
  it.each([
    ['NODE_OPTIONS', '--inspect=127.0.0.1:0', /NODE_OPTIONS in the environment: --inspect is not taken/],
    [
      'NODE_OPTIONS',
      '--import=data:text/javascript,0',
      /NODE_OPTIONS in the environment: --import is not taken/,
    ],
    ['NODE_TLS_REJECT_UNAUTHORIZED', '0', /NODE_TLS_REJECT_UNAUTHORIZED in the environment: /],
  ])('with %s=%s the service does not start', async (name, value, told) => {
    for (const command of ['serve', 'check-config']) {
      const ended = await runMain([command], { env: { [name]: value } });
      expect(ended.code).toBe(2);
      expect(ended.stderr).toMatch(told);
    }
  });

  it('of workers holds no secret and nothing of ours', async () => {
    const secrets = {
      VNCTOKEN_REDIS_URL: 'redis://:verysecret@127.0.0.1:1/',
      ONE_AUTH: '/nonexistent/one_auth',
    };
    const { service } = await startConsoles({
      flags: { workers: 2 },
      env: { ...secrets, TZ: 'Asia/Tokyo', OTHER: 'verysecret' },
    });
    expect(environmentOf(service.child.pid).get('OTHER')).toBe('verysecret');
    const workers = childrenOf(service.child.pid);
    expect(workers).toHaveLength(2);
    for (const pid of workers) {
      const environment = environmentOf(pid);
      expect(environment.get('TZ')).toBe('Asia/Tokyo');
      expect([...environment.values()].join()).not.toContain('verysecret');
      expect([...environment.keys()].filter((name) => /^(ONE_|VNCTOKEN_|OTHER)/.test(name))).toEqual([]);
    }
  });
});

describe('what workers are told', () => {
  it('is what the data plane needs, by name', async () => {
    const { dataPlaneSettings } = await import('../../src/data-plane.ts');
    const { loadSettings } = await import('../../src/config/load.ts');
    const flags = new Map([['redis_url', 'redis://:verysecret@h/']] as const);
    const { settings } = loadSettings({ configFiles: ['/dev/null'], flags: new Map(flags), env: {} });
    const told = dataPlaneSettings(settings);
    expect(JSON.stringify(told)).not.toContain('verysecret');
    for (const name of ['redis_url', 'sealed_keys', 'service_auth', 'password_key', 'one_xmlrpc']) {
      expect(told).not.toHaveProperty(name);
    }
  });
});
