// Who a user is, and what the bits of a VM let him do. What always holds: any class that he belongs to is enough, and
// what stands beside his name in oned's answer, hashes and login tokens, is not taken over.
import { describe, expect, it } from 'vitest';
import { isOneadmin, mayManage, mayUse } from '../../src/console/rights.ts';
import { parseUser } from '../../src/oned/user.ts';
import { parseVm } from '../../src/oned/vm.ts';
import { readGolden } from '../support/oned.ts';
import { vmXml } from '../support/vm.ts';

/** Of user 2 and group 100. */
const vm = (permissions: string) => parseVm(vmXml({ id: 1, uid: 2, gid: 100, permissions }));

const users = {
  owner: { uid: 2, gids: [1] },
  'owner in the group': { uid: 2, gids: [1, 100] },
  member: { uid: 3, gids: [100] },
  'member by the second group': { uid: 3, gids: [1, 100] },
  other: { uid: 4, gids: [1] },
  'other in no group': { uid: 4, gids: [] },
  'the user whose id is the group’s': { uid: 100, gids: [2] },
  oneadmin: { uid: 0, gids: [0] },
  'user 0 in other groups': { uid: 0, gids: [1] },
  'member of oneadmin': { uid: 5, gids: [1, 0] },
};

const nobody: (keyof typeof users)[] = [];
const admins: (keyof typeof users)[] = ['oneadmin', 'user 0 in other groups', 'member of oneadmin'];
const owners: (keyof typeof users)[] = ['owner', 'owner in the group'];
const members: (keyof typeof users)[] = ['owner in the group', 'member', 'member by the second group'];
const everybody = Object.keys(users) as (keyof typeof users)[];

describe('a VM of user 2 and group 100', () => {
  it.each([
    ['---------', nobody, nobody],
    ['u--------', owners, nobody],
    ['-m-------', nobody, owners],
    ['um-------', owners, owners],
    ['---u-----', members, nobody],
    ['----m----', nobody, members],
    ['u--u-----', [...owners, ...members], nobody],
    ['u---m----', owners, members],
    ['------u--', everybody, nobody],
    ['-------m-', nobody, everybody],
    ['--a--a--a', nobody, nobody],
    ['umaumauma', everybody, everybody],
  ])('with %s', (permissions, using, managing) => {
    const allowed = (may: typeof mayUse) => everybody.filter((name) => may(vm(permissions), users[name]));
    const expected = (...names: string[]) => everybody.filter((name) => [...names, ...admins].includes(name));
    expect(allowed(mayUse)).toEqual(expected(...using));
    expect(allowed(mayManage)).toEqual(expected(...managing));
  });

  it('has the administrators of the cloud as such', () => {
    expect(everybody.filter((name) => isOneadmin(users[name]))).toEqual(admins);
  });
});

const user = (parts: string) => `<USER>${parts}</USER>`;
const alice = '<ID>2</ID><GID>1</GID><GROUPS><ID>1</ID></GROUPS><NAME>alice</NAME>';

