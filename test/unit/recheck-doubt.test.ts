// What no answer means to the second look, and an answer that cannot be true. What always holds: nobody is let in for the
// first time without a look; nobody else loses anything because oned could not be asked, or is not itself.
import { beforeEach, describe, expect, it } from 'vitest';
import type { GatewayError } from '../../src/errors.ts';
import type { TokenHash } from '../../src/tokens/token.ts';
import { type Answer, startTestOned, type TestOned } from '../support/oned.ts';
import { alice, never, setUpRecheck } from '../support/recheck.ts';

let oned: TestOned;

beforeEach(async () => {
  oned = await startTestOned();
  oned.answer(1, { vm: { id: 1, uid: 2, gid: 1, hosts: ['node1'], graphics: { PORT: 5901 } } });
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
      const { recheck, issue, endingOf, store } = setUpRecheck(oned);
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
    const { recheck, issue, endingOf } = setUpRecheck(oned);
    const { grant, hash } = await issue(1, alice);
    change(oned);
    oned.answerMethod(method, 'hang');
    await expect(recheck.atConnect(grant, { hash }, true)).rejects.toMatchObject({ code: 'token-not-valid' });
    expect(await endingOf(hash)).toBe('vm-gone');
  });

  it('a rule that counts in a zone alone is no answer where nobody knows the zone', async () => {
    const { recheck, issue, settings } = setUpRecheck(oned, { zone: undefined });
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
    const { recheck, issue } = setUpRecheck(oned);
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
      const { recheck, open, ended, endingOf, lines, sessions } = setUpRecheck(oned);
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
    const { recheck, open, issue, ended, endingOf } = setUpRecheck(oned);
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
    const { recheck, issue, join, ended, endingOf } = setUpRecheck(oned);
    const token = await issue(1, alice);
    await join(token);
    oned.removeVm(1);
    change(oned);
    await recheck.checkNow(never);
    await expect(recheck.atConnect(token.grant, token, true)).rejects.toMatchObject({ code: 'cannot-check' });
    expect([ended, await endingOf(token.hash)]).toEqual([[], 'alive']);
  });

  it('knows no users, not even the first: nobody is ended', async () => {
    const { recheck, open, ended, lines } = setUpRecheck(oned);
    await open(1, alice);
    oned.answerMethod('one.user.info', wrong);
    await recheck.checkNow(never);
    expect(ended).toEqual([]);
    expect(lines).toMatchObject([{ level: 'warn', code: 'oned-nonsense' }]);
  });
});
