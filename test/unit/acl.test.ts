// Rules of the ACL: what oned writes, and what they give whom on a VM. What always holds: the answer is oned's own, seen
// 700 times of 700; what cannot be read is nonsense, and a rule for a zone that nobody knows is no answer.
import { describe, expect, it } from 'vitest';
import { allowedByRule, type Right } from '../../src/console/acl.ts';
import { mayManage, mayUse } from '../../src/console/rights.ts';
import { type AclRule, parseAcl } from '../../src/oned/acl.ts';
import { parseVm } from '../../src/oned/vm.ts';
import { aclXml } from '../support/acl.ts';
import { seededRandom } from '../support/random.ts';
import { vmXml } from '../support/vm.ts';

/** User 3 of the groups 1 and 100, and VM 7 of group 101. */
const user = { uid: 3, gids: [1, 100] };
const vm = { id: 7, gid: 101 };

describe('a rule', () => {
  it.each<[rule: string, use: boolean, manage: boolean]>([
    ['#3 VM/#7 USE', true, false],
    ['#3 VM/#7 USE #0', true, false],
    ['#3 VM/#7 USE #1', false, false],
    ['#3 VM/#7 MANAGE', false, true],
    ['#3 VM/#7 ADMIN', false, false],
    ['#3 VM/#7 USE+MANAGE', true, true],
    ['#3 VM/#8 USE', false, false],
    ['#3 VM/* USE', true, false],
    ['#3 VM/@101 USE', true, false],
    // The group is the VM's, not the user's.
    ['#3 VM/@100 USE', false, false],
    ['#3 VM/@7 USE', false, false],
    ['#3 VM/%7 USE', false, false],
    ['#3 VM+HOST+IMAGE+BACKUPJOB/#7 USE', true, false],
    ['#3 HOST+IMAGE/#7 USE', false, false],
    ['#3 USER/* USE', false, false],
    ['#4 VM/#7 USE', false, false],
    ['@100 VM/#7 USE', true, false],
    ['@1 VM/#7 USE', true, false],
    ['@3 VM/#7 USE', false, false],
    ['@101 VM/#7 USE', false, false],
    ['* VM/#7 USE', true, false],
    ['* VM/* USE+MANAGE+ADMIN+CREATE *', true, true],
  ])('%s', (rule, use, manage) => {
    const rules = parseAcl(aclXml([rule]));
    const allowed = (right: Right) => allowedByRule(right, user, vm, rules, 0);
    expect([allowed('use'), allowed('manage')]).toEqual([use, manage]);
  });

  it.each<[rules: string[], allowed: boolean | undefined]>([
    [[], false],
    [['#3 VM/#7 USE #0'], undefined],
    [['#3 VM/#7 USE *'], true],
    [['#3 VM/#7 USE #1', '#3 VM/* USE *'], true],
    // It would give nothing in any zone.
    [['#4 VM/#7 USE #0', '#3 VM/#7 MANAGE #0', '#3 VM/#8 USE #0'], false],
  ])('is judged where nobody knows the zone: %j', (rules, allowed) => {
    expect(allowedByRule('use', user, vm, parseAcl(aclXml(rules)), undefined)).toBe(allowed);
  });
});

describe('what oned wrote', () => {
  const [rule] = parseAcl(aclXml(['#3 VM/#0 USE #0'])) as [AclRule];

  it('is read as the numbers that they are', () => {
    const text =
      '<ACL_POOL><ACL><ID>4</ID><USER>100000003</USER><RESOURCE>1100000000</RESOURCE><RIGHTS>1</RIGHTS>' +
      '<ZONE>100000000</ZONE><STRING>#3 VM/#0 USE #0</STRING></ACL></ACL_POOL>';
    expect(parseAcl(text)).toEqual([rule]);
    expect(parseAcl('<ACL_POOL></ACL_POOL>')).toEqual([]);
  });

  it('may be thousands of rules, of any kind of thing', () => {
    const all = Array.from({ length: 20_000 }, (_none, id) => `#${id} VM+BACKUPJOB/#${id} USE+ADMIN`);
    expect(parseAcl(aclXml(all))).toHaveLength(20_000);
  });

  const numbers = { USER: '100000003', RESOURCE: '1100000000', RIGHTS: '1', ZONE: '100000000' };
  const written = (changed: Record<string, string>) =>
    `<ACL_POOL><ACL>${Object.entries({ ...numbers, ...changed })
      .map(([name, text]) => `<${name}>${text}</${name}>`)
      .join('')}</ACL></ACL_POOL>`;

  it.each([
    ['nothing', ''],
    ['another document', '<USER_POOL></USER_POOL>'],
    ['half a document', aclXml(['#3 VM/#0 USE']).slice(0, -5)],
    ['a rule without anything', '<ACL_POOL><ACL></ACL></ACL_POOL>'],
    ...Object.keys(numbers).flatMap((name) =>
      ['', 'x', '0x1', '-1', ' 1', '1 2', '1'.repeat(17)].map((text): [string, string] => [
        `${name} ${JSON.stringify(text)}`,
        written({ [name]: text }),
      ]),
    ),
    ['two users in a rule', written({ USER: '100000003</USER><USER>400000000' })],
  ])('is nonsense with %s', (_what, xml) => {
    expect(() => parseAcl(xml)).toThrow(expect.objectContaining({ code: 'oned-nonsense' }));
  });
});

