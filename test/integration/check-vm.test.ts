// `check-config --vm ID`: what an operator sees who wants to know how a VM's console is reached.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { runMain } from '../support/service.ts';
import { greet, startVncTarget } from '../support/vnc-target.ts';

let oned: TestOned;
let auth: string;

beforeAll(async () => {
  oned = await startTestOned();
  auth = join(temporaryFolder(), 'one_auth');
  writeFileSync(auth, 'oneadmin:her-own-secret\n', { mode: 0o600 });
});

const check = (vm: string, env: Record<string, string> = { ONE_AUTH: auth }, ...more: string[]) =>
  runMain(['check-config', '--vm', vm, '--one_xmlrpc', oned.url, '--console_ports', '1-65535', ...more], {
    env,
  });

describe('check-config --vm', () => {
  it('tells where the console is and by which rule, and that it answers', async () => {
    const target = await startVncTarget(greet);
    oned.runVm(1, target);
    const plain = await check('1');
    expect([plain.code, plain.stderr]).toEqual([0, '']);
    expect(plain.stdout).toContain(`VM 1: ${target.host}:${target.port}, by no rule of targets (via tcp)`);
    expect(plain.stdout).toContain('Its VNC server answers.');
    const rules = JSON.stringify([{ match: 'elsewhere' }, { via: 'tcp', match: target.host }]);
    const ruled = await check('1', { ONE_AUTH: auth, VNCTOKEN_TARGETS: rules });
    expect(ruled.stdout).toContain('by targets[1] (via tcp)');
  });

  it('tells what is wrong and exits 1', async () => {
    const port = await freePort();
    oned.runVm(2, { host: '127.0.0.1', port });
    const refused = await check('2');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/VM 2: .*ECONNREFUSED/)]);
    const mute = await startVncTarget((socket) => void socket.resume());
    oned.runVm(3, mute);
    const silent = await check('3', { ONE_AUTH: auth }, '--proxy_connect_timeout', '0.3');
    expect([silent.code, silent.stderr]).toEqual([1, expect.stringContaining('no answer within 0.3 s')]);
    const nobody = await check('1', {});
    expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining('service_auth')]);
    for (const { stdout, stderr } of [refused, silent, nobody])
      expect(stdout + stderr).not.toContain('her-own-secret');
  });

  it('tells which rights the service lacks to look at users and rules again', async () => {
    const target = await startVncTarget(greet);
    oned.runVm(5, target);
    const asService = () => check('5', {}, '--service_auth', auth);
    expect((await asService()).stdout).not.toMatch(/it needs the rule/);
    oned.forbidden.add('users').add('rules');
    const { code, stdout } = await asService();
    oned.forbidden.clear();
    expect([code, stdout.match(/it needs the rule/g)]).toEqual([0, Array(2).fill('it needs the rule')]);
    expect(stdout).toMatch(/USER\/\* USE \*[\s\S]*ACL\/\* MANAGE #ZONE/);
    // With ONE_AUTH it is not the service that asks.
    oned.forbidden.add('users').add('rules');
    expect((await check('5')).stdout).not.toMatch(/it needs the rule/);
    oned.forbidden.clear();
  });

  it('takes a VM without a port for one without a console, unless there is a default', async () => {
    const target = await startVncTarget(greet);
    oned.runVm(4, target, { PORT: '' });
    const without = await check('4');
    expect([without.code, without.stderr]).toEqual([1, expect.stringContaining('has no GRAPHICS/PORT')]);
    const port = String(target.port);
    expect((await check('4', { ONE_AUTH: auth }, '--default_console_port', port)).stdout).toContain(
      `:${port}, by`,
    );
    const outside = await check(
      '4',
      { ONE_AUTH: auth },
      '--default_console_port',
      '5900',
      '--console_ports',
      '1-9',
    );
    expect([outside.code, outside.stderr]).toEqual([
      2,
      expect.stringContaining('default_console_port: 5900 is not in console_ports'),
    ]);
  });

  it.each(['x', '-1', '99999999999'])('takes no %s for a VM', async (vm) => {
    expect((await check(vm)).code).toBe(2);
  });
});
