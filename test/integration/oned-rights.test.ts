// The whole service with `service_auth`, between browsers and an oned in which users lose their accounts and rights. What
// always holds: who may no longer log in, or no longer see the VM, is off its console and does not come back; and nobody
// is let in for the first time without a look.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startService } from '../support/service.ts';
import { greet } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { openRawWebSocket } from '../support/ws-client.ts';

const secret = 'Zoo7ahsh9u';
let flags: Record<string, string | number>;
let consoles: Consoles;
let lastUid = 100;

beforeAll(async () => {
  const file = join(temporaryFolder(), 'service_auth');
  writeFileSync(file, `console:${secret}\n`, { mode: 0o600 });
  flags = { service_auth: file, recheck_interval: 1, max_sessions_per_user: 2 };
  consoles = await startConsoles({ flags });
});

/** A user of his own, with a VM that is his, or that a rule gives him. */
async function userWithVm({ byRule = false } = {}) {
  const { oned } = consoles;
  const { target, vmId } = await consoles.console(greet);
  const id = ++lastUid;
  const [name, session] = [`user${id}`, `user${id}:pw`];
  const user = { id, name, gids: [id] };
  oned.user(session, user);
  oned.changeVm(vmId, byRule ? { uid: 1, gid: 1 } : { uid: id, gid: id });
  const rule = `#${id} VM/#${vmId} USE #0`;
  if (byRule) oned.rules.push(rule);
  const takeRule = () => oned.rules.splice(oned.rules.indexOf(rule), 1);
  return { user, session, vmId, target, takeRule, issue: () => consoles.service.issueToken(vmId, session) };
}

describe('a user', () => {
  it.each<[string, boolean, (who: Awaited<ReturnType<typeof userWithVm>>) => void]>([
    ['is disabled', false, ({ user }) => consoles.oned.account({ ...user, enabled: false })],
    ['is deleted', false, ({ user }) => consoles.oned.removeAccount(user.id)],
    ['has no rule any more', true, ({ takeRule }) => void takeRule()],
  ])('who %s is off his console, and his unused tokens are dead for good', async (_what, byRule, change) => {
    const who = await userWithVm({ byRule });
    const [used, unused] = [await who.issue(), await who.issue()];
    const browser = await consoles.open(used);
    await who.target.connection();
    change(who);
    expect((await consoles.open(unused)).status).toBe(401);
    expect(await browser.closeFrame()).toMatchObject({ code: 4004 });
    consoles.oned.account(who.user);
    consoles.oned.rules.push(`#${who.user.id} VM/* USE *`);
    for (const token of [used, unused]) expect((await consoles.open(token)).status).toBe(401);
  });

  it('is one under each spelling that oned takes, for limits, lists and revocations', async () => {
    const { user, session, vmId, issue } = await userWithVm();
    const shouting = session.toUpperCase();
    consoles.oned.user(shouting, user);
    const tokens = [await issue(), await consoles.service.issueToken(vmId, shouting), await issue()];
    const statuses = [];
    for (const token of tokens) statuses.push((await consoles.open(token)).status);
    expect(statuses).toEqual([101, 101, 429]);
    const [, xml] = await consoles.service.call('one.vm.vncsessions', [shouting, vmId]);
    expect(String(xml).match(new RegExp(`<USER>${user.name}</USER>`, 'g'))).toHaveLength(2);
    // Those, and the one of oneadmin that every VM here has.
    expect(await consoles.service.call('one.vm.vncrevoke', [shouting, vmId])).toEqual([true, 4, 0]);
  });

  it('who is made anew under an old name has nothing of the old one', async () => {
    const old = await userWithVm();
    const browser = await consoles.open(await old.issue());
    const anew = { ...old.user, id: ++lastUid };
    consoles.oned.user(old.session, anew);
    consoles.oned.changeVm(old.vmId, { permissions: 'um----u--' });
    const [, xml] = await consoles.service.call('one.vm.vncsessions', [old.session, old.vmId]);
    expect(xml).toBe('<VNC_SESSIONS></VNC_SESSIONS>');
    expect(await consoles.service.call('one.vm.vncrevoke', [old.session, old.vmId])).toEqual([true, 0, 0]);
    consoles.oned.removeAccount(old.user.id);
    expect(await browser.closeFrame()).toMatchObject({ code: 4004 });
  });

  it('manages by a rule, and not with a login token of another group', async () => {
    const owner = await userWithVm();
    const helper = await userWithVm();
    const { oned, service } = consoles;
    oned.user(helper.session, { ...helper.user, gids: [helper.user.id, 77] });
    oned.user(`${helper.user.name}:limited`, {
      ...{ ...helper.user, gids: [helper.user.id, 77] },
      loginTokens: [{ token: 'limited', egid: helper.user.id }],
    });
    oned.rules.push(`@77 VM/#${owner.vmId} USE+MANAGE #0`);
    await owner.issue();
    const revoke = (session: string) => service.call('one.vm.vncrevoke', [session, owner.vmId]);
    expect(await revoke(`${helper.user.name}:limited`)).toEqual([true, 0, 0]);
    expect(await revoke(helper.session)).toEqual([true, 2, 0]);
  });
});

