// VMs are looked at again, with a real client, a store, and an oned that changes its VMs meanwhile. What always holds:
// what oned says of a VM ends its consoles and their tokens, on all hosts; that it cannot be asked ends nothing.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Accounts } from '../../src/console/accounts.ts';
import { SessionEndings } from '../../src/console/endings.ts';
import { KnownVms } from '../../src/console/known-vms.ts';
import { Recheck, type RecheckSettings } from '../../src/console/recheck.ts';
import { SessionRegistry } from '../../src/console/sessions.ts';
import { GatewayError } from '../../src/errors.ts';
import { OnedClient } from '../../src/oned/client.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import type { BusMessage } from '../../src/tokens/bus.ts';
import { type Caller, type Grant, UNKNOWN_UID } from '../../src/tokens/grant.ts';
import { MemoryTokenStore } from '../../src/tokens/memory/store.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import { claim, issued, type TokenRules } from '../../src/tokens/rules.ts';
import { hashToken, type TokenHash } from '../../src/tokens/token.ts';
import { atEnd } from '../support/lifetime.ts';
import { type Answer, startTestOned, type TestOned } from '../support/oned.ts';
import type { Vm } from '../support/vm.ts';
import { vmXml } from '../support/vm.ts';
import { waitFor } from '../support/wait.ts';

const service = 'console:service' as SessionString;
const never = new AbortController().signal;
const rules: TokenRules = { graceMs: 60_000, maxAgeMs: undefined, sessions: 'shared', bindClient: false };
const target = { host: 'node1', port: 5901 };
const alice: Caller = { uid: 2, gids: [1], byPermission: true };

interface Ended {
  readonly session: string;
  readonly code: number;
}

