// Whose consoles somebody sees and ends. What always holds: oned's own answer about the VM comes first, and without
// MANAGE by owner, bits or the oneadmin group nothing of others is touched.
import { describe, expect, it } from 'vitest';
import { Identities } from '../../src/console/identities.ts';
import { Management } from '../../src/console/management.ts';
import type { Whose } from '../../src/console/revoke.ts';
import { mayManage } from '../../src/console/rights.ts';
import { GatewayError } from '../../src/errors.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import type { VmFacts } from '../../src/oned/vm.ts';

const none = { use: false, manage: false };
const use = { use: true, manage: false };
const manage = { use: true, manage: true };
const never = new AbortController().signal;

/** A VM of user 2 in group 100, who may do everything, and the others so much. */
function vmWith(group = none, other = none, owner = manage): VmFacts {
  return {
    ...{ id: 7, uid: 2, gid: 100, state: 8, lcmState: 0, host: undefined },
    permissions: { owner, group, other },
    graphics: { type: '', listen: '', port: undefined, password: '' },
  };
}

interface Case {
  vm?: VmFacts;
  uid: number;
  gids: number[];
  egid?: number;
  session?: string;
}

async function whoseOf({ vm = vmWith(), uid, gids, egid, session = 'alice:secret' }: Case) {
  const asked: { vmId: number; whose: Whose; by?: string }[] = [];
  const steps: string[] = [];
  const management = new Management({
    zone: { learn: async () => {} },
    oned: {
      vmInfo: async (...args) => {
        steps.push(`vm.info ${args[0]} ${args[1]}`);
        return vm;
      },
    },
    identities: new Identities({
      oned: {
        userInfo: async (...args) => {
          steps.push(`user.info ${args[0]}`);
          return { uid, gids, name: 'alice', enabled: true, ...(egid === undefined ? {} : { egid }) };
        },
      },
      serverUsers: () => new Set(['serveradmin']),
    }),
    rights: { mayManage: async (seen, who) => mayManage(seen, who) },
    revocation: {
      revokeVm: async (vmId, whose, by) => {
        asked.push({ vmId, whose, by });
        return 3;
      },
      sessionsOfVm: async (vmId, whose) => {
        asked.push({ vmId, whose });
        return [];
      },
    },
  });
  expect(await management.revoke(session as SessionString, 7, never)).toEqual({
    caller: { uid, user: 'alice' },
    count: 3,
  });
  expect(await management.sessions(session as SessionString, 7, never)).toMatchObject({ sessions: [] });
  expect(steps).toEqual(
    Array(2)
      .fill([`vm.info ${session} 7`, `user.info ${session}`])
      .flat(),
  );
  expect(asked[0]?.whose).toEqual(asked[1]?.whose);
  return asked[0];
}

describe("everybody's consoles", () => {
  it.each<[string, Case]>([
    ['the owner', { uid: 2, gids: [1] }],
    ['one of the group, where it has MANAGE', { vm: vmWith(manage), uid: 3, gids: [1, 100] }],
    ['anybody, where others have MANAGE', { vm: vmWith(none, manage), uid: 3, gids: [1] }],
    ['one of the group oneadmin', { vm: vmWith(none, none, none), uid: 3, gids: [1, 0] }],
    ['oneadmin', { vm: vmWith(none, none, none), uid: 0, gids: [0] }],
  ])('are those of %s', async (_who, parts) => {
    expect(await whoseOf(parts)).toEqual({ vmId: 7, whose: {}, by: 'alice' });
  });
});

describe('only his own', () => {
  it.each<[string, Case]>([
    ['one of the group, where it has USE', { vm: vmWith(use), uid: 3, gids: [1, 100] }],
    ['anybody, where others have USE', { vm: vmWith(none, use), uid: 3, gids: [1] }],
    ['the owner, where he has USE', { vm: vmWith(none, none, use), uid: 2, gids: [1] }],
    ['somebody of another group', { vm: vmWith(manage), uid: 3, gids: [1] }],
    ['somebody whom a rule of the ACL lets in', { uid: 3, gids: [1] }],
    [
      'one of the group, with a login token of another',
      { vm: vmWith(manage), uid: 3, gids: [1, 100], egid: 1 },
    ],
    ['an administrator, with a login token of another group', { uid: 3, gids: [0, 1], egid: 1 }],
    [
      'an administrator for whom a portal logged in with another group',
      { uid: 3, gids: [0, 1], session: 'serveradmin:alice:1:secret' },
    ],
    ['somebody whose password looks like that', { uid: 3, gids: [1], session: 'alice:alice:0:secret' }],
    ['somebody who was taken out of the group', { uid: 3, gids: [1], session: 'serveradmin:alice:0:secret' }],
  ])('are those of %s', async (_who, parts) => {
    expect(await whoseOf(parts)).toEqual({ vmId: 7, whose: { uid: parts.uid }, by: 'alice' });
  });
});

it.each(['vmInfo', 'userInfo'] as const)('nothing happens where oned refuses %s', async (refusing) => {
  const refusal = () => Promise.reject(new GatewayError('oned-refused', { oneCode: 0x0200 }));
  const reached = () => Promise.reject(new Error('it went on'));
  const management = new Management({
    zone: { learn: async () => {} },
    oned: {
      vmInfo: refusing === 'vmInfo' ? refusal : async () => vmWith(),
    },
    identities: { present: refusing === 'userInfo' ? refusal : reached },
    rights: { mayManage: reached },
    revocation: { revokeVm: reached, sessionsOfVm: reached },
  });
  const session = 'a:b' as SessionString;
  for (const asked of [management.revoke(session, 7, never), management.sessions(session, 7, never)]) {
    await expect(asked).rejects.toMatchObject({ code: 'oned-refused', oneCode: 0x0200 });
  }
});
