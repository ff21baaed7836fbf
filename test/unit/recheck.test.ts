// VMs are looked at again, with a real client, a store, and an oned that changes its VMs meanwhile. What always holds:
// what oned says of a VM ends its consoles and their tokens, on all hosts; that it cannot be asked ends nothing.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import type { Caller, Grant } from '../../src/tokens/grant.ts';
import type { TokenHash } from '../../src/tokens/token.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { alice, never, service, setUpRecheck, target } from '../support/recheck.ts';
import type { Vm } from '../support/vm.ts';
import { vmXml } from '../support/vm.ts';
import { waitFor } from '../support/wait.ts';

let oned: TestOned;

beforeEach(async () => {
  oned = await startTestOned();
  oned.answer(1, { vm: { id: 1, uid: 2, gid: 1, hosts: ['node1'], graphics: { PORT: 5901 } } });
});

const asked = () => oned.calls.map(({ method, vmId, ids }) => [method, vmId || ids.length]);
/** Records of a migration that is over. */
const from = { host: 'node1', cid: 0, rstime: 1_795_295_589 };
const to = { host: 'node2', cid: 0, rstime: 1_795_295_600 };
const looks = () => oned.calls.filter(({ method }) => method === 'one.vmpool.infoset');
const states = (state: number, lcmState = 0) => ({ state, lcmState });