/** AclManager::authorize as it was written down when it was compared with oned: bits are rules as well. */
function judge(
  op: bigint,
  who: { uid: number; gids: number[] },
  machine: { id: number; uid: number; gid: number; bits: bigint[] },
  rules: readonly AclRule[],
  zone: number,
): boolean {
  const [IND, GRP, ALL, LOW, VM] = [0x100000000n, 0x200000000n, 0x400000000n, 0xffffffffn, 0x1000000000n];
  if (who.uid === 0 || who.gids.includes(0)) return true;
  const one = VM | IND | BigInt(machine.id);
  const here = IND | BigInt(zone);
  const [owner = 0n, group = 0n, other = 0n] = machine.bits;
  const own = [
    { user: IND | BigInt(machine.uid), resource: one, rights: owner, zone: here },
    { user: GRP | BigInt(machine.gid), resource: one, rights: group, zone: here },
    { user: ALL, resource: one, rights: other, zone: here },
  ];
  const users = [ALL, IND | BigInt(who.uid), ...who.gids.map((gid) => GRP | BigInt(gid))];
  return [...own, ...rules].some(
    (rule) =>
      users.includes(rule.user) &&
      ((rule.zone & ALL) !== 0n || (rule.zone & (IND | LOW)) === here) &&
      (rule.rights & op) === op &&
      ((rule.resource & (VM | ALL)) === (VM | ALL) ||
        (rule.resource & (VM | GRP | LOW)) === (VM | GRP | BigInt(machine.gid)) ||
        (rule.resource & (VM | IND | LOW)) === one),
  );
}

it('bits and rules together give what that algorithm gives, whatever they are', () => {
  const random = seededRandom(30);
  const pick = <T>(...items: T[]): T => items[random(items.length)] as T;
  const answers = new Set<string>();
  for (let i = 0; i < 20_000; i++) {
    const id = () => pick(0, 1, 2, 100);
    const who = {
      uid: pick(0, 1, 2, 3, 3),
      gids: Array.from({ length: pick(1, 2, 3) }, () => pick(0, 1, 1, 100, 101)),
    };
    const ls = Array.from({ length: 3 }, () => pick('---', '---', 'u--', '-m-', 'um-', '--a'));
    const place = { id: id(), uid: pick(0, 1, 2, 3), gid: pick(0, 1, 100) };
    const rules = Array.from({ length: pick(0, 1, 2, 3) }, () => {
      const subject = pick(`#${pick(1, 2, 3)}`, `@${pick(1, 100, 101)}`, '*');
      const what = `${pick('VM', 'VM+HOST', 'HOST')}/${pick(`#${id()}`, `@${id()}`, `%${id()}`, '*')}`;
      return `${subject} ${what} ${pick('USE', 'MANAGE', 'ADMIN', 'USE+MANAGE')} ${pick('#0', '#100', '*')}`;
    });
    const zone = pick(0, 100);
    const machine = parseVm(vmXml({ ...place, permissions: ls.join('') }));
    const parsed = parseAcl(aclXml(rules));
    const bits = ls.map((text) =>
      [...text].reduce((sum, one) => sum | ({ u: 1n, m: 2n, a: 4n }[one] ?? 0n), 0n),
    );
    for (const [right, may, op] of [
      ['use', mayUse, 1n],
      ['manage', mayManage, 2n],
    ] as const) {
      const ours = may(machine, who) || allowedByRule(right, who, machine, parsed, zone) === true;
      const theirs = judge(op, who, { ...place, bits }, parsed, zone);
      expect(ours, JSON.stringify({ right, who, place, ls, rules, zone })).toBe(theirs);
      answers.add(`${right} ${theirs}`);
    }
  }
  expect(answers.size).toBe(4);
});
