// The VNC password in clear. What always holds: what a user chose is never judged by its looks; ciphertext is refused
// where oned says that it is, and nobody here may read it.
import { describe, expect, it } from 'vitest';
import { readable, type VncPassword, vncPasswordOf } from '../../src/console/vnc-password.ts';
import { GatewayError } from '../../src/errors.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import type { VmFacts } from '../../src/oned/vm.ts';

const session = 'alice:secret' as SessionString;
const serviceSession = 'console:own' as SessionString;
const none = { use: false, manage: false };
const ciphertext = 'Xb/OyOPb1gLlG4zcJbANcQ==';

interface World {
  password: string;
  /** What oned says; undefined: nothing. */
  encrypts: boolean | undefined;
  withService?: boolean;
  /** What the service is shown, and whether it is an administrator. */
  decrypted?: string | GatewayError;
  serviceGids?: number[];
}

async function ask({ password, encrypts, withService = false, decrypted = '', serviceGids = [0] }: World) {
  const asked: string[] = [];
  const vm: VmFacts = {
    ...{ id: 7, uid: 2, gid: 1, state: 3, lcmState: 3, host: 'node1' },
    permissions: { owner: none, group: none, other: none },
    graphics: { type: 'VNC', listen: '', port: '5907', password },
  };
  const found: VncPassword = await vncPasswordOf(
    vm,
    { session, serviceSession: withService ? serviceSession : undefined, by: ['alice'] },
    {
      oned: {
        vmInfoDecrypted: async (by, id) => {
          asked.push(`VM ${id} as ${by}`);
          if (decrypted instanceof GatewayError) throw decrypted;
          return { ...vm, graphics: { ...vm.graphics, password: decrypted } };
        },
        userInfo: async (by) => {
          asked.push(`who is ${by}`);
          return { uid: 5, name: 'console', gids: serviceGids, enabled: true };
        },
      },
      facts: {
        ask: async (by) => {
          asked.push(`settings as ${by}`);
          return { encryptsVncPassword: encrypts, zoneId: 0 };
        },
      },
    },
    new AbortController().signal,
  );
  return { found, asked };
}

/** Passwords that look like something else. */
const odd: [what: string, password: string][] = [
  [
    '64 hexadecimal digits, as RANDOM_PASSWD makes',
    '6624974ea2baffac6624974ea2baffac6624974ea2baffac6624974ea2baffac',
  ],
  ['32 of them', '6624974ea2baffac6624974ea2baffac'],
  ['a block in base64', ciphertext],
  ['two blocks in base64', `${'A'.repeat(43)}=`],
  ['eight letters', 'abcdefgh'],
  ['one digit', '0'],
  ['what looks empty', ' '],
  ['another alphabet', 'пароль'],
];

describe('where oned encrypts nothing', () => {
  it.each(odd)('%s is a password', async (_what, password) => {
    for (const withService of [false, true]) {
      const { found, asked } = await ask({ password, encrypts: false, withService });
      expect(readable(found)).toBe(password);
      expect(asked).toEqual(['settings as alice:secret']);
    }
  });
});

describe('where oned does not say whether it encrypts', () => {
  it.each(odd)('%s is a password', async (_what, password) => {
    expect(readable((await ask({ password, encrypts: undefined })).found)).toBe(password);
  });

  it.each(odd)('%s is one that the service is shown in clear, where it may be', async (_what, password) => {
    const parts = { password, encrypts: undefined, withService: true };
    expect(readable((await ask({ ...parts, decrypted: 'clear' })).found)).toBe('clear');
    expect(readable((await ask({ ...parts, decrypted: password })).found)).toBe(password);
    expect(readable((await ask({ ...parts, decrypted: new GatewayError('oned-refused') })).found)).toBe(
      password,
    );
  });
});

describe('where oned encrypts it', () => {
  it.each(odd)('%s is ciphertext, whatever it looks like', async (_what, password) => {
    const { found } = await ask({ password, encrypts: true });
    expect(() => readable(found)).toThrow(
      expect.objectContaining({
        code: 'no-console',
        publicText: expect.stringContaining('needs service_auth'),
      }),
    );
  });

  it('the service reads it as an administrator, and nobody else is asked', async () => {
    const { found, asked } = await ask({
      password: ciphertext,
      encrypts: true,
      withService: true,
      decrypted: 'clear',
    });
    expect(readable(found)).toBe('clear');
    expect(asked).toEqual(['settings as alice:secret', 'VM 7 as console:own']);
  });

  it('what an administrator is shown unchanged was never encrypted', async () => {
    const parts = { password: 'from before', encrypts: true, withService: true, decrypted: 'from before' };
    expect(readable((await ask(parts)).found)).toBe('from before');
  });

  it('what others are shown is ciphertext, which oned does not tell them', async () => {
    const parts = { password: ciphertext, encrypts: true, withService: true, decrypted: ciphertext };
    const { found } = await ask({ ...parts, serviceGids: [1, 100] });
    expect(() => readable(found)).toThrow(
      expect.objectContaining({ code: 'no-console', publicText: expect.stringContaining('group oneadmin') }),
    );
  });

  it.each([0x0100, 0x0200])(
    'a service that oned refuses with %i is no failed login of the caller',
    async (oneCode) => {
      const decrypted = new GatewayError('oned-refused', { oneCode });
      const { found } = await ask({ password: ciphertext, encrypts: true, withService: true, decrypted });
      expect(() => readable(found)).toThrow(
        expect.objectContaining({
          code: 'no-console',
          publicText: expect.stringContaining('the user of service_auth'),
        }),
      );
    },
  );

  it('fails as the question does', async () => {
    const decrypted = new GatewayError('oned-timeout');
    const failing = ask({ password: ciphertext, encrypts: true, withService: true, decrypted });
    await expect(failing).rejects.toBe(decrypted);
  });

  it('a VM without a password has none, and nobody is asked', async () => {
    const { found, asked } = await ask({ password: '', encrypts: true, withService: true });
    expect([readable(found), asked]).toEqual(['', []]);
  });
});
