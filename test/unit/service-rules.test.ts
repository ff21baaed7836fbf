// Who may manage a VM, rules included. What always holds: rules are asked for as the service, where there is one, and only
// where the bits are not enough; what could not be asked is an error, and what may not be asked gives nothing.
import { describe, expect, it } from 'vitest';
import type { Rules } from '../../src/console/accounts.ts';
import { ServiceRules } from '../../src/console/service-rules.ts';
import { GatewayError } from '../../src/errors.ts';
import { parseAcl } from '../../src/oned/acl.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import { parseVm } from '../../src/oned/vm.ts';
import { aclXml } from '../support/acl.ts';
import { vmXml } from '../support/vm.ts';

const never = new AbortController().signal;
const vm = parseVm(vmXml({ id: 7, uid: 2, gid: 100, permissions: 'um-u-----' }));
const service = 'console:service' as SessionString;

function world({ rules = [] as string[] | Error | 'not-told', hasService = true } = {}) {
  const asked: SessionString[] = [];
  const rights = new ServiceRules({
    accounts: {
      rules: async (as): Promise<Rules> => {
        asked.push(as);
        if (rules instanceof Error) throw rules;
        return rules === 'not-told' ? rules : parseAcl(aclXml(rules));
      },
    },
    zone: async () => 0,
    serviceSession: () => (hasService ? service : undefined),
  });
  return { asked, may: (uid: number, ...gids: number[]) => rights.mayManage(vm, { uid, gids }, never) };
}

describe('MANAGE', () => {
  it.each<[string, string[], number, number[], boolean]>([
    ['by a rule for the user', ['#3 VM/#7 MANAGE #0'], 3, [1], true],
    ['by a rule for his group', ['@50 VM/@100 USE+MANAGE'], 3, [1, 50], true],
    ['not by a rule for a group that his login token leaves out', ['@50 VM/@100 MANAGE'], 3, [1], false],
    ['not by a rule for USE', ['#3 VM/#7 USE #0'], 3, [1], false],
    ['not by a rule in another zone', ['#3 VM/#7 MANAGE #1'], 3, [1], false],
    ['not by USE of the group', [], 3, [1, 100], false],
  ])('%s', async (_what, rules, uid, gids, allowed) => {
    const { asked, may } = world({ rules });
    expect([await may(uid, ...gids), asked]).toEqual([allowed, [service]]);
  });

  it('is a matter of bits alone without service_auth', async () => {
    const { asked, may } = world({ rules: ['#3 VM/#7 MANAGE'], hasService: false });
    expect([await may(3, 1), await may(2, 1), await may(3, 0), asked]).toEqual([false, true, true, []]);
  });

  it('by bits asks for no rules', async () => {
    const { asked, may } = world({ rules: new Error('it was asked') });
    expect([await may(2, 1), await may(5, 0), asked]).toEqual([true, true, []]);
  });

  it('is none where the service may not ask, and an error where nobody answers', async () => {
    expect(await world({ rules: 'not-told' }).may(3, 1)).toBe(false);
    const failing = world({ rules: new GatewayError('oned-timeout') });
    await expect(failing.may(3, 1)).rejects.toMatchObject({ code: 'oned-timeout' });
  });
});
