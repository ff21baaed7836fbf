// Issue, with an oned and a store that only note what they were asked. What always holds: nothing is stored before oned
// has allowed it, and what is stored follows from the settings of that moment.
import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type ClipboardMode, clipboardModes } from '../../src/clipboard.ts';
import { Identities } from '../../src/console/identities.ts';
import { createIssue, type IssueSettings } from '../../src/console/issue.ts';
import { mayManage } from '../../src/console/rights.ts';
import { type IssueOptions, type VncSettings, vncAccessOf } from '../../src/console/vnc-access.ts';
import { GatewayError } from '../../src/errors.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import type { VmFacts } from '../../src/oned/vm.ts';
import type { Grant } from '../../src/tokens/grant.ts';
import type { PasswordKey } from '../../src/tokens/password-seal.ts';
import type { TokenRecord } from '../../src/tokens/record.ts';
import type { CreateOptions } from '../../src/tokens/store.ts';
import type { Token } from '../../src/tokens/token.ts';

const none = { use: false, manage: false };
const runningVm: VmFacts = {
  ...{ id: 7, uid: 2, gid: 100, state: 3, lcmState: 3, host: 'node1' },
  permissions: { owner: { use: true, manage: true }, group: none, other: none },
  graphics: { type: 'VNC', listen: '0.0.0.0', port: '5907', password: 'vnc-secret' },
};
const zone = { id: 0, endpoint: 'endpoint-number1' };
const token = 'abcdefghijklmnopqrstuvwxy' as Token;
const never = new AbortController().signal;

interface World {
  settings?: Partial<IssueSettings>;
  vm?: Partial<VmFacts>;
  user?: { uid: number; gids: number[] };
  /** What oned says of VM_ENCRYPTED_ATTR. */
  encrypts?: boolean;
  fails?: { at: string; code: 'oned-refused' | 'oned-unreachable' | 'too-many-tokens' };
}

function world({
  settings = {},
  vm = {},
  user = { uid: 2, gids: [100] },
  encrypts = false,
  fails,
}: World = {}) {
  const steps: string[] = [];
  const zoneAskedBy: string[] = [];
  const stored: { record: TokenRecord; options: CreateOptions }[] = [];
  const step = (name: string) => {
    steps.push(name);
    if (fails?.at === name) throw new GatewayError(fails.code);
  };
  const issue = createIssue({
    oned: {
      vmInfo: async () => {
        step('vm.info');
        return { ...runningVm, ...vm };
      },
      vmInfoDecrypted: async (session) => {
        step(`vm.info decrypted by ${session}`);
        return { ...runningVm, ...vm, graphics: { ...runningVm.graphics, password: 'in clear' } };
      },
      userInfo: () => Promise.reject(new GatewayError('oned-refused')),
    },
    identities: new Identities({
      oned: {
        userInfo: async () => {
          step('user.info');
          return { ...user, name: 'alice', enabled: true };
        },
      },
      serverUsers: () => new Set(),
    }),
    facts: {
      ask: async () => {
        step('settings');
        return { encryptsVncPassword: encrypts, zoneId: 0 };
      },
    },
    zone: {
      stamp: zone,
      learn: async (session) => void zoneAskedBy.push(session),
    },
    rights: { mayManage: async (seen, who) => mayManage(seen, who) },
    store: {
      now: () => 1_000_000,
      create: async (record, options) => {
        step('create');
        stored.push({ record, options });
        return token;
      },
    },
    settings: () => ({
      ...{
        ttlMs: 600_000,
        maxTokensPerVm: 256,
        maxTokensPerUser: 1024,
        serviceSession: undefined,
        bindClient: false,
      },
      consolePorts: { allowed: [{ first: 5900, last: 65535 }], missing: undefined },
      vnc: { auth: 'pass', clipboard: 'both', viewOnlyWithoutManage: false, passwordKey: undefined },
      ...settings,
    }),
  });
  return {
    ...{ steps, stored, zoneAskedBy },
    issue: (session = 'alice:secret', asked: Partial<IssueOptions> = {}) =>
      issue(session as SessionString, 7, { viewOnly: false, clipboard: 'both', ...asked }, never),
  };
}

it('asks oned for the VM as the caller, then stores, then answers', async () => {
  const { issue, steps, stored } = world();
  const { token: issuedToken, grant, graphics } = await issue();
  expect(steps).toEqual(['vm.info', 'user.info', 'create']);
  expect(issuedToken).toBe(token);
  expect(graphics).toEqual(runningVm.graphics);
  expect(grant).toEqual({
    ...{ zone, vmId: 7, target: { host: 'node1', port: 5907 }, uid: 2, user: 'alice', caller: undefined },
    ...{ manages: true, issuedAt: 1_000_000, expiresAt: 1_600_000 },
  });
  expect(stored).toEqual([
    {
      record: { grant, keepUntil: 1_600_000 },
      options: { maxOfVm: 256, maxOfUser: 1024, forWebsockify: true },
    },
  ]);
});

