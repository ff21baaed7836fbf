// Asking oned who the caller is, and for many VMs at once. What always holds: the caller's own session goes there to the
// letter, what comes back is bounded and read strictly, and background work lets everybody pass.
import { beforeAll, describe, expect, it } from 'vitest';
import { OnedClient } from '../../src/oned/client.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import { MAX_POOL_IDS } from '../../src/oned/vm-pool.ts';
import { type Answer, startTestOned, type TestOned } from '../support/oned.ts';
import { vmPoolXml, vmXml } from '../support/vm.ts';
import { waitFor } from '../support/wait.ts';

const session = 'alice:<&>"\']]>:x' as SessionString;
const never = new AbortController().signal;

let oned: TestOned;
let client: OnedClient;

beforeAll(async () => {
  oned = await startTestOned();
  client = new OnedClient(() => ({ url: oned.url, timeoutMs: 20_000, connections: 4 }));
});

/** Errors that any call of oned may end with. */
const failures: [what: string, answer: Answer, error: Record<string, unknown>][] = [
  [
    'a refusal',
    { error: "User couldn't be authenticated", code: 0x0100 },
    { code: 'oned-refused', oneCode: 0x0100 },
  ],
  ['a fault', { fault: 'Method not defined', code: -506 }, { code: 'oned-nonsense' }],
  ['no document', { value: 'OK' }, { code: 'oned-nonsense' }],
  ['a VM', { vm: { id: 1 } }, { code: 'oned-nonsense' }],
  ['a page', { body: '<html/>', status: 502 }, { code: 'oned-nonsense' }],
  ['a reply without an end', { endlessBytes: 8 * 1024 * 1024 }, { code: 'oned-nonsense' }],
  ['nothing', 'hang-up', { code: 'oned-unreachable' }],
];

describe('the caller', () => {
  it('is asked for as himself', async () => {
    oned.user(session, { id: 7, name: 'alice', gids: [100, 1] });
    expect(await client.userInfo(session, never)).toMatchObject({ uid: 7, name: 'alice', gids: [100, 1] });
    expect(oned.calls.at(-1)).toMatchObject({ method: 'one.user.info', session, vmId: -1, rest: '' });
  });

  it.each(['one.user.info.alice-self', 'one.user.info.oneadmin-self'])(
    'is who a real oned says (%s)',
    async (golden) => {
      oned.answerMethod('one.user.info', { golden });
      const { name } = await client.userInfo(session, never);
      expect(golden).toContain(name);
      oned.answerMethod('one.user.info', undefined);
    },
  );

  it.each(failures)('is unknown after %s', async (_what, answer, error) => {
    oned.answerMethod('one.user.info', answer);
    await expect(client.userInfo(session, never)).rejects.toMatchObject(error);
    oned.answerMethod('one.user.info', undefined);
  });

  it('is asked for within oned_timeout', async () => {
    oned.answerMethod('one.user.info', 'hang');
    const impatient = new OnedClient(() => ({ url: oned.url, timeoutMs: 100, connections: 4 }));
    await expect(impatient.userInfo(session, never)).rejects.toMatchObject({ code: 'oned-timeout' });
    oned.answerMethod('one.user.info', undefined);
  });
});

describe('a set of VMs', () => {
  it('is asked for whole, and read as VMs are', async () => {
    oned.runVm(11, { host: 'node1', port: 5911 });
    oned.answer(12, { vm: { id: 12, state: 8, lcmState: 0, uid: 2, gid: 1, permissions: 'umaum----' } });
    const vms = await client.vmPoolInfo(session, [12, 11], never);
    expect(oned.calls.at(-1)).toMatchObject({ method: 'one.vmpool.infoset', session, ids: [12, 11] });
    // Without `true` oned leaves out the permissions.
    expect(oned.calls.at(-1)?.body).toMatch(/<boolean>1<\/boolean>/);
    expect(vms.get(11)).toEqual(await client.vmInfo(session, 11, never));
    expect(vms.get(12)).toMatchObject({ state: 8, uid: 2, gid: 1, permissions: { group: { use: true } } });
    expect(vms.size).toBe(2);
  });

  it('lacks those that oned does not show, and has no others than were asked for', async () => {
    oned.answerMethod('one.vmpool.infoset', { value: vmPoolXml([1, 2, 3].map((id) => vmXml({ id }))) });
    const vms = await client.vmPoolInfo(session, [2, 4], never);
    expect([...vms.keys()]).toEqual([2]);
    oned.answerMethod('one.vmpool.infoset', undefined);
  });

  it.each(['<VM_POOL></VM_POOL>', '<VM_POOL/>'])('may be empty: %s', async (value) => {
    oned.answerMethod('one.vmpool.infoset', { value });
    expect((await client.vmPoolInfo(session, [1], never)).size).toBe(0);
    oned.answerMethod('one.vmpool.infoset', undefined);
  });

  it.each([
    ...failures,
    [
      'a VM without permissions',
      { value: vmPoolXml([vmXml({ id: 1 }), '<VM><ID>2</ID></VM>']) },
      { code: 'oned-nonsense' },
    ],
  ])('is unknown after %s', async (_what, answer, error) => {
    oned.answerMethod('one.vmpool.infoset', answer as Answer);
    await expect(client.vmPoolInfo(session, [1, 2], never)).rejects.toMatchObject(error);
    oned.answerMethod('one.vmpool.infoset', undefined);
  });

  it('of the most ids there may be fits into a reply, with long attributes', async () => {
    const ids = Array.from({ length: MAX_POOL_IDS }, (_none, index) => 1000 + index);
    for (const id of ids) {
      oned.answer(id, { vm: { id, hosts: ['node1'], graphics: { PASSWD: 'x'.repeat(12_000) } } });
    }
    expect((await client.vmPoolInfo(session, ids, never)).size).toBe(MAX_POOL_IDS);
  });

  it('lets everybody pass who waits for an answer, and leaves a place free', async () => {
    const own = await startTestOned();
    const narrow = new OnedClient(() => ({ url: own.url, timeoutMs: 20_000, connections: 2 }));
    const gates: (() => void)[] = [];
    const held = (vmId: number) =>
      own.answer(vmId, async () => {
        await new Promise<void>((resolve) => gates.push(resolve));
        return { vm: { id: vmId } };
      });
    for (const vmId of [1, 2, 3, 4]) held(vmId);
    const asked: Promise<unknown>[] = [narrow.vmInfo(session, 1, never)];
    await waitFor(() => own.active() === 1, { what: 'the first call at oned' });
    asked.push(narrow.vmPoolInfo(session, [4], never));
    asked.push(narrow.vmInfo(session, 2, never), narrow.vmInfo(session, 3, never));
    for (let call = 1; call <= 4; call++) {
      await waitFor(() => gates.length > 0, { what: `call ${call} at oned` });
      gates.shift()?.();
    }
    await Promise.all(asked);
    expect(own.calls.map(({ method, vmId, ids }) => [method, vmId || ids])).toEqual([
      ['one.vm.info', 1],
      ['one.vm.info', 2],
      ['one.vm.info', 3],
      ['one.vmpool.infoset', [4]],
    ]);
  });
});