describe('at connect', () => {
  it('without service_auth the grant is as it was stored, and nobody is asked', async () => {
    const { recheck, issue, lines } = setUpRecheck(oned, { serviceSession: undefined });
    const { grant, hash } = await issue(99);
    expect(await recheck.atConnect(grant, { hash }, true)).toBe(grant);
    expect([oned.calls, lines]).toEqual([[], []]);
  });

  it('the VM is asked for as the service, in no queue but the callers’', async () => {
    const { recheck, issue } = setUpRecheck(oned);
    const { grant, hash } = await issue(1);
    expect(await recheck.atConnect(grant, { hash }, true)).toEqual(grant);
    expect(oned.calls.at(-1)).toMatchObject({ method: 'one.vm.info', session: service, vmId: 1 });
  });

  it('the grant follows the VM to its present host and port', async () => {
    const { recheck, issue, endingOf } = setUpRecheck(oned);
    const { grant, hash } = await issue(1);
    oned.changeVm(1, { hosts: ['node1', 'node2'], graphics: { PORT: 5999 } });
    const present = { ...grant, target: { host: 'node2', port: 5999 } };
    expect(await recheck.atConnect(grant, { hash }, true)).toEqual(present);
    expect(await endingOf(hash)).toBe('alive');
  });

  it.each([
    ['is in a state in between (BOOT_MIGRATE)', { lcmState: 35, hosts: ['node1', 'node2'] }, 'node2'],
    ['is in a state of a later OpenNebula', { lcmState: 99, hosts: ['node2'] }, 'node2'],
    ['is shutting down', { lcmState: 12 }, 'node1'],
    // HOSTNAME is where it goes to; QEMU is still where it came from.
    ['is in a live migration', { lcmState: 4, hosts: ['node1', 'node2'] }, 'node1'],
    ['is in a live migration, to a port not allowed', { lcmState: 4, graphics: { PORT: 22 } }, 'node1'],
  ])('a VM that %s ends nothing', async (_what, changes, host) => {
    const { recheck, issue, endingOf } = setUpRecheck(oned);
    const { grant, hash } = await issue(1, alice);
    oned.changeVm(1, changes);
    expect((await recheck.atConnect(grant, { hash }, true)).target).toEqual({ host, port: 5901 });
    expect(await endingOf(hash)).toBe('alive');
  });

  it.each<[string, Partial<Vm>, string, number]>([
    ['has not begun to be moved', { lcmState: 3, hosts: [from, { ...to, rstime: 0 }] }, 'node1', 5901],
    ['is being moved', { lcmState: 4, hosts: [from, { ...to, rstime: 0 }] }, 'node1', 5901],
    [
      'is being moved to another cluster',
      { lcmState: 4, hosts: [from, { ...to, cid: 1, rstime: 0 }] },
      'node1',
      5950,
    ],
    ['is being saved', { lcmState: 7, hosts: [from, { ...to, rstime: 0 }] }, 'node1', 5901],
    ['is being copied', { lcmState: 8, hosts: [from, { ...to, rstime: 0 }] }, 'node2', 5901],
    ['is there', { lcmState: 3, hosts: [from, to] }, 'node2', 5901],
    [
      'is there, after a move that failed',
      { lcmState: 3, hosts: [from, { ...to, rstime: 0 }, from] },
      'node1',
      5901,
    ],
  ])('a console goes to where QEMU runs: a VM that %s', async (_what, changes, host, port) => {
    const { recheck, issue } = setUpRecheck(oned);
    const { grant, hash } = await issue(1, alice);
    oned.changeVm(1, { graphics: { PORT: 5901, PREVIOUS_PORT: 5950 }, ...changes });
    // Wherever it was when the token was issued.
    const elsewhere = { ...grant, target: { host: 'node9', port: 5999 } };
    expect((await recheck.atConnect(elsewhere, { hash }, true)).target).toEqual({ host, port });
  });

  it.each([
    ['is powered off', states(8), /STATE:8 LCM_STATE:0/],
    ['is stopped', states(4), /STATE:4/],
    ['is suspended', states(5), /STATE:5/],
    ['is undeployed', states(9), /STATE:9/],
    ['is done', states(6), /STATE:6/],
    ['is powered off and being resized', states(3, 63), /STATE:3 LCM_STATE:63/],
    ['has no VNC console any more', { graphics: { TYPE: 'SPICE' } }, /'SPICE' but 'VNC' expected/],
    ['has a port that is not allowed', { graphics: { PORT: 22 } }, /'22' is not in console_ports/],
    ['has a host of odd characters', { hosts: ['a b'] }, /characters that are not accepted/],
    ['has another owner', { uid: 3 }, /no USE/],
    ['gives its owner nothing', { permissions: '-m-------' }, /no USE/],
    ['is in a live migration, and not his', { lcmState: 4, uid: 9, gid: 9 }, /no USE/],
  ])('a VM that %s is refused, and the token is dead', async (_what, changes, why) => {
    const { recheck, issue, endingOf, lines } = setUpRecheck(oned);
    const { grant, hash } = await issue(1, alice);
    oned.changeVm(1, changes);
    const refused = await recheck.atConnect(grant, { hash }, true).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(GatewayError);
    expect(refused).toMatchObject({ code: 'token-not-valid', detail: expect.stringMatching(why) });
    // One sentence for all tokens that do not open.
    expect((refused as GatewayError).publicText).toBe(new GatewayError('token-not-valid').publicText);
    expect(await endingOf(hash)).toBe('vm-gone');
    expect(lines).toMatchObject([{ level: 'info', vm: 1, user: 'alice' }]);
  });

  it('a VM that is gone is refused, and the sessions that the token still has end on all hosts', async () => {
    const { recheck, issue, join, ended, endingOf, published } = setUpRecheck(oned);
    const token = await issue(1);
    const [here, there] = [await join(token), await join(token, true)];
    oned.removeVm(1);
    const refused = recheck.atConnect(token.grant, { hash: token.hash }, false);
    await expect(refused).rejects.toMatchObject({ code: 'token-not-valid' });
    expect(await endingOf(token.hash)).toBe('vm-gone');
    expect(ended).toEqual([{ session: here, code: 4004 }]);
    expect(published).toEqual([{ type: 'end', sessions: [there], why: 'vm-gone' }]);
  });

  it.each<[string, Caller | undefined]>([
    ['nobody knows who he was', undefined],
    ['a rule of the ACL gave it to him', { ...alice, byPermission: false }],
    ['he is of the group oneadmin', { ...alice, gids: [1, 0] }],
  ])('a VM of another owner stays his where %s, and the service may not ask', async (_why, caller) => {
    const { recheck, issue, endingOf } = setUpRecheck(oned);
    oned.forbidden.add('users').add('rules');
    const { grant, hash } = await issue(1, caller);
    oned.changeVm(1, { uid: 3, gid: 3 });
    expect(await recheck.atConnect(grant, { hash }, false)).toEqual(grant);
    expect(await endingOf(hash)).toBe('alive');
  });

  it.each<[string, Parameters<TestOned['answer']>[1], string]>([
    ['does not know the service', { error: 'No login', code: 0x0100 }, 'oned-refused'],
    ['does not show the VM to the service', { error: 'Not USE', code: 0x0200 }, 'oned-refused'],
    ['is broken inside', { error: 'Internal', code: 0x2000 }, 'oned-refused'],
    ['makes no sense', { value: '<VM/>' }, 'oned-nonsense'],
    ['hangs up', 'hang-up', 'oned-unreachable'],
    ['hangs', 'hang', 'oned-timeout'],
  ])('an oned that %s ends nothing, and it is told once', async (_what, answer, code) => {
    const { recheck, issue, endingOf, lines, clock } = setUpRecheck(oned);
    const { grant, hash } = await issue(1, alice);
    oned.answer(1, answer);
    const first = [recheck.atConnect(grant, { hash }, false), recheck.atConnect(grant, { hash }, false)];
    for (const present of first) expect(await present).toBe(grant);
    expect(await endingOf(hash)).toBe('alive');
    expect(lines).toMatchObject([{ level: 'warn', code }]);
    expect(JSON.stringify(lines)).not.toContain(service);
    clock.now += 60_000;
    await recheck.atConnect(grant, { hash }, false);
    expect(lines).toHaveLength(2);
  });

  it('an oned that hangs does not keep the browser waiting for all of oned_timeout', async () => {
    const { recheck, issue, lines } = setUpRecheck(oned);
    const { grant, hash } = await issue(1);
    oned.answer(1, 'hang');
    await recheck.atConnect(grant, { hash }, false);
    expect(lines).toMatchObject([{ reason: 'no answer from oned within 1 s, while a browser waits' }]);
  });

  it('an oned that is not there ends nothing', async () => {
    await oned.stop();
    const { recheck, issue, endingOf } = setUpRecheck(oned);
    const { grant, hash } = await issue(1);
    expect(await recheck.atConnect(grant, { hash }, false)).toBe(grant);
    expect(await endingOf(hash)).toBe('alive');
  });

  it('a store that cannot be reached is told as such', async () => {
    const { recheck, issue, store } = setUpRecheck(oned);
    const { grant, hash } = await issue(1);
    oned.removeVm(1);
    vi.spyOn(store, 'update').mockRejectedValue(new GatewayError('store-unavailable'));
    await expect(recheck.atConnect(grant, { hash }, true)).rejects.toMatchObject({
      code: 'store-unavailable',
    });
  });
});