/** All parts that a look has to do with; the browser's side only notes what it is told. */
function setUp(
  oned: TestOned,
  changed: Partial<RecheckSettings & { zone: number | undefined }> = {},
  timeoutMs = 20_000,
) {
  const settings = {
    ...{ serviceSession: service as SessionString | undefined, intervalMs: 60_000, rules },
    consolePorts: { allowed: [{ first: 5900, last: 65535 }], missing: undefined },
    zone: 0 as number | undefined,
    ...changed,
  };
  const limits = () => ({ perVm: 1e6, perUser: 1e6, perAddress: 1e6, perHost: 1e6 });
  const sessions = new SessionRegistry({ limits, isExempt: () => false });
  const published: BusMessage[] = [];
  const bus = { publish: (message: BusMessage) => void published.push(message), subscribe: () => {} };
  const store = new MemoryTokenStore({ now: () => 1_000_000 });
  const ended: Ended[] = [];
  const place = {
    end: (session: SessionId, code: number) => void ended.push({ session, code }),
    probe: () => Promise.resolve(true),
    traffic: () => Promise.resolve(new Map<SessionId, number>()),
  };
  const lines: { level: string; [field: string]: unknown }[] = [];
  const said: string[] = [];
  /** What goes wrong with a look has fields; what the service may not ask is a line of its own. */
  const note = (level: string) => (fields: object | string, message?: string) => {
    if (typeof fields === 'object') lines.push({ level, ...fields });
    else said.push(fields);
    if (message !== undefined) said.push(message);
  };
  const logger = { info: note('info'), warn: note('warn') } as never;
  const clock = { now: 0, random: 0.5, draws: 0 };
  const client = new OnedClient(() => ({ url: oned.url, timeoutMs, connections: 4 }));
  const recheck = new Recheck({
    ...{ oned: client, store, sessions, connectLookMs: 1_000, knownVms: new KnownVms() },
    accounts: new Accounts({ oned: client, tell: (line) => void said.push(line) }),
    zone: async () => settings.zone,
    endings: new SessionEndings(sessions, bus),
    logger,
    settings: () => settings,
    now: () => clock.now,
    random: () => {
      clock.draws++;
      return clock.random;
    },
  });
  atEnd(() => recheck.stop());
  let count = 0;

  /** A token that was just issued. */
  const issue = async (vmId: number, caller?: Caller, over: Partial<Grant> = {}) => {
    const uid = caller?.uid ?? 2;
    const about = { vmId, target, uid, user: 'alice', caller };
    const grant: Grant = { ...about, issuedAt: 0, expiresAt: 2_000_000, ...over };
    const options = { maxOfVm: 1e6, forWebsockify: false };
    const hash = hashToken(await store.create(issued(grant), options));
    return { grant, hash };
  };
  /** Somebody on its console; elsewhere: on another host. */
  const join = async ({ grant, hash }: { grant: Grant; hash: TokenHash }, elsewhere = false) => {
    const id = `s${++count}` as SessionId;
    const client = '192.0.2.1';
    await store.update({ hash }, (record, now) => claim(record, { session: id, client }, rules, now));
    if (!elsewhere) {
      sessions.add({ ...{ id, hash, grant, client, place }, since: 0, endsAt: undefined, ref: 'R' });
    }
    return id;
  };
  const open = async (vmId: number, caller?: Caller) => join(await issue(vmId, caller));
  const endingOf = (hash: TokenHash) =>
    store.update({ hash }, (record) => ({ record, result: record?.ended ?? 'alive' }));
  return {
    recheck,
    settings,
    issue,
    join,
    open,
    endingOf,
    ended,
    published,
    lines,
    clock,
    sessions,
    store,
    messages: () => said,
  };
}

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
    const { recheck, issue, lines } = setUp(oned, { serviceSession: undefined });
    const { grant, hash } = await issue(99);
    expect(await recheck.atConnect(grant, { hash }, true)).toBe(grant);
    expect([oned.calls, lines]).toEqual([[], []]);
  });

  it('the VM is asked for as the service, in no queue but the callers’', async () => {
    const { recheck, issue } = setUp(oned);
    const { grant, hash } = await issue(1);
    expect(await recheck.atConnect(grant, { hash }, true)).toEqual(grant);
    expect(oned.calls.at(-1)).toMatchObject({ method: 'one.vm.info', session: service, vmId: 1 });
  });

  it('the grant follows the VM to its present host and port', async () => {
    const { recheck, issue, endingOf } = setUp(oned);
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
    const { recheck, issue, endingOf } = setUp(oned);
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
    const { recheck, issue } = setUp(oned);
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
    const { recheck, issue, endingOf, lines } = setUp(oned);
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
    const { recheck, issue, join, ended, endingOf, published } = setUp(oned);
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
    const { recheck, issue, endingOf } = setUp(oned);
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
    const { recheck, issue, endingOf, lines, clock } = setUp(oned);
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
    const { recheck, issue, lines } = setUp(oned);
    const { grant, hash } = await issue(1);
    oned.answer(1, 'hang');
    await recheck.atConnect(grant, { hash }, false);
    expect(lines).toMatchObject([{ reason: 'no answer from oned within 1 s, while a browser waits' }]);
  });

  it('an oned that is not there ends nothing', async () => {
    await oned.stop();
    const { recheck, issue, endingOf } = setUp(oned);
    const { grant, hash } = await issue(1);
    expect(await recheck.atConnect(grant, { hash }, false)).toBe(grant);
    expect(await endingOf(hash)).toBe('alive');
  });

  it('a store that cannot be reached is told as such', async () => {
    const { recheck, issue, store } = setUp(oned);
    const { grant, hash } = await issue(1);
    oned.removeVm(1);
    vi.spyOn(store, 'update').mockRejectedValue(new GatewayError('store-unavailable'));
    await expect(recheck.atConnect(grant, { hash }, true)).rejects.toMatchObject({
      code: 'store-unavailable',
    });
  });
});

