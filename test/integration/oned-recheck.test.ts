// The whole service with `service_auth`, between a browser, an oned that changes its VMs, and their VNC servers. What
// always holds: a console follows its VM, ends with it, and goes on while oned cannot be asked.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import type { OnedCall } from '../support/oned.ts';
import { runMain } from '../support/service.ts';
import { greet, startVncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';

const user = 'alice:secret';
const secret = 'Zoo7ahsh9u';
const serviceSession = `console:${secret}`;

let file: string;
let consoles: Consoles;

beforeAll(async () => {
  file = join(temporaryFolder(), 'service_auth');
  writeFileSync(file, `${serviceSession}\n`, { mode: 0o600 });
  consoles = await startConsoles({ flags: { service_auth: file, recheck_interval: 1, debug_level: 3 } });
});

/** A VM of alice, and a token of hers. */
async function aliceConsole() {
  const { target, vmId } = await consoles.console(greet);
  consoles.oned.changeVm(vmId, { uid: 2, gid: 1 });
  return { target, vmId, token: await consoles.service.issueToken(vmId, user) };
}

/** Looks at this VM in the background, so far. */
function looksAt(vmId: number): OnedCall[] {
  return consoles.oned.calls.filter(
    ({ method, ids }) => method === 'one.vmpool.infoset' && ids.includes(vmId),
  );
}

/** The third look from now on has begun, so two have ended: what they found has happened. */
async function looks(vmId: number): Promise<void> {
  const before = looksAt(vmId).length;
  await waitFor(() => looksAt(vmId).length >= before + 3, { what: 'three looks at the VM' });
}

describe('a console', () => {
  it('goes to where QEMU runs while its VM migrates, and stays there when it is seen again', async () => {
    const { target, vmId, token } = await aliceConsole();
    const next = await startVncTarget(greet);
    const from = { host: target.host, cid: 0, rstime: 1_795_295_589 };
    const to = { host: next.host, cid: 1, rstime: 0 };
    const graphics = { PORT: next.port, PREVIOUS_PORT: target.port };
    consoles.oned.changeVm(vmId, { lcmState: 4, hosts: [from, to], graphics });
    const during = await consoles.open(token);
    await target.connection();
    expect(next.connections).toHaveLength(0);
    await looks(vmId);
    expect(during.frames.some(({ opcode }) => opcode === 8)).toBe(false);
    during.socket.destroy();
    consoles.oned.changeVm(vmId, { lcmState: 3, hosts: [from, { ...to, rstime: 1_795_295_600 }] });
    await consoles.open(token);
    await next.connection();
    expect(target.connections).toHaveLength(1);
  });

  it('survives a migration: the next connect goes where the VM is now', async () => {
    const { target, vmId, token } = await aliceConsole();
    const before = await consoles.open(token);
    await target.connection();
    const next = await startVncTarget(greet);
    consoles.oned.changeVm(vmId, { hosts: ['old.invalid', next.host], graphics: { PORT: next.port } });
    await looks(vmId);
    expect(before.frames.some(({ opcode }) => opcode === 8)).toBe(false);
    before.socket.destroy();
    await consoles.open(token);
    await next.connection();
    expect(target.connections).toHaveLength(1);
  });

  it.each([
    ['is powered off', { state: 8, lcmState: 0 }],
    ['has another owner', { uid: 7, gid: 7 }],
  ])('ends with 4004 when its VM %s, and its token is dead', async (_what, changes) => {
    const { target, vmId, token } = await aliceConsole();
    const browser = await consoles.open(token);
    await target.connection();
    consoles.oned.changeVm(vmId, changes);
    expect(await browser.closeFrame()).toMatchObject({ code: 4004 });
    consoles.oned.changeVm(vmId, { state: 3, lcmState: 3, uid: 2, gid: 1 });
    expect((await consoles.open(token)).status).toBe(401);
  });

  it.each([
    ['is undeployed', { state: 9, lcmState: 0 }],
    ['gives her no USE any more', { permissions: '---------' }],
  ])('does not open when its VM %s, now and later', async (_what, changes) => {
    const { vmId, token } = await aliceConsole();
    consoles.oned.changeVm(vmId, changes);
    expect((await consoles.open(token)).status).toBe(401);
    consoles.oned.changeVm(vmId, { state: 3, lcmState: 3, permissions: 'um-------' });
    expect((await consoles.open(token)).status).toBe(401);
  });

  it('opens and goes on while oned cannot be asked', async () => {
    const { target, vmId, token } = await aliceConsole();
    for (const method of ['one.vm.info', 'one.vmpool.infoset']) consoles.oned.answerMethod(method, 'hang-up');
    const browser = await consoles.open(token);
    expect(browser.status).toBe(101);
    await target.connection();
    await looks(vmId);
    expect(browser.frames.some(({ opcode }) => opcode === 8)).toBe(false);
    for (const method of ['one.vm.info', 'one.vmpool.infoset']) consoles.oned.answerMethod(method, undefined);
    await consoles.service.waitForLog(
      ({ level, code }) => level === 'warn' && code === 'oned-unreachable',
      'the failure',
    );
  });
});

describe('service_auth', () => {
  const asked = (session: string) => consoles.oned.calls.some((call) => call.session === session);

  it('is read again at SIGHUP; one that cannot be used is told, and the old one stays', async () => {
    const { target, vmId, token } = await aliceConsole();
    await consoles.open(token);
    await target.connection();
    await looks(vmId);
    writeFileSync(file, `console2:${secret}\n`);
    consoles.service.signal('SIGHUP');
    await waitFor(() => asked(`console2:${secret}`), { what: 'a look with the new session' });
    writeFileSync(file, `console3:${secret}\n`);
    chmodSync(file, 0o644);
    consoles.service.signal('SIGHUP');
    await waitFor(() => /service_auth: .* has mode 0644/.test(JSON.stringify(consoles.service.logLines())), {
      what: 'the line about the file',
    });
    await looks(vmId);
    expect(asked(`console3:${secret}`)).toBe(false);
    expect(consoles.service.child.stdout()).not.toContain(secret);
  });

  it('that others can read is a reason not to start', async () => {
    const open = join(temporaryFolder(), 'open');
    writeFileSync(open, `${serviceSession}\n`);
    chmodSync(open, 0o640);
    const { code, stderr } = await runMain(['serve', '--service_auth', open, '--vnc_proxy_port', 'off']);
    expect([code, stderr]).toEqual([1, expect.stringContaining(`service_auth: ${open} has mode 0640`)]);
    expect(stderr).not.toContain(secret);
  });
});