describe('a look at all VMs with live sessions', () => {
  it('asks for each once, and for no others', async () => {
    const { recheck, open } = setUpRecheck(oned);
    oned.answer(2, { vm: { id: 2, uid: 2 } });
    oned.answer(3, { vm: { id: 3 } });
    for (const vmId of [1, 1, 2]) await open(vmId);
    await recheck.checkNow(never);
    const calls = oned.calls.map(({ method, session, ids, vmId }) => [
      ...[method, session, ids.length > 0 ? ids.toSorted() : vmId],
    ]);
    expect(calls).toEqual([
      ['one.vmpool.infoset', service, [1, 2]],
      ['one.user.info', service, 2],
    ]);
  });

  it.each([
    ['without service_auth', undefined, 1],
    ['without sessions', service, 0],
  ])('%s asks nobody', async (_what, serviceSession, count) => {
    const { recheck, open, lines } = setUpRecheck(oned, { serviceSession });
    for (let one = 0; one < count; one++) await open(1);
    await recheck.checkNow(never);
    expect([oned.calls, lines]).toEqual([[], []]);
  });

  it.each([
    ['runs', {}],
    ['is in a state in between', { lcmState: 8 }],
    ['is in a live migration', { lcmState: 4, hosts: ['node1', 'node2'] }],
    [
      'is in a migration, as far as its last record tells',
      { lcmState: 3, hosts: [{ host: 'node2', rstime: 0 }] },
    ],
    ['has moved', { hosts: ['node1', 'node2'], graphics: { PORT: 5999 } }],
    ['shuts down', { lcmState: 18 }],
    ['will have another console after its next start', { graphics: { TYPE: 'SPICE' } }],
  ])('leaves sessions of a VM alone that %s', async (_what, changes) => {
    const { recheck, issue, join, ended, endingOf, published } = setUpRecheck(oned);
    const token = await issue(1, alice);
    await join(token);
    oned.changeVm(1, changes);
    await recheck.checkNow(never);
    expect(asked()).toEqual([
      ['one.vmpool.infoset', 1],
      ['one.user.info', 2],
    ]);
    expect([ended, published, await endingOf(token.hash)]).toEqual([[], [], 'alive']);
  });

  it.each([
    ['is powered off', states(8)],
    ['is stopped', states(4)],
    ['is suspended', states(5)],
    ['is done', states(6)],
    ['is deleted', states(3, 23)],
    ['is no longer the user’s', { uid: 3, gid: 3 }],
    ['is no longer the user’s, in a live migration', { uid: 3, gid: 3, lcmState: 4 }],
  ])('ends the sessions of a VM that %s, here and elsewhere, and the token', async (_what, changes) => {
    const { recheck, issue, join, open, ended, endingOf, published } = setUpRecheck(oned);
    oned.answer(2, { vm: { id: 2, uid: 2, gid: 1 } });
    const token = await issue(1, alice);
    const here = [await join(token), await join(token)];
    const there = await join(token, true);
    await open(2, alice);
    oned.changeVm(1, changes);
    await recheck.checkNow(never);
    expect(ended).toEqual(here.map((session) => ({ session, code: 4004 })));
    expect(published).toEqual([{ type: 'end', sessions: [there], why: 'vm-gone' }]);
    expect(await endingOf(token.hash)).toBe('vm-gone');
  });

  it('ends for those alone whose rights are gone', async () => {
    const { recheck, open, ended } = setUpRecheck(oned);
    oned.changeVm(1, { gid: 100, permissions: 'um-u-----' });
    for (const id of [2, 5, 6, 7]) oned.account({ id, name: `user${id}`, gids: id === 6 ? [1] : [1, 100] });
    oned.rules.push('#7 VM/#1 USE #0');
    const sessions = [await open(1, alice)];
    for (const uid of [5, 6, 7]) sessions.push(await open(1, { ...alice, uid }));
    await recheck.checkNow(never);
    expect(ended.map(({ session }) => session)).toEqual([sessions[2]]);
    oned.changeVm(1, { permissions: 'um-------' });
    await recheck.checkNow(never);
    expect(new Set(ended.map(({ session }) => session))).toEqual(new Set([sessions[2], sessions[1]]));
  });

  it('knows a VM as gone only when oned says so of it alone', async () => {
    const { recheck, open, ended } = setUpRecheck(oned);
    const [gone, hidden] = [await open(71), await open(72)];
    oned.answer(72, { error: 'Not authorized to perform USE VM [72].', code: 0x0200 });
    await recheck.checkNow(never);
    expect(ended.map(({ session }) => session)).toEqual([gone]);
    expect(hidden).not.toBe(gone);
    expect(asked().toSorted()).toEqual([
      // The service itself, since there is no other VM to ask for.
      ['one.user.info', -1],
      ['one.user.info', 2],
      ['one.vm.info', 71],
      ['one.vm.info', 72],
      ['one.vmpool.infoset', 2],
    ]);
  });

  it('asks for many in groups of 200', async () => {
    const { recheck, open, ended } = setUpRecheck(oned);
    const ids = Array.from({ length: 450 }, (_none, index) => 1000 + index);
    for (const id of ids) {
      oned.answer(id, { vm: { id, uid: 2, ...(id % 150 === 0 ? states(8) : {}) } });
      await open(id);
    }
    await recheck.checkNow(never);
    expect(looks().map(({ ids: group }) => group.length)).toEqual([200, 200, 50]);
    expect(new Set(oned.calls.flatMap(({ ids: group }) => group))).toEqual(new Set(ids));
    expect(ended).toHaveLength(ids.filter((id) => id % 150 === 0).length);
  });

  it.each([
    ['holds a control character', { value: '<VM><NAME>\x01</NAME></VM>' }],
    ['is longer than a reply may be', { value: `<VM><ID>50</ID>${'x'.repeat(5_000_000)}</VM>` }],
    ['has no permissions', { value: '<VM><ID>50</ID></VM>' }],
  ])('is not kept from the other VMs by one that %s', async (_what, answer) => {
    const { recheck, open, ended } = setUpRecheck(oned);
    const ids = [50, 51, 52, 53, 54, 55, 56, 57];
    for (const id of ids) {
      oned.answer(id, { vm: { id, ...states(8) } });
      await open(id);
    }
    oned.answer(50, answer);
    await recheck.checkNow(never);
    expect(ended).toHaveLength(ids.length - 1);
  });

  it.each([
    ['HISTORY_RECORDS', false],
    ['GRAPHICS', true],
    ['TEMPLATE', true],
  ])('is not kept off by an owner who has written a second %s into his VM', async (name, shownAlone) => {
    const { recheck, open, ended } = setUpRecheck(oned);
    for (const id of [60, 61, 62, 63]) {
      oned.answer(id, { vm: { id } });
      await open(id, alice);
    }
    const present = vmXml({ id: 60, uid: 9, gid: 9 });
    const odd = present.replace(`<${name}>`, `<${name}></${name}><${name}>`);
    // What is stored, and what oned makes of it.
    oned.answer(60, ({ method }) => ({
      value: method === 'one.vmpool.infoset' || shownAlone ? odd : present,
    }));
    oned.changeVm(61, { uid: 2 });
    oned.changeVm(62, { uid: 2 });
    oned.changeVm(63, { uid: 2 });
    await recheck.checkNow(never);
    expect(ended.map(({ code }) => code)).toEqual([4004]);
  });

  it('gives up soon where nothing that oned says makes sense', async () => {
    const { recheck, open, ended } = setUpRecheck(oned);
    for (let id = 1000; id < 1400; id++) await open(id);
    oned.answerMethod('one.vmpool.infoset', { value: 'OK' });
    await recheck.checkNow(never);
    expect(ended).toEqual([]);
    expect(oned.calls.length).toBeLessThan(70);
  });

  it.each<[string, Parameters<TestOned['answerMethod']>[1], string]>([
    ['does not know the service', { error: 'No login', code: 0x0100 }, 'oned-refused'],
    ['says that there are no VMs at all', { error: 'None', code: 0x0400 }, 'oned-refused'],
    ['hangs up', 'hang-up', 'oned-unreachable'],
    ['hangs', 'hang', 'oned-timeout'],
  ])('ends nothing where oned %s', async (_what, answer, code) => {
    const { recheck, open, ended, lines } = setUpRecheck(oned, {}, answer === 'hang' ? 500 : undefined);
    for (let id = 1000; id < 1400; id++) await open(id);
    oned.answerMethod('one.vmpool.infoset', answer);
    await recheck.checkNow(never);
    expect([ended, looks().length]).toEqual([[], 1]);
    expect(lines).toMatchObject([{ level: 'warn', code }]);
  });

  it('ends sessions also where the store cannot be reached', async () => {
    const { recheck, open, ended, store, lines } = setUpRecheck(oned);
    const session = await open(1);
    oned.removeVm(1);
    vi.spyOn(store, 'update').mockRejectedValue(new GatewayError('store-unavailable'));
    await recheck.checkNow(never);
    expect(ended).toEqual([{ session, code: 4004 }]);
    expect(lines).toMatchObject([{ level: 'warn', code: 'store-unavailable' }]);
  });

  it('ends sessions also whose token the store has forgotten', async () => {
    const { recheck, sessions, join, ended } = setUpRecheck(oned);
    const grant: Grant = { vmId: 71, target, uid: 2, user: 'alice', issuedAt: 0, expiresAt: 1 };
    const session = await join({ grant, hash: 'f'.repeat(64) as TokenHash });
    expect(sessions.size).toBe(1);
    await recheck.checkNow(never);
    expect(ended).toEqual([{ session, code: 4004 }]);
  });

  it('ends with its signal, and says nothing of that', async () => {
    const { recheck, open, ended, lines } = setUpRecheck(oned);
    await open(1);
    oned.answerMethod('one.vmpool.infoset', 'hang');
    const gone = new AbortController();
    const check = recheck.checkNow(gone.signal);
    await waitFor(() => oned.active() === 1, { what: 'the question at oned' });
    gone.abort();
    await check;
    expect([ended, lines]).toEqual([[], []]);
  });
});