describe('the user of a token, at connect', () => {
  const gone = (oned: TestOned) => oned.removeAccount(2);
  const disabled = (oned: TestOned) => oned.account({ id: 2, name: 'alice', gids: [1], enabled: false });
  const inGroups = (gids: number[]) => (oned: TestOned) => oned.account({ id: 2, name: 'alice', gids });
  const ofGroup = { uid: 9, gid: 100, permissions: '---u-----' };
  const ofNobody = { uid: 9, gid: 9, permissions: '---------' };

  it.each<[string, (oned: TestOned) => void, Partial<Vm>, Partial<Grant>, RegExp]>([
    ['is disabled', disabled, {}, {}, /the user is disabled/],
    ['is disabled, with the VM on its way', disabled, { lcmState: 4 }, {}, /disabled/],
    ['is deleted', gone, {}, {}, /the user is gone/],
    [
      'was deleted and made anew',
      (oned) => {
        gone(oned);
        oned.account({ id: 9, name: 'alice', gids: [1] });
      },
      {},
      {},
      /gone/,
    ],
    ['left the group', inGroups([1]), ofGroup, {}, /no USE/],
    [
      'is in the group, but his login token was for another',
      inGroups([1, 100]),
      ofGroup,
      { egid: 1 },
      /no USE/,
    ],
    ['left the group that his login token was for', inGroups([1]), ofGroup, { egid: 100 }, /no USE/],
    ['left oneadmin', inGroups([1]), ofNobody, {}, /no USE/],
    ['is of oneadmin, but his login token is not', inGroups([1, 0]), ofNobody, { egid: 1 }, /no USE/],
    ['has no rule any more', (oned) => oned.rules.push('#2 VM/#8 USE'), ofNobody, {}, /no USE/],
    ['has a rule for MANAGE alone', (oned) => oned.rules.push('#2 VM/#1 MANAGE'), ofNobody, {}, /no USE/],
    ['has a rule in another zone', (oned) => oned.rules.push('#2 VM/#1 USE #1'), ofNobody, {}, /no USE/],
    [
      'has a rule by a group that his login token was not for',
      (oned) => {
        inGroups([1, 100])(oned);
        oned.rules.push('@100 VM/#1 USE');
      },
      ofNobody,
      { egid: 1 },
      /no USE/,
    ],
  ])('%s: refused, and the token is dead', async (_what, change, vm, over, why) => {
    const { recheck, issue, join, ended, endingOf } = setUp(oned);
    const { grant, hash } = await issue(1, { ...alice, byPermission: false }, over);
    const session = await join({ grant, hash });
    change(oned);
    oned.changeVm(1, vm);
    for (const isFirst of [false, true]) {
      const refused = recheck.atConnect(grant, { hash }, isFirst);
      await expect(refused).rejects.toMatchObject({
        code: 'token-not-valid',
        detail: expect.stringMatching(why),
      });
    }
    expect(await endingOf(hash)).toBe('vm-gone');
    expect(ended[0]).toEqual({ session, code: 4004 });
  });

  it.each<[string, (oned: TestOned) => void, Partial<Vm>, Partial<Grant>]>([
    ['was given another name', (oned) => oned.account({ id: 2, name: 'alicia', gids: [1] }), {}, {}],
    ['came into the group', inGroups([1, 100]), ofGroup, {}],
    ['is in the group that his login token was for', inGroups([1, 100]), ofGroup, { egid: 100 }],
    ['owns it, whatever group his login token was for', inGroups([1]), {}, { egid: 100 }],
    ['has a rule', (oned) => oned.rules.push('#2 VM/#1 USE #0'), ofNobody, {}],
    ['has a rule by a group', (oned) => oned.rules.push('@1 VM/@9 USE *'), ofNobody, {}],
    ['has one with everybody', (oned) => oned.rules.push('#7 HOST/* MANAGE', '* VM/* USE'), ofNobody, {}],
    ['came to oneadmin', inGroups([0]), ofNobody, {}],
  ])('%s: his console is his', async (_what, change, vm, over) => {
    const { recheck, issue, endingOf, lines } = setUp(oned);
    const { grant, hash } = await issue(1, { ...alice, byPermission: false }, over);
    change(oned);
    oned.changeVm(1, vm);
    expect(await recheck.atConnect(grant, { hash }, true)).toEqual(grant);
    expect([await endingOf(hash), lines]).toEqual(['alive', []]);
  });

  it('is asked for once, beside the VM, and rules only where the bits are not enough', async () => {
    const { recheck, issue } = setUp(oned);
    const { grant, hash } = await issue(1, alice);
    await recheck.atConnect(grant, { hash }, true);
    expect(asked().toSorted()).toEqual([
      ['one.user.info', 2],
      ['one.vm.info', 1],
    ]);
    expect(oned.calls.every(({ session }) => session === service)).toBe(true);
  });

  it('is asked for anew every time: what was true a moment ago lets nobody in', async () => {
    const { recheck, issue } = setUp(oned);
    oned.changeVm(1, ofNobody);
    oned.rules.push('#2 VM/#1 USE #0');
    const [one, two, three] = [await issue(1, alice), await issue(1, alice), await issue(1, alice)];
    await recheck.atConnect(one.grant, one, true);
    oned.rules.length = 0;
    await expect(recheck.atConnect(two.grant, two, true)).rejects.toMatchObject({ code: 'token-not-valid' });
    oned.rules.push('#2 VM/#1 USE #0');
    disabled(oned);
    await expect(recheck.atConnect(three.grant, three, true)).rejects.toMatchObject({
      code: 'token-not-valid',
    });
  });

  it('of whom nobody wrote down who he is, is looked at as before', async () => {
    const { recheck, issue } = setUp(oned);
    disabled(oned);
    const unknown = { uid: UNKNOWN_UID };
    const { grant, hash } = await issue(1, undefined, unknown);
    expect(await recheck.atConnect(grant, { hash }, true)).toEqual(grant);
    oned.changeVm(1, ofNobody);
    expect(await recheck.atConnect(grant, { hash }, true)).toEqual(grant);
    expect(asked().some(([method]) => method === 'one.user.info')).toBe(false);
  });

  it.each<[string, 'users' | 'rules', RegExp]>([
    ['other users', 'users', /service_auth: .* may not ask for other users.*USER\/\* USE \*/],
    ['rules', 'rules', /service_auth: .* may not ask for rules.*ACL\/\* MANAGE #/],
  ])(
    'where the service may not ask for %s is looked at as before, and that is told once',
    async (_what, what, line) => {
      const { recheck, issue, messages } = setUp(oned);
      oned.forbidden.add(what);
      disabled(oned);
      if (what === 'rules') inGroups([1])(oned);
      oned.changeVm(1, ofNobody);
      const byRule = await issue(1, { ...alice, byPermission: false });
      const byBits = await issue(1, alice);
      oned.forbidden.add('rules');
      for (let i = 0; i < 3; i++)
        expect(await recheck.atConnect(byRule.grant, byRule, true)).toEqual(byRule.grant);
      await expect(recheck.atConnect(byBits.grant, byBits, true)).rejects.toMatchObject({
        code: 'token-not-valid',
      });
      expect(messages().filter((message) => line.test(message))).toHaveLength(1);
      expect(messages().join()).not.toContain(service);
      // The operator gives and takes it: the next time it is told again.
      oned.forbidden.clear();
      inGroups([1])(oned);
      oned.rules.push('#2 VM/#1 USE');
      expect(await recheck.atConnect(byRule.grant, byRule, true)).toEqual(byRule.grant);
      oned.forbidden.add('users').add('rules');
      expect(await recheck.atConnect(byRule.grant, byRule, true)).toEqual(byRule.grant);
      expect(messages().filter((message) => line.test(message))).toHaveLength(2);
    },
  );
});

describe('at the first use', () => {
  const failures: [string, string, Answer, RegExp][] = [
    ['VM', 'one.vm.info', 'hang', /within 1 s/],
    ['VM', 'one.vm.info', 'hang-up', /ECONNRESET/],
    ['VM', 'one.vm.info', { error: 'No login', code: 0x0100 }, /No login/],
    ['VM', 'one.vm.info', { error: 'Not USE', code: 0x0200 }, /Not USE/],
    ['VM', 'one.vm.info', { error: 'no leader found', code: 0x2000 }, /no leader/],
    ['VM', 'one.vm.info', { value: '<VM/>' }, /PERMISSIONS|ID/],
    ['user', 'one.user.info', 'hang', /within 1 s/],
    ['user', 'one.user.info', 'hang-up', /ECONNRESET/],
    ['user', 'one.user.info', { error: 'No login', code: 0x0100 }, /No login/],
    ['user', 'one.user.info', { error: 'There is no such user', code: 0x0400 }, /not even its first/],
    ['user', 'one.user.info', { value: '<USER/>' }, /NAME/],
    [
      'user',
      'one.user.info',
      { value: '<USER><ID>2</ID><GID>1</GID><NAME>alice</NAME></USER>' },
      /whether the user is disabled/,
    ],
    [
      'user',
      'one.user.info',
      { value: '<USER><ID>3</ID><GID>1</GID><NAME>alice</NAME><ENABLED>1</ENABLED></USER>' },
      /another user/,
    ],
    ['rules', 'one.acl.info', 'hang', /within 1 s/],
    ['rules', 'one.acl.info', { error: 'zone disabled', code: 0x2000 }, /zone disabled/],
    ['rules', 'one.acl.info', { value: '<ACL_POOL><ACL></ACL></ACL_POOL>' }, /ACL/],
    ['rules', 'one.acl.info', { fault: 'no method', code: -506 }, /fault/],
  ];

  it.each(failures)(
    'nobody is let in where the %s cannot be had (%s: %j)',
    async (what, method, answer, why) => {
      const { recheck, issue, endingOf, store } = setUp(oned);
      if (what === 'rules') oned.changeVm(1, { uid: 9, gid: 9 });
      const { grant, hash } = await issue(1, { ...alice, byPermission: false });
      oned.answerMethod(method, answer);
      const refused = await recheck.atConnect(grant, { hash }, true).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'cannot-check', detail: expect.stringMatching(why) });
      expect((refused as GatewayError).publicText).toMatch(/cannot be checked just now/);
      expect((refused as GatewayError).httpStatus).toBe(503);
      expect(await endingOf(hash)).toBe('alive');
      // Reconnects go on, and so do those whose rights were seen when the token was issued, a moment ago.
      expect(await recheck.atConnect(grant, { hash }, false)).toEqual(grant);
      const moment = { ...grant, issuedAt: store.now() - 29_999 };
      expect(await recheck.atConnect(moment, { hash }, true)).toEqual(moment);
      for (const issuedAt of [store.now() - 30_000, store.now() + 1]) {
        const other = { ...grant, issuedAt };
        await expect(recheck.atConnect(other, { hash }, true)).rejects.toMatchObject({
          code: 'cannot-check',
        });
      }
      oned.answerMethod(method, undefined);
      if (what === 'rules') oned.rules.push('#2 VM/#1 USE');
      expect(await recheck.atConnect(grant, { hash }, true)).toEqual(grant);
    },
  );

  it.each<[string, string, (oned: TestOned) => void]>([
    [
      'the user is known to be disabled, whatever the VM',
      'one.vm.info',
      (oned) => oned.account({ id: 2, name: 'alice', gids: [1], enabled: false }),
    ],
    [
      'the VM is known to be off, whoever the user',
      'one.user.info',
      (oned) => oned.changeVm(1, { state: 8 }),
    ],
  ])('%s: the token is dead', async (_what, method, change) => {
    const { recheck, issue, endingOf } = setUp(oned);
    const { grant, hash } = await issue(1, alice);
    change(oned);
    oned.answerMethod(method, 'hang');
    await expect(recheck.atConnect(grant, { hash }, true)).rejects.toMatchObject({ code: 'token-not-valid' });
    expect(await endingOf(hash)).toBe('vm-gone');
  });

  it('a rule that counts in a zone alone is no answer where nobody knows the zone', async () => {
    const { recheck, issue, settings } = setUp(oned, { zone: undefined });
    oned.changeVm(1, { uid: 9, gid: 9 });
    oned.rules.push('#2 VM/#1 USE #0');
    const { grant, hash } = await issue(1, alice);
    await expect(recheck.atConnect(grant, { hash }, true)).rejects.toMatchObject({
      ...{ code: 'cannot-check', detail: expect.stringContaining('zone_id') },
    });
    settings.zone = 0;
    expect(await recheck.atConnect(grant, { hash }, true)).toEqual(grant);
  });

  it('his own flood makes a user wait, and nobody else', async () => {
    const { recheck, issue } = setUp(oned);
    oned.answer(5, { vm: { id: 5, uid: 5, hosts: ['node1'], graphics: { PORT: 5901 } } });
    const flooding = await issue(1, alice);
    const other = await issue(5, { ...alice, uid: 5 });
    // Of the four places the flood would have all.
    let open: () => void = () => {};
    const slow = new Promise<void>((resolve) => {
      open = resolve;
    });
    oned.answer(1, async () => {
      await slow;
      return { vm: { id: 1, uid: 2, gid: 1, hosts: ['node1'], graphics: { PORT: 5901 } } };
    });
    const quiet = { ...other.grant, user: 'bob' };
    await recheck.atConnect(quiet, other, true);
    const flood = Array.from({ length: 200 }, () =>
      recheck.atConnect(flooding.grant, flooding, true).catch((error: GatewayError) => error.code),
    );
    for (let i = 0; i < 5; i++) expect(await recheck.atConnect(quiet, other, true)).toEqual(quiet);
    open();
    const results = await Promise.all(flood);
    for (const result of results) expect([flooding.grant, 'cannot-check']).toContainEqual(result);
  });
});