describe('the first use of a token', () => {
  /** All tokens there are, older than what has just been seen. */
  function age(stateFolder: string): void {
    for (const name of readdirSync(stateFolder).filter((one) => /^[0-9a-f]{64}$/.test(one))) {
      const state = JSON.parse(readFileSync(join(stateFolder, name), 'utf8'));
      state.grant.issuedAt -= 60_000;
      writeFileSync(join(stateFolder, name), JSON.stringify(state));
    }
  }

  it('waits until oned says whose the console is, and costs nothing until then', async () => {
    const first = await startConsoles({ flags });
    const { target, vmId, token } = await first.console(greet);
    const young = await first.service.issueToken(vmId);
    first.oned.answerMethod('one.vm.info', 'hang-up');
    // A moment after it was issued: who asked for it was seen then.
    const browserOfYoung = await first.open(young);
    expect(browserOfYoung.status).toBe(101);
    browserOfYoung.socket.destroy();
    await first.service.stop();
    age(first.service.stateFolder);
    const { oned } = first;
    const again = await startService({ oned, oneLocation: first.service.oneLocation, flags });
    const open = (origin?: string) => {
      const headers = origin === undefined ? {} : { origin };
      return openRawWebSocket({ port: again.proxyPort, path: `/?token=${token}`, headers });
    };
    expect((await open()).status).toBe(503);
    const page = await open(`http://127.0.0.1:${again.proxyPort}`);
    expect(page.status).toBe(101);
    await waitFor(() => /cannot be checked just now.*\(ref \w{6}\)/.test(page.data().toString()), {
      what: 'the reason in RFB',
    });
    oned.answerMethod('one.vm.info', undefined);
    // Nobody came as far as the VM with that token.
    expect(target.connections.length).toBeLessThan(2);
    expect((await open()).status).toBe(101);
    oned.answerMethod('one.vm.info', 'hang-up');
    expect((await open()).status).toBe(101);
    expect(again.child.stdout()).not.toContain(secret);
  });
});

it('what its user may not ask is told in one line, and consoles are what they were', async () => {
  const limited = await startConsoles({ flags });
  limited.oned.forbidden.add('users').add('rules');
  const { vmId } = await limited.console(greet);
  limited.oned.changeVm(vmId, { uid: 9, gid: 9 });
  for (let i = 0; i < 2; i++) {
    const token = await limited.service.issueToken(vmId, 'alice:pw');
    expect((await limited.open(token)).status).toBe(101);
  }
  const told = (what: string) =>
    limited.service.logLines().filter(({ msg }) => String(msg).includes(what)).length;
  await waitFor(() => told('ACL/* MANAGE') > 0, { what: 'the line about rules' });
  expect([told('USER/* USE *'), told('ACL/* MANAGE')]).toEqual([1, 1]);
});