describe('from time to time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Lets so much time pass, in steps in which the timers are seen to. */
  const pass = (clock: { now: number }, ms: number) => {
    clock.now += ms;
    vi.advanceTimersByTime(1_000);
  };

  it.each([
    [0, 48_000],
    [0.5, 60_000],
    [1, 72_000],
  ])('with the luck of %d the next look is after %d ms of an interval of a minute', async (random, due) => {
    const { recheck, open, clock } = setUpRecheck(oned);
    clock.random = random;
    await open(1);
    recheck.start();
    for (const number of [1, 2]) {
      pass(clock, due - 1);
      expect(looks()).toHaveLength(number - 1);
      pass(clock, 1);
      await waitFor(() => looks().length === number, { what: `look ${number}` });
      // One draw at the start, and one after each look: with a single VM there is nothing to shuffle.
      await waitFor(() => clock.draws === number + 1, { what: `the end of look ${number}` });
      expect(looks()).toHaveLength(number);
    }
  });

  it('a look ends what there is to end', async () => {
    const { recheck, open, clock, ended } = setUpRecheck(oned);
    const session = await open(1);
    oned.changeVm(1, states(8));
    recheck.start();
    pass(clock, 60_000);
    await waitFor(() => ended.length > 0, { what: 'the end of the session' });
    expect(ended).toEqual([{ session, code: 4004 }]);
  });

  it('a new interval counts at once', async () => {
    const { recheck, open, clock, settings } = setUpRecheck(oned, { intervalMs: 86_400_000 });
    await open(1);
    recheck.start();
    pass(clock, 30_000);
    expect(oned.calls).toHaveLength(0);
    settings.intervalMs = 10_000;
    pass(clock, 0);
    await waitFor(() => looks().length === 1, { what: 'the look' });
  });

  it('there are no two looks at a time', async () => {
    const { recheck, open, clock } = setUpRecheck(oned);
    await open(1);
    oned.answerMethod('one.vmpool.infoset', 'hang');
    recheck.start();
    pass(clock, 60_000);
    await waitFor(() => oned.active() === 1, { what: 'the first look' });
    pass(clock, 60_000);
    pass(clock, 60_000);
    expect(recheck.checkNow(never)).toBe(recheck.checkNow(never));
    expect(looks()).toHaveLength(1);
    await recheck.stop();
  });

  it('nothing is looked at after the end, and a look under way is given up', async () => {
    const { recheck, open, clock, ended } = setUpRecheck(oned);
    await open(1);
    oned.answerMethod('one.vmpool.infoset', 'hang');
    recheck.start();
    pass(clock, 60_000);
    await waitFor(() => oned.active() === 1, { what: 'the look' });
    await recheck.stop();
    await waitFor(() => oned.active() === 0, { what: 'the end of the question' });
    pass(clock, 600_000);
    expect([looks().length, ended]).toEqual([1, []]);
  });
});