describe('an oned that is the wrong one, or an old one', () => {
  const wrong = { error: 'Error getting virtual machine.', code: 0x0400 };

  it.each([2, 5, 300])(
    'says of all %i VMs that they do not exist: nobody is ended, and it is told',
    async (count) => {
      const { recheck, open, ended, endingOf, lines, sessions } = setUp(oned);
      for (let id = 100; id < 100 + count; id++) {
        oned.answer(id, { vm: { id, uid: 2 } });
        await open(id, alice);
      }
      await recheck.checkNow(never);
      for (let id = 100; id < 100 + count; id++) oned.removeVm(id);
      await recheck.checkNow(never);
      const [first] = sessions.all();
      expect([ended, await endingOf(first?.hash as TokenHash)]).toEqual([[], 'alive']);
      expect(lines).toMatchObject([
        { level: 'warn', code: 'oned-nonsense', reason: expect.stringMatching(/0x0400/) },
      ]);
    },
  );

  it('says so of the only VM in use, and has lost the ones from before as well', async () => {
    const { recheck, open, issue, ended, endingOf } = setUp(oned);
    oned.answer(2, { vm: { id: 2, uid: 2 } });
    const before = await issue(2, alice);
    await recheck.atConnect(before.grant, before, true);
    await open(1, alice);
    await recheck.checkNow(never);
    oned.removeVm(1);
    oned.removeVm(2);
    await recheck.checkNow(never);
    expect(ended).toEqual([]);
    await expect(recheck.atConnect(before.grant, before, true)).rejects.toMatchObject({
      code: 'cannot-check',
    });
    expect(await recheck.atConnect(before.grant, before, false)).toEqual(before.grant);
    expect(await endingOf(before.hash)).toBe('alive');
    // It is itself again: the VM is not.
    oned.answer(2, { vm: { id: 2, uid: 2, hosts: ['node1'], graphics: { PORT: 5901 } } });
    await recheck.checkNow(never);
    expect(ended).toHaveLength(1);
  });

  it.each<[string, (oned: TestOned) => void]>([
    ['knows the user no more either', (oned) => oned.removeAccount(2)],
    [
      'does not know the service',
      (oned) => oned.answerMethod('one.user.info', { error: 'No', code: 0x0100 }),
    ],
    ['knows no users', (oned) => oned.answerMethod('one.user.info', wrong)],
  ])('%s, with a single VM that there ever was: nobody is ended', async (_what, change) => {
    const { recheck, issue, join, ended, endingOf } = setUp(oned);
    const token = await issue(1, alice);
    await join(token);
    oned.removeVm(1);
    change(oned);
    await recheck.checkNow(never);
    await expect(recheck.atConnect(token.grant, token, true)).rejects.toMatchObject({ code: 'cannot-check' });
    expect([ended, await endingOf(token.hash)]).toEqual([[], 'alive']);
  });

  it('knows no users, not even the first: nobody is ended', async () => {
    const { recheck, open, ended, lines } = setUp(oned);
    await open(1, alice);
    oned.answerMethod('one.user.info', wrong);
    await recheck.checkNow(never);
    expect(ended).toEqual([]);
    expect(lines).toMatchObject([{ level: 'warn', code: 'oned-nonsense' }]);
  });
});

