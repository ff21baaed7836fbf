// Users are looked at again beside their VMs, with a real client, a store, and an oned in which they lose accounts and
// rights. What always holds: who he is, is an id; what oned says of him at that moment counts, and nothing older.
import { beforeEach, describe, expect, it } from 'vitest';
import { type Grant, UNKNOWN_UID } from '../../src/tokens/grant.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { alice, never, service, setUpRecheck } from '../support/recheck.ts';
import type { Vm } from '../support/vm.ts';

let oned: TestOned;

beforeEach(async () => {
  oned = await startTestOned();
  oned.answer(1, { vm: { id: 1, uid: 2, gid: 1, hosts: ['node1'], graphics: { PORT: 5901 } } });
});

const asked = () => oned.calls.map(({ method, vmId, ids }) => [method, vmId || ids.length]);

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
    const { recheck, issue, join, ended, endingOf } = setUpRecheck(oned);
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
    const { recheck, issue, endingOf, lines } = setUpRecheck(oned);
    const { grant, hash } = await issue(1, { ...alice, byPermission: false }, over);
    change(oned);
    oned.changeVm(1, vm);
    expect(await recheck.atConnect(grant, { hash }, true)).toEqual(grant);
    expect([await endingOf(hash), lines]).toEqual(['alive', []]);
  });

  it('is asked for once, beside the VM, and rules only where the bits are not enough', async () => {
    const { recheck, issue } = setUpRecheck(oned);
    const { grant, hash } = await issue(1, alice);
    await recheck.atConnect(grant, { hash }, true);
    expect(asked().toSorted()).toEqual([
      ['one.user.info', 2],
      ['one.vm.info', 1],
    ]);
    expect(oned.calls.every(({ session }) => session === service)).toBe(true);
  });

  it('is asked for anew every time: what was true a moment ago lets nobody in', async () => {
    const { recheck, issue } = setUpRecheck(oned);
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
    const { recheck, issue } = setUpRecheck(oned);
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
      const { recheck, issue, messages } = setUpRecheck(oned);
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

describe('the users of live sessions', () => {
  it('are each asked for once, and those who may no longer log in are ended', async () => {
    const { recheck, open, ended } = setUpRecheck(oned);
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
    const { recheck, open, ended, lines } = setUpRecheck(oned);
    oned.changeVm(1, { permissions: 'um----u--' });
    for (let uid = 2; uid < 102; uid++) await open(1, { ...alice, uid });
    oned.answerMethod('one.user.info', 'hang-up');
    await recheck.checkNow(never);
    expect(ended).toEqual([]);
    expect(asked().length).toBeLessThan(10);
    expect(lines).toMatchObject([{ level: 'warn', code: 'oned-unreachable' }]);
  });

  it('are not hidden by one of whom oned says nothing sensible', async () => {
    const { recheck, open, ended } = setUpRecheck(oned);
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
    const { recheck, open, ended } = setUpRecheck(oned);
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
