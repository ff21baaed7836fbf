// Revoking and listing consoles over XML-RPC, with live sessions on real sockets. What always holds: an ended token
// opens nothing any more, its sessions end with 4002, and nobody without MANAGE touches or sees what is not his.
import { beforeAll, describe, expect, it } from 'vitest';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { type Flags, type Service, startService } from '../support/service.ts';
import { greetAndEcho, rfbGreeting, startVncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { frame, openRawWebSocket, type RawWebSocket } from '../support/ws-client.ts';

const owner = 'owner:Kee4sohd';
const alice = 'alice:Kee4sohd';
const bob = 'bob:Kee4sohd';
const admin = 'admin:Kee4sohd';
const none = '<VNC_SESSIONS></VNC_SESSIONS>';

interface World {
  oned: TestOned;
  service: Service;
  /** A VM of `owner` that everybody may use. */
  vm(): Promise<number>;
  open(token: string): Promise<RawWebSocket>;
  /** A session on a console of its own token. */
  session(vmId: number, who: string): Promise<{ token: string; socket: RawWebSocket }>;
}

async function startWorld(flags: Flags = {}): Promise<World> {
  const oned = await startTestOned();
  oned.user(owner, { id: 5, name: 'owner', gids: [100] });
  oned.user(alice, { id: 6, name: 'alice', gids: [1] });
  oned.user(bob, { id: 7, name: 'bob', gids: [1] });
  oned.user(admin, { id: 8, name: 'admin', gids: [1, 0] });
  const service = await startService({ oned, flags: { console_ports: '1-65535', ...flags } });
  let last = 100;
  const open = (token: string) => openRawWebSocket({ port: service.proxyPort, path: `/?token=${token}` });
  return {
    ...{ oned, service, open },
    vm: async () => {
      const target = await startVncTarget(greetAndEcho);
      const id = ++last;
      const graphics = { PORT: target.port };
      oned.answer(id, {
        vm: { id, hosts: [target.host], graphics, uid: 5, gid: 100, permissions: 'um-u--u--' },
      });
      return id;
    },
    session: async (vmId, who) => {
      const token = await service.issueToken(vmId, who);
      const socket = await open(token);
      await socket.waitForData(rfbGreeting.length);
      return { token, socket };
    },
  };
}

let world: World;

beforeAll(async () => {
  world = await startWorld();
});

const revoke = (who: string, vmId: number, { service } = world) =>
  service.call('one.vm.vncrevoke', [who, vmId]);
const list = async (who: string, vmId: number, { service } = world) => {
  const [ok, value, code] = await service.call('one.vm.vncsessions', [who, vmId]);
  expect([ok, code]).toEqual([true, 0]);
  return String(value);
};

async function expectEnded({ token, socket }: { token: string; socket: RawWebSocket }, { open } = world) {
  expect(await socket.closeFrame()).toEqual({ code: 4002, reason: 'Access was withdrawn' });
  expect((await open(token)).status).toBe(401);
}

async function expectAlive({ socket }: { socket: RawWebSocket }) {
  const before = socket.data().length;
  socket.send(frame({ payload: 'still there' }));
  const data = await socket.waitForData(before + 'still there'.length);
  expect(data.subarray(before).toString()).toBe('still there');
}

describe('one.vm.vncrevoke', () => {
  it.each([
    ['the owner', owner],
    ['one of the group oneadmin', admin],
  ])("ends everybody's tokens and sessions of the VM for %s", async (_who, session) => {
    const vmId = await world.vm();
    const consoles = [await world.session(vmId, alice), await world.session(vmId, bob)];
    const unused = await world.service.issueToken(vmId, alice);
    const elsewhere = await world.session(await world.vm(), alice);
    expect(await revoke(session, vmId)).toEqual([true, 3, 0]);
    for (const one of consoles) await expectEnded(one);
    expect((await world.open(unused)).status).toBe(401);
    await expectAlive(elsewhere);
    expect(await revoke(session, vmId)).toEqual([true, 0, 0]);
  });

  it("ends only the caller's own without MANAGE", async () => {
    const vmId = await world.vm();
    const hers = await world.session(vmId, alice);
    const his = await world.session(vmId, bob);
    const hisUnused = await world.service.issueToken(vmId, bob);
    expect(await revoke(alice, vmId)).toEqual([true, 1, 0]);
    await expectEnded(hers);
    await expectAlive(his);
    expect((await world.open(hisUnused)).status).toBe(101);
  });

  it('gives everybody of the group all of them where the group has MANAGE', async () => {
    const vmId = await world.vm();
    const his = await world.session(vmId, bob);
    expect(await revoke(alice, vmId)).toEqual([true, 0, 0]);
    world.oned.changeVm(vmId, { gid: 1, permissions: 'um--m----' });
    expect(await revoke(alice, vmId)).toEqual([true, 1, 0]);
    await expectEnded(his);
  });

  it('leaves what is issued afterwards alone', async () => {
    const vmId = await world.vm();
    await world.service.issueToken(vmId, alice);
    expect(await revoke(owner, vmId)).toEqual([true, 1, 0]);
    await expectAlive(await world.session(vmId, alice));
  });

  it('has nothing to end where there is nothing', async () => {
    expect(await revoke(owner, await world.vm())).toEqual([true, 0, 0]);
  });

  it('ends sessions of every worker', async () => {
    const many = await startWorld({ workers: 2 });
    const vmId = await many.vm();
    const consoles = await Promise.all(Array.from({ length: 8 }, () => many.session(vmId, alice)));
    expect(await revoke(owner, vmId, many)).toEqual([true, 8, 0]);
    for (const one of consoles) await expectEnded(one, many);
    await waitFor(async () => (await list(owner, vmId, many)) === none, { what: 'the list to be empty' });
  });

  it('is written into the audit: who, whose, and which token', async () => {
    const vmId = await world.vm();
    const { token } = await world.session(vmId, alice);
    await revoke(admin, vmId);
    const events = () =>
      world.service.logLines().filter((line) => line['audit'] !== undefined && line['vm'] === vmId);
    await waitFor(() => events().some(({ audit }) => audit === 'ended'), { what: 'the end of the session' });
    const about = { vm: vmId, user: 'alice', fingerprint: expect.stringMatching(/^[0-9a-f]{12}$/) };
    expect(events().map(({ audit }) => audit)).toEqual(['issued', 'redeemed', 'revoked', 'ended']);
    for (const event of events()) expect(event).toMatchObject(about);
    expect(events()[2]).toMatchObject({ by: 'admin' });
    expect(JSON.stringify(world.service.logLines())).not.toContain(token);
  });
});

describe('one.vm.vncsessions', () => {
  const rows = (xml: string) =>
    [...xml.matchAll(/<SESSION>(.*?)<\/SESSION>/g)].map(([, row]) =>
      Object.fromEntries(
        [...(row ?? '').matchAll(/<(\w+)>(.*?)<\/\1>/g)].map(([, name, text]) => [name, text]),
      ),
    );

  it('tells who is on the console since when, from where, and how much has passed', async () => {
    const vmId = await world.vm();
    const before = Math.floor(Date.now() / 1000);
    const hers = await world.session(vmId, alice);
    const his = await world.session(vmId, bob);
    await expectAlive(hers);
    await world.service.issueToken(vmId, bob);
    const xml = await list(owner, vmId);
    for (const { token } of [hers, his]) expect(xml).not.toContain(token);
    const told = rows(xml);
    const row = (user: string) => ({
      ...{ VM_ID: String(vmId), USER: user, CLIENT: '127.0.0.1' },
      ...{ SINCE: expect.stringMatching(/^\d{10}$/), BYTES: expect.stringMatching(/^\d+$/) },
    });
    expect(told).toEqual([row('alice'), row('bob')]);
    for (const { SINCE } of told) expect(Number(SINCE)).toBeGreaterThanOrEqual(before - 1);
    // The greeting, and what she sent and got back.
    expect(Number(told[0]?.['BYTES'])).toBe(rfbGreeting.length + 2 * 'still there'.length);
    expect(await list(admin, vmId)).toBe(xml);
  });

  it("tells only of the caller's own without MANAGE", async () => {
    const vmId = await world.vm();
    await world.session(vmId, alice);
    expect(rows(await list(alice, vmId)).map(({ USER }) => USER)).toEqual(['alice']);
    expect(await list(bob, vmId)).toBe(none);
  });

  it('is empty before the first session and after the last', async () => {
    const vmId = await world.vm();
    expect(await list(owner, vmId)).toBe(none);
    const { socket } = await world.session(vmId, alice);
    expect(await list(owner, vmId)).not.toBe(none);
    socket.socket.destroy();
    await waitFor(async () => (await list(owner, vmId)) === none, { what: 'the list to be empty' });
  });
});

describe.each(['one.vm.vncrevoke', 'one.vm.vncsessions'])('%s', (method) => {
  it.each([
    ['the password', "[one.vm.info] User couldn't be authenticated, aborting call.", 0x0100],
    ['the VM', '[one.vm.info] User [6] : Not authorized to perform USE VM [1].', 0x0200],
  ])('passes on that oned refuses %s, and does nothing', async (_what, error, code) => {
    const vmId = await world.vm();
    const console = await world.session(vmId, alice);
    const session = `alice:password-${code}-${method}`;
    world.oned.answer(vmId, { error, code }, session);
    expect(await world.service.call(method, [session, vmId])).toEqual([false, error, code]);
    await expectAlive(console);
  });

  it('does nothing where oned does not say who the caller is', async () => {
    const own = await startWorld();
    const vmId = await own.vm();
    const console = await own.session(vmId, alice);
    own.oned.answerMethod('one.user.info', 'hang-up');
    expect((await own.service.call(method, [owner, vmId]))[2]).toBe(0x2000);
    await expectAlive(console);
  });

  it('works for a VM that does not run any more', async () => {
    const vmId = await world.vm();
    world.oned.changeVm(vmId, { state: 8, lcmState: 0 });
    expect((await world.service.call(method, [owner, vmId]))[0]).toBe(true);
  });

  it('takes the same parameters as the other methods', async () => {
    const vmId = await world.vm();
    const answer = await world.service.call(method, [owner, vmId]);
    for (const third of [{ x: 1 }, 0, 'x', true])
      expect(await world.service.call(method, [owner, String(vmId), third])).toEqual(answer);
    for (const wrong of [[], [owner], [owner, 'x'], [owner, vmId, 1, 2]])
      expect((await world.service.call(method, wrong))[2]).toBe(0x1000);
  });
});