describe('the users of live sessions', () => {
  it('are each asked for once, and those who may no longer log in are ended', async () => {
    const { recheck, open, ended } = setUp(oned);
    oned.changeVm(1, { permissions: 'um----u--' });
    const sessions = new Map<number, string>();
    for (const uid of [2, 3, 4, 2, 3]) sessions.set(uid, await open(1, { ...alice, uid }));
    oned.account({ id: 3, name: 'bob', gids: [1], enabled: false });
    oned.removeAccount(4);
    await recheck.checkNow(never);
    expect(new Set(ended.map(({ session }) => session))).toEqual(new Set(['s2', 's3', 's5']));
    const users = asked().filter(([method, uid]) => method === 'one.user.info' && uid !== 0);
    expect(users.toSorted()).toEqual([2, 3, 4].map((uid) => ['one.user.info', uid]));
  });

  it('stay where oned gives no answer about them, and nobody else is asked for then', async () => {
    const { recheck, open, ended, lines } = setUp(oned);
    oned.changeVm(1, { permissions: 'um----u--' });
    for (let uid = 2; uid < 102; uid++) await open(1, { ...alice, uid });
    oned.answerMethod('one.user.info', 'hang-up');
    await recheck.checkNow(never);
    expect(ended).toEqual([]);
    expect(asked().length).toBeLessThan(10);
    expect(lines).toMatchObject([{ level: 'warn', code: 'oned-unreachable' }]);
  });

  it('are not hidden by one of whom oned says nothing sensible', async () => {
    const { recheck, open, ended } = setUp(oned);
    oned.changeVm(1, { permissions: 'um----u--' });
    const broken = await open(1, { ...alice, uid: 2 });
    const disabled = await open(1, { ...alice, uid: 3 });
    oned.answerMethod('one.user.info', ({ vmId: uid }) =>
      uid === 2
        ? { value: '<USER><ID>2</ID></USER>' }
        : { value: `<USER><ID>${uid}</ID><GID>1</GID><NAME>x</NAME><ENABLED>0</ENABLED></USER>` },
    );
    await recheck.checkNow(never);
    expect(ended.map(({ session }) => session)).toEqual([disabled]);
    expect(broken).not.toBe(disabled);
  });

  it('by whose rules they are there is asked once for all of them', async () => {
    const { recheck, open, ended } = setUp(oned);
    oned.changeVm(1, { uid: 900, gid: 900 });
    oned.rules.push('@1 VM/#1 USE #0');
    for (let uid = 2; uid < 102; uid++) await open(1, { ...alice, uid, byPermission: false });
    await recheck.checkNow(never);
    expect([ended, asked().filter(([method]) => method === 'one.acl.info').length]).toEqual([[], 1]);
    oned.rules.length = 0;
    await recheck.checkNow(never);
    expect(ended).toHaveLength(100);
  });
});