/** The document inside a recorded reply. */
function recorded(name: string): string {
  const value = /<string>([\s\S]*)<\/string>/.exec(readGolden(`oned/${name}.response`).toString('utf8'))?.[1];
  return (value ?? '').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

describe('the user', () => {
  it.each([
    ['one.user.info.alice-self', { uid: 2, name: 'alice', gids: [1], enabled: true }],
    ['one.user.info.oneadmin-self', { uid: 0, name: 'oneadmin', gids: [0], enabled: true }],
  ])('as recorded (%s) is who he is, and nothing else is taken over', (golden, facts) => {
    expect(parseUser(recorded(golden))).toEqual(facts);
  });

  it.each([
    ['<GID>1</GID><GROUPS><ID>1</ID><ID>100</ID></GROUPS>', [1, 100]],
    ['<GID>100</GID><GROUPS><ID>1</ID><ID>100</ID></GROUPS>', [100, 1]],
    ['<GID>100</GID><GROUPS></GROUPS>', [100]],
    ['<GID>100</GID>', [100]],
    [`<GID>0</GID><GROUPS>${'<ID>1</ID>'.repeat(5000)}</GROUPS>`, [0, 1]],
  ])('of %.60s has his primary group first, and each once', (groups, gids) => {
    expect(parseUser(user(`<ID>2</ID>${groups}<NAME>alice</NAME>`)).gids).toEqual(gids);
  });

  const loginToken = (token: string, egid: string) =>
    `<LOGIN_TOKEN><TOKEN>${token}</TOKEN><EXPIRATION_TIME>1</EXPIRATION_TIME>${egid}</LOGIN_TOKEN>`;
  const tokens =
    loginToken('for-all', '<EGID>-1</EGID>') +
    loginToken('limited', '<EGID>100</EGID>') +
    loginToken('to-oneadmin', '<EGID>0</EGID>') +
    loginToken('a&amp;&lt;b>', '<EGID>101</EGID>') +
    loginToken('', '<EGID>102</EGID>');

  it.each([
    ['for-all', undefined],
    ['limited', 100],
    ['to-oneadmin', 0],
    ['a&<b>', 101],
    ['LIMITED', undefined],
    ['alicepw', undefined],
    ['100', undefined],
    ['', undefined],
    ['toString', undefined],
    [undefined, undefined],
  ])('who logged in with %j is limited to the group of that login token: %s', (secret, egid) => {
    expect(parseUser(user(alice + tokens), secret).egid).toBe(egid);
  });

  it.each([
    '',
    '<EGID></EGID>',
    '<EGID>-2</EGID>',
    '<EGID>x</EGID>',
    '<EGID>1 </EGID>',
    '<EGID>4294967296</EGID>',
  ])('is nonsense where nobody can tell what the login token that he used is limited to: %s', (egid) => {
    const xml = user(alice + loginToken('used', egid) + loginToken('other', '<EGID>1</EGID>'));
    expect(() => parseUser(xml, 'used')).toThrow(expect.objectContaining({ code: 'oned-nonsense' }));
    expect(parseUser(xml, 'other').egid).toBe(1);
  });

  it.each([
    ['a login token of two texts', loginToken('a</TOKEN><TOKEN>b', '<EGID>1</EGID>')],
    ['thousands of login tokens', loginToken('x', '<EGID>1</EGID>').repeat(1001)],
  ])('is disabled all the same, whatever he wrote into himself: %s', (_what, written) => {
    const xml = user(`${alice}<ENABLED>0</ENABLED>${written}`);
    expect(parseUser(xml)).toEqual({ uid: 2, name: 'alice', gids: [1], enabled: false });
    // Of what he logged in with nobody can say what it is limited to.
    expect(() => parseUser(xml, 'alicepw')).toThrow(expect.objectContaining({ code: 'oned-nonsense' }));
  });

  it.each([
    ['<ENABLED>1</ENABLED>', true],
    ['<ENABLED>0</ENABLED>', false],
    ['<ENABLED>YES</ENABLED>', undefined],
    ['', undefined],
  ])('may log in with %j: %s', (element, enabled) => {
    expect(parseUser(user(alice + element)).enabled).toBe(enabled);
  });

  it.each([
    '<TEMPLATE><TEMPLATE><A>x</A></TEMPLATE></TEMPLATE>',
    '<TEMPLATE><A>\x1b &nbsp; ]]></A><1B/><GROUPS><ID>0</ID></GROUPS><ENABLED>1</ENABLED></TEMPLATE>',
    '<TEMPLATE><A></A></TEMPLATE><TEMPLATE><A></A></TEMPLATE>',
    `<TEMPLATE>${'<A>x</A>'.repeat(50_000)}</TEMPLATE>`,
  ])('is not made unreadable by what he writes into his template (%#)', (template) => {
    const plain = user(`${alice}<ENABLED>0</ENABLED>`);
    expect(parseUser(user(`${alice}<ENABLED>0</ENABLED>${template}`))).toEqual(parseUser(plain));
  });

  it.each([
    '<GROUPS><ID>0</ID></GROUPS>',
    '<ENABLED>1</ENABLED>',
    '<ID>0</ID>',
    '<GID>0</GID>',
    '<NAME>root</NAME>',
  ])('is nonsense where a second %s comes from there', (more) => {
    const xml = user(`${alice}<ENABLED>0</ENABLED><TEMPLATE><A></A></TEMPLATE>${more}<TEMPLATE></TEMPLATE>`);
    expect(() => parseUser(xml)).toThrow(expect.objectContaining({ code: 'oned-nonsense' }));
  });

  it('of thousands of groups has a thousand', () => {
    const groups = Array.from({ length: 5000 }, (_none, gid) => `<ID>${gid + 1}</ID>`).join('');
    const xml = user(`<ID>2</ID><GID>1</GID><GROUPS>${groups}</GROUPS><NAME>alice</NAME>`);
    expect(parseUser(xml).gids).toHaveLength(1000);
  });

  it.each([
    ['nothing', ''],
    ['another element', `<VM>${alice}</VM>`],
    ['half a document', user(alice).slice(0, -5)],
    ['no ID', user(alice.replace('<ID>2</ID>', ''))],
    ['an ID that is no number', user(alice.replace('<ID>2</ID>', '<ID>x</ID>'))],
    ['a negative ID', user(alice.replace('<ID>2</ID>', '<ID>-1</ID>'))],
    ['no GID', user(alice.replace('<GID>1</GID>', ''))],
    ['a group that is no number', user(alice.replace('<GROUPS><ID>1', '<GROUPS><ID>x'))],
    ['no NAME', user(alice.replace('<NAME>alice</NAME>', ''))],
    ['an empty NAME', user(alice.replace('alice', ''))],
    ['a NAME without an end', user(alice.replace('alice', 'x'.repeat(300)))],
  ])('is nonsense with %s', (_what, xml) => {
    expect(() => parseUser(xml)).toThrow(expect.objectContaining({ code: 'oned-nonsense' }));
  });
});