it('has the zone asked for by the caller, once he was let in', async () => {
  const asked = world();
  await asked.issue();
  expect(asked.zoneAskedBy).toEqual(['alice:secret']);
  const refused = world({ fails: { at: 'vm.info', code: 'oned-refused' } });
  await expect(refused.issue()).rejects.toThrow();
  expect(refused.zoneAskedBy).toEqual([]);
});

it('writes down neither the session nor the password', async () => {
  const { issue, stored } = world({ settings: { serviceSession: 'service:its-own' as SessionString } });
  await issue();
  expect(JSON.stringify(stored)).not.toContain('secret');
});

it('keeps a token from websockify where only the first address may use it', async () => {
  const { issue, stored } = world({ settings: { bindClient: true, maxTokensPerVm: 3, maxTokensPerUser: 5 } });
  await issue();
  expect(stored[0]?.options).toEqual({ maxOfVm: 3, maxOfUser: 5, forWebsockify: false });
});

it.each(['alice:secret', 'ALICE:secret', 'serveradmin:alice:secret'])(
  'names the user as oned does: %s',
  async (session) => {
    const { issue } = world();
    expect((await issue(session)).grant).toMatchObject({ uid: 2, user: 'alice' });
  },
);

it('asks anew who it is only where rights hang on it, since the id is known from a moment ago', async () => {
  const plain = world();
  await plain.issue();
  await plain.issue();
  expect(plain.steps).toEqual(['vm.info', 'user.info', 'create', 'vm.info', 'create']);
  const checked = world({ settings: { serviceSession: 'service:its-own' as SessionString } });
  await checked.issue();
  await checked.issue();
  expect(checked.steps.filter((step) => step === 'user.info')).toHaveLength(2);
});

it.each([
  ['the owner', { uid: 2, gids: [100] }, true],
  ['an administrator', { uid: 0, gids: [0] }, true],
  ['somebody whom a rule of the ACL lets in', { uid: 3, gids: [101] }, false],
])(
  'with recheck it asks who the caller is after oned has let him in: %s',
  async (_who, user, byPermission) => {
    const { issue, steps } = world({
      settings: { serviceSession: 'service:its-own' as SessionString },
      user,
    });
    expect((await issue()).grant.caller).toEqual({ ...user, byPermission });
    expect(steps).toEqual(['vm.info', 'settings', 'user.info', 'create']);
  },
);

it.each<[string, World, string, string[]]>([
  ['oned refuses', { fails: { at: 'vm.info', code: 'oned-refused' } }, 'oned-refused', ['vm.info']],
  ['the VM does not run', { vm: { state: 8 } }, 'wrong-state', ['vm.info']],
  [
    'oned does not say who the caller is',
    { fails: { at: 'user.info', code: 'oned-unreachable' } },
    'oned-unreachable',
    ['vm.info', 'settings', 'user.info'],
  ],
  [
    'the store has enough of them',
    { fails: { at: 'create', code: 'too-many-tokens' } },
    'too-many-tokens',
    ['vm.info', 'settings', 'user.info', 'create'],
  ],
])('ends where %s', async (_what, parts, code, steps) => {
  const asked = world({ settings: { serviceSession: 'service:its-own' as SessionString }, ...parts });
  await expect(asked.issue()).rejects.toMatchObject({ code });
  expect(asked.steps).toEqual(steps);
  expect(asked.stored).toEqual([]);
});