describe('a look at all VMs with live sessions', () => {
  it('asks for each once, and for no others', async () => {
    const { recheck, open } = setUp(oned);
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
    const { recheck, open, lines } = setUp(oned, { serviceSession });
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
    const { recheck, issue, join, ended, endingOf, published } = setUp(oned);
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
    const { recheck, issue, join, open, ended, endingOf, published } = setUp(oned);
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
    const { recheck, open, ended } = setUp(oned);
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
    const { recheck, open, ended } = setUp(oned);
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
    const { recheck, open, ended } = setUp(oned);
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
    const { recheck, open, ended } = setUp(oned);
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
    const { recheck, open, ended } = setUp(oned);
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
    const { recheck, open, ended } = setUp(oned);
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
    const { recheck, open, ended, lines } = setUp(oned, {}, answer === 'hang' ? 500 : undefined);
    for (let id = 1000; id < 1400; id++) await open(id);
    oned.answerMethod('one.vmpool.infoset', answer);
    await recheck.checkNow(never);
    expect([ended, looks().length]).toEqual([[], 1]);
    expect(lines).toMatchObject([{ level: 'warn', code }]);
  });

  it('ends sessions also where the store cannot be reached', async () => {
    const { recheck, open, ended, store, lines } = setUp(oned);
    const session = await open(1);
    oned.removeVm(1);
    vi.spyOn(store, 'update').mockRejectedValue(new GatewayError('store-unavailable'));
    await recheck.checkNow(never);
    expect(ended).toEqual([{ session, code: 4004 }]);
    expect(lines).toMatchObject([{ level: 'warn', code: 'store-unavailable' }]);
  });

  it('ends sessions also whose token the store has forgotten', async () => {
    const { recheck, sessions, join, ended } = setUp(oned);
    const grant: Grant = { vmId: 71, target, uid: 2, user: 'alice', issuedAt: 0, expiresAt: 1 };
    const session = await join({ grant, hash: 'f'.repeat(64) as TokenHash });
    expect(sessions.size).toBe(1);
    await recheck.checkNow(never);
    expect(ended).toEqual([{ session, code: 4004 }]);
  });

  it('ends with its signal, and says nothing of that', async () => {
    const { recheck, open, ended, lines } = setUp(oned);
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
    const { recheck, open, clock } = setUp(oned);
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
    const { recheck, open, clock, ended } = setUp(oned);
    const session = await open(1);
    oned.changeVm(1, states(8));
    recheck.start();
    pass(clock, 60_000);
    await waitFor(() => ended.length > 0, { what: 'the end of the session' });
    expect(ended).toEqual([{ session, code: 4004 }]);
  });

  it('a new interval counts at once', async () => {
    const { recheck, open, clock, settings } = setUp(oned, { intervalMs: 86_400_000 });
    await open(1);
    recheck.start();
    pass(clock, 30_000);
    expect(oned.calls).toHaveLength(0);
    settings.intervalMs = 10_000;
    pass(clock, 0);
    await waitFor(() => looks().length === 1, { what: 'the look' });
  });

  it('there are no two looks at a time', async () => {
    const { recheck, open, clock } = setUp(oned);
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
    const { recheck, open, clock, ended } = setUp(oned);
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