describe('where the service answers the VNC server', () => {
  const passwordKey = createSecretKey(randomBytes(32)) as PasswordKey;
  const vnc: VncSettings = { auth: 'proxy', clipboard: 'from_vm', viewOnlyWithoutManage: false, passwordKey };

  it('the password goes into the grant sealed, to nobody else, and opens for the session', async () => {
    const { issue, stored } = world({ settings: { vnc } });
    const { grant, graphics } = await issue();
    expect(graphics).toEqual({ ...runningVm.graphics, password: '' });
    expect(JSON.stringify(stored)).not.toContain(runningVm.graphics.password);
    expect(stored[0]?.options.forWebsockify).toBe(false);
    expect(vncAccessOf(grant, passwordKey)).toEqual({
      ...{ password: runningVm.graphics.password, viewOnly: false, clipboard: 'from_vm' },
    });
  });

  it.each<[what: string, change: (grant: Grant) => Partial<Grant>]>([
    ['VM', () => ({ vmId: 8 })],
    ['zone', ({ zone }) => ({ zone: { endpoint: 'A'.repeat(16), id: (zone?.id ?? 0) + 1 } })],
    ['endpoint', ({ zone }) => ({ zone: { ...zone, endpoint: 'A'.repeat(16) } })],
    ['host', ({ target }) => ({ target: { ...target, host: 'node2' } })],
    ['port', ({ target }) => ({ target: { ...target, port: 22 } })],
    ['host and port in another cut', ({ target }) => ({ target: { host: `${target.host},5`, port: 907 } })],
    ['user', () => ({ uid: 3 })],
    ['group of the login', () => ({ egid: 100 })],
  ])('the password opens for no other %s than it was sealed for', async (_what, change) => {
    const { grant } = await world({ settings: { vnc } }).issue();
    expect(() => vncAccessOf({ ...grant, ...change(grant) }, passwordKey)).toThrow('cannot be opened');
    expect(vncAccessOf(grant, passwordKey)?.password).toBe(runningVm.graphics.password);
  });

  it("what the browser may do now counts, and the password is the stored grant's", async () => {
    const { grant } = await world({ settings: { vnc } }).issue();
    const now = { sealedPassword: 'another', viewOnly: true, clipboard: 'off' } as const;
    expect(vncAccessOf(grant, passwordKey, now)).toEqual({
      ...{ password: runningVm.graphics.password, viewOnly: true, clipboard: 'off' },
    });
  });

  it('who was seen to have MANAGE is written down, whatever the settings are', async () => {
    const manager = world({ user: { uid: 2, gids: [100] } });
    expect((await manager.issue()).grant.manages).toBe(true);
    const other = world({ user: { uid: 3, gids: [101] } });
    expect((await other.issue()).grant).not.toHaveProperty('manages');
  });

  it('a VM without a password has none sealed', async () => {
    const graphics = { ...runningVm.graphics, password: '' };
    const { grant } = await world({ settings: { vnc }, vm: { graphics } }).issue();
    expect(vncAccessOf(grant, passwordKey)).toMatchObject({ password: '' });
  });

  it.each([
    ['somebody who asks for it', true, { uid: 2, gids: [100] }, vnc, true],
    [
      'somebody without MANAGE',
      false,
      { uid: 3, gids: [101] },
      { ...vnc, viewOnlyWithoutManage: true },
      true,
    ],
    ['somebody with MANAGE', false, { uid: 2, gids: [100] }, { ...vnc, viewOnlyWithoutManage: true }, false],
  ])('view only: %s', async (_who, asks, user, settings, viewOnly) => {
    const { issue } = world({ settings: { vnc: settings }, user });
    expect((await issue('alice:secret', { viewOnly: asks })).grant.vnc?.viewOnly).toBe(viewOnly);
  });

  it.each(clipboardModes.flatMap((allowed) => clipboardModes.map((asked) => [allowed, asked] as const)))(
    'clipboard: of a setting of %s, a call that asks for %s gets what both allow',
    async (allowed, asked) => {
      const { issue } = world({ settings: { vnc: { ...vnc, clipboard: allowed } } });
      const ways: Record<ClipboardMode, string[]> = {
        both: ['to', 'from'],
        to_vm: ['to'],
        from_vm: ['from'],
        off: [],
      };
      const mode = (await issue('alice:secret', { clipboard: asked })).grant.vnc?.clipboard ?? 'both';
      expect(ways[mode]).toEqual(
        ['to', 'from'].filter((way) => ways[allowed].includes(way) && ways[asked].includes(way)),
      );
    },
  );

  const encrypted = { ...runningVm.graphics, password: 'Xb/OyOPb1gLlG4zcJbANcQ==' };

  it('an encrypted password is asked for by the service itself, after the caller was let in', async () => {
    const serviceSession = 'service:its-own' as SessionString;
    const { issue, steps } = world({
      settings: { vnc, serviceSession },
      vm: { graphics: encrypted },
      encrypts: true,
    });
    expect(vncAccessOf((await issue()).grant, passwordKey)?.password).toBe('in clear');
    expect(steps.slice(0, 3)).toEqual(['vm.info', 'settings', 'vm.info decrypted by service:its-own']);
  });

  it('an encrypted password is refused where nobody can read it', async () => {
    const asked = world({ settings: { vnc }, vm: { graphics: encrypted }, encrypts: true });
    await expect(asked.issue()).rejects.toMatchObject({
      code: 'no-console',
      publicText: expect.stringContaining('service_auth'),
    });
    expect(asked.stored).toEqual([]);
  });
});

it.each<[Partial<IssueOptions>, string]>([
  [{ viewOnly: true }, 'view_only takes vnc_auth: proxy'],
  [{ clipboard: 'to_vm' }, 'clipboard takes vnc_auth: proxy'],
  [{ clipboard: 'off' }, 'clipboard takes vnc_auth: proxy'],
])('refuses %j where the browser talks to the VNC server itself', async (asked, publicText) => {
  const refusing = world();
  await expect(refusing.issue('alice:secret', asked)).rejects.toMatchObject({
    code: 'bad-parameters',
    publicText,
  });
  expect(refusing.stored).toEqual([]);
});
