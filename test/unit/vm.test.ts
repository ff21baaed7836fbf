// The VM's XML, recorded from a real oned and built with what users write. What always holds: texts are taken as
// they stand, the last history record tells the host, and what is no VM is nonsense, never a crash.
import { describe, expect, it } from 'vitest';
import { placeOf } from '../../src/console/policy.ts';
import { GatewayError } from '../../src/errors.ts';
import { parseVm } from '../../src/oned/vm.ts';
import { parseVmPool } from '../../src/oned/vm-pool.ts';
import { readGolden } from '../support/oned.ts';
import { type Vm, vmXml } from '../support/vm.ts';

/** The VM inside a recorded reply. */
function recordedVm(name: string): string {
  const value = /<string>([\s\S]*)<\/string>/.exec(readGolden(`oned/${name}.response`).toString('utf8'))?.[1];
  const names: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
  return (value ?? '').replace(/&(lt|gt|quot|apos|amp);/g, (_entity, entity: string) => names[entity] ?? '');
}

describe('a recorded VM', () => {
  it.each([
    ['vm.info.00-run-vnc.oneadmin', 3, 3, '127.0.0.1', 'VNC', '5901', 'secret12'],
    ['vm.info.01-run-vnc-nopasswd.oneadmin', 3, 3, '127.0.0.1', 'VNC', '5902', ''],
    ['vm.info.02-run-spice.oneadmin', 3, 3, '127.0.0.1', 'SPICE', '5903', 'spicepw'],
    ['vm.info.06-alice-run-vnc.alice', 3, 3, '127.0.0.1', 'VNC', '5911', 'alicepw1'],
    ['vm.info.08-pending-vnc.oneadmin', 1, 0, undefined, 'VNC', '5920', 'secret12'],
    ['vm.info.10-poweroff-vnc.oneadmin', 8, 0, '127.0.0.1', 'VNC', '5940', 'secret12'],
    ['vm.info.13-undeployed-vnc.oneadmin', 9, 0, '127.0.0.1', 'VNC', undefined, 'secret12'],
    ['vm.info.15-migrated-live-vnc.oneadmin', 3, 3, 'localhost', 'VNC', '5950', 'secret12'],
    ['encrypted-passwd.alice.default', 3, 3, '127.0.0.1', 'VNC', '5991', 'Xb/OyOPb1gLlG4zcJbANcQ=='],
  ])('%s: STATE %i, LCM_STATE %i, on %s, %s at %s', (name, state, lcmState, host, type, port, password) => {
    const graphics = { type, port, password, listen: '0.0.0.0' };
    expect(parseVm(recordedVm(name))).toMatchObject({ state, lcmState, host, graphics });
  });

  it.each([
    ['vm.info.00-run-vnc.oneadmin', 0, 0, 0],
    ['vm.info.06-alice-run-vnc.alice', 6, 2, 1],
    ['vm.info.15-migrated-live-vnc.oneadmin', 15, 0, 0],
  ])('%s: ID %i, of user %i and group %i, for the owner alone', (name, id, uid, gid) => {
    const none = { use: false, manage: false };
    const permissions = { owner: { use: true, manage: true }, group: none, other: none };
    expect(parseVm(recordedVm(name))).toMatchObject({ id, uid, gid, permissions });
  });

  it('without graphics has none', () => {
    expect(parseVm(recordedVm('vm.info.03-run-nographics.oneadmin')).graphics).toEqual({
      type: '',
      listen: '',
      port: undefined,
      password: '',
    });
  });

  it('that migrated is where its last history record says', () => {
    const xml = recordedVm('vm.info.15-migrated-live-vnc.oneadmin');
    const hosts = [...xml.matchAll(/<HOSTNAME>(?:<!\[CDATA\[)?([^<\]]+)/g)].map(([, host]) => host);
    expect(new Set(hosts).size).toBeGreaterThan(1);
    expect(parseVm(xml).host).toBe(hosts.at(-1));
  });
});

describe('the host', () => {
  it.each<[readonly string[], string | undefined]>([
    [[], undefined],
    [['a'], 'a'],
    [['a', 'b'], 'b'],
    [['a', 'b', 'a', 'c'], 'c'],
    [['a', ''], undefined],
  ])('of the history %j is %s', (hosts, host) => {
    expect(parseVm(vmXml({ id: 1, hosts })).host).toBe(host);
  });

  it('is unknown without history records', () => {
    const xml = vmXml({ id: 1 }).replace(/<HISTORY_RECORDS>.*<\/HISTORY_RECORDS>/, '');
    expect(parseVm(xml).host).toBeUndefined();
  });

  it('is not one that stands elsewhere, a HISTORY of the user template, say', () => {
    const xml = vmXml({ id: 1, hosts: ['right'] }).replace(
      '<USER_TEMPLATE></USER_TEMPLATE>',
      '<USER_TEMPLATE><HISTORY_RECORDS><HISTORY><HOSTNAME>wrong</HOSTNAME></HISTORY></HISTORY_RECORDS></USER_TEMPLATE>',
    );
    expect(parseVm(xml).host).toBe('right');
  });
});

describe('graphics', () => {
  it.each([
    '00123',
    '1e5',
    ' a&b ',
    ']]>',
    '<PASSWD>',
    '&amp;',
    '&#0;',
    'pässwörd',
    '世界',
    '0',
    'true',
    '  ',
    '',
  ])('with the password %j have just that', (PASSWD) => {
    expect(parseVm(vmXml({ id: 1, graphics: { PASSWD } })).graphics.password).toBe(PASSWD);
  });

  it.each([
    ['a&amp;b', 'a&b'],
    ['&lt;x&gt;', '<x>'],
    ['&#48;&#x30;1', '001'],
  ])('may have their password %s without CDATA', (written, meant) => {
    const xml = vmXml({ id: 1, graphics: { PASSWD: 'X' } }).replace('<![CDATA[X]]>', written);
    expect(parseVm(xml).graphics.password).toBe(meant);
  });

  it.each([
    [{ PORT: '' }, undefined],
    [{ PORT: '00' }, '00'],
    [{ PORT: ' 22 ' }, ' 22 '],
    [{ PORT: 'x' }, 'x'],
  ])('with %j have the port %j: the policy is to judge', (graphics, port) => {
    expect(parseVm(vmXml({ id: 1, graphics })).graphics.port).toBe(port);
  });

  it('are not those of the user template', () => {
    const xml = vmXml({ id: 1, graphics: null }).replace(
      '<USER_TEMPLATE>',
      '<USER_TEMPLATE><GRAPHICS><TYPE>VNC</TYPE><PORT>22</PORT></GRAPHICS>',
    );
    expect(parseVm(xml).graphics).toEqual({ type: '', listen: '', port: undefined, password: '' });
  });
});

describe('the permissions', () => {
  it.each([
    ['---------', [false, false, false, false, false, false]],
    ['u--------', [true, false, false, false, false, false]],
    ['-m-------', [false, true, false, false, false, false]],
    ['---u-----', [false, false, true, false, false, false]],
    ['----m----', [false, false, false, true, false, false]],
    ['------u--', [false, false, false, false, true, false]],
    ['-------m-', [false, false, false, false, false, true]],
    ['--a--a--a', [false, false, false, false, false, false]],
    ['umaumauma', [true, true, true, true, true, true]],
  ])('%s are read bit by bit', (permissions, bits) => {
    const { owner, group, other } = parseVm(vmXml({ id: 1, permissions })).permissions;
    expect([owner, group, other].flatMap(({ use, manage }) => [use, manage])).toEqual(bits);
  });

  it('are not those of the user template', () => {
    const inside = '<PERMISSIONS><OTHER_U>1</OTHER_U></PERMISSIONS>';
    const xml = vmXml({ id: 1 }).replace('<USER_TEMPLATE>', `<USER_TEMPLATE>${inside}`);
    expect(parseVm(xml).permissions.other.use).toBe(false);
  });
});

describe('nonsense', () => {
  it.each([
    ['nothing', ''],
    ['no XML', 'VM 1'],
    ['half a VM', vmXml({ id: 1 }).slice(0, -10)],
    ['another element', '<VMS></VMS>'],
    ['no STATE', vmXml({ id: 1 }).replace(/<STATE>3<\/STATE>/, '')],
    ['an empty STATE', vmXml({ id: 1 }).replace(/<STATE>3</, '<STATE><')],
    ['a STATE that is no number', vmXml({ id: 1 }).replace(/<STATE>3</, '<STATE>3x<')],
    ['a negative LCM_STATE', vmXml({ id: 1 }).replace(/<LCM_STATE>3</, '<LCM_STATE>-1<')],
    ['no LCM_STATE', vmXml({ id: 1 }).replace(/<LCM_STATE>3<\/LCM_STATE>/, '')],
    ['no ID', vmXml({ id: 1 }).replace('<ID>1</ID>', '')],
    ['no UID', vmXml({ id: 1 }).replace('<UID>0</UID>', '')],
    ['an empty GID', vmXml({ id: 1 }).replace('<GID>0</GID>', '<GID></GID>')],
    ['a UID that is no number', vmXml({ id: 1 }).replace('<UID>0</UID>', '<UID>-1</UID>')],
    ['a UID beyond an int', vmXml({ id: 1 }).replace('<UID>0</UID>', '<UID>2147483648</UID>')],
    ['no PERMISSIONS', vmXml({ id: 1 }).replace(/<PERMISSIONS>.*<\/PERMISSIONS>/, '')],
    ['a bit missing', vmXml({ id: 1 }).replace('<GROUP_U>0</GROUP_U>', '')],
    ['a bit of another kind', vmXml({ id: 1 }).replace('<GROUP_U>0</GROUP_U>', '<GROUP_U>yes</GROUP_U>')],
    ['a DOCTYPE', `<!DOCTYPE VM [<!ENTITY x "y">]>${vmXml({ id: 1 })}`],
    ['a control character in its ID', vmXml({ id: 1 }).replace('<ID>1<', '<ID>1\x01<')],
    ['two IDs', vmXml({ id: 1 }).replace('<ID>1</ID>', '<ID>1</ID><ID>1</ID>')],
    ['two PERMISSIONS', vmXml({ id: 1 }).replace('<STATE>', '<PERMISSIONS></PERMISSIONS><STATE>')],
    ['two STATEs', vmXml({ id: 1 }).replace('<STATE>', '<STATE>3</STATE><STATE>')],
    ['a UID with an element in it', vmXml({ id: 1 }).replace('<UID>0', '<UID><X/>0')],
    ['tags that cross', vmXml({ id: 1 }).replace('<USER_TEMPLATE>', '<USER_TEMPLATE><A><B></A></B>')],
    ['CDATA without an end', vmXml({ id: 1 }).replace('<USER_TEMPLATE>', '<USER_TEMPLATE><![CDATA[')],
    ['a thousand levels', '<VM>'.repeat(1000) + '</VM>'.repeat(1000)],
  ])('is a VM with %s', (_what, xml) => {
    let thrown: unknown;
    try {
      parseVm(xml);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(GatewayError);
    expect(thrown).toMatchObject({ code: 'oned-nonsense', oneCode: 0x2000 });
  });
});

describe('what nobody reads', () => {
  it.each([
    ['a driver message with colours', 'ERROR', '<![CDATA[\x1b[31mfailed\x1b[0m\x0c]]>'],
    ['a character that is none', 'ERROR', '<![CDATA[\ufffe\uffff]]>'],
    ['references', 'A', '&#27;&nbsp;&#xFFFE;'],
    ['a bare ampersand', 'A', 'R&D && more <'],
    ['a name that begins with a digit', '_1A', '<1A><![CDATA[x]]></1A>'],
    ['an end of CDATA', 'START_SCRIPT', '<![CDATA[[[ -n $(x) ]]>/dev/null]]>'],
    ['another VM', 'A', '<![CDATA[<VM><ID>2</ID><TEMPLATE></TEMPLATE></VM>]]>'],
    [
      'sections of other names',
      'A',
      '<GRAPHICS><PORT>22</PORT></GRAPHICS><HISTORY_RECORDS><HISTORY/></HISTORY_RECORDS>',
    ],
  ])('may have %s in it', (_what, name, value) => {
    const user = vmXml({ id: 1 }).replace(
      '<USER_TEMPLATE>',
      () => `<USER_TEMPLATE><${name}>${value}</${name}>`,
    );
    expect(parseVm(user)).toEqual(parseVm(vmXml({ id: 1 })));
    if (value.includes('GRAPHICS')) return;
    for (const place of ['DEPLOY_ID', 'MONITORING', 'TEMPLATE']) {
      const xml = vmXml({ id: 1 }).replace(`<${place}>`, () => `<${place}><${name}>${value}</${name}>`);
      expect(parseVm(xml)).toEqual(parseVm(vmXml({ id: 1 })));
    }
  });

  it('may be a hundred thousand attributes', () => {
    const many = Array.from({ length: 100_000 }, (_, index) => `<A${index}><![CDATA[x]]></A${index}>`).join(
      '',
    );
    const xml = vmXml({ id: 1 }).replace('<USER_TEMPLATE>', `<USER_TEMPLATE>${many}`);
    expect(parseVm(xml)).toEqual(parseVm(vmXml({ id: 1 })));
  });
});

/** oned 7.5 writes a value with line breaks and `]]>` as it is, and stores what comes of it if it is well-formed. */
describe('a value that breaks out of its place', () => {
  const graphics = '<GRAPHICS><TYPE>VNC</TYPE><PORT>5911</PORT></GRAPHICS>';
  const history =
    '<HISTORY_RECORDS><HISTORY><OID>0</OID><SEQ>0</SEQ><HOSTNAME>evil</HOSTNAME><HID>0</HID></HISTORY></HISTORY_RECORDS>';
  const vm = (template: string, userTemplate: string) =>
    vmXml({ id: 1, permissions: 'u--u-----' })
      .replace('<TEMPLATE>', () => `<TEMPLATE>${template}`)
      .replace('<USER_TEMPLATE>', () => `<USER_TEMPLATE>${userTemplate}`);
  const broken = [
    // As one.vm.info of oned 7.5 shows it.
    [
      'a section of graphics before the true one',
      `<CONTEXT><FOO><![CDATA[l\n]]></FOO></CONTEXT>${graphics}<CONTEXT><FOO><![CDATA[]]></FOO></CONTEXT>`,
      '',
    ],
    // As its one.vmpool.infoset does.
    [
      'a history before the true one',
      '',
      `<FOO><![CDATA[l\n]]></FOO></USER_TEMPLATE>${history}<USER_TEMPLATE><FOO><![CDATA[]]></FOO>`,
    ],
    ['a second template', '', `</USER_TEMPLATE><TEMPLATE>${graphics}</TEMPLATE><USER_TEMPLATE>`],
    ['a template that ends early', `${graphics}</TEMPLATE><TEMPLATE>`, ''],
    ['graphics in graphics', '<X><GRAPHICS><PORT>1</PORT></GRAPHICS></X>', ''],
  ] as const;

  it.each(broken)(
    'and adds %s leaves a VM without a console, whose rights can be read',
    (_what, template, user) => {
      const facts = parseVm(vm(template, user));
      expect(facts).toMatchObject({ id: 1, state: 3, host: undefined, leaving: undefined });
      expect(facts.graphics).toEqual({ type: '', listen: '', port: undefined, password: '' });
      expect(facts.permissions).toEqual(parseVm(vm('', '')).permissions);
      expect(facts.doubt).toMatch(/^one\.vm\.info returned XML that makes no sense: /);
      expect(() => placeOf(facts, { allowed: [{ first: 1, last: 65535 }], missing: 5900 })).toThrow(
        expect.objectContaining({ code: 'oned-nonsense' }),
      );
    },
  );

  it.each(broken)('and adds %s makes a set of VMs nonsense', (_what, template, user) => {
    const pool = `<VM_POOL>${vmXml({ id: 2 })}${vm(template, user)}</VM_POOL>`;
    expect(() => parseVmPool(pool, [1, 2])).toThrow(expect.objectContaining({ code: 'oned-nonsense' }));
  });

  it('and adds a VM of somebody else makes a set nonsense', () => {
    const other = vmXml({ id: 2, hosts: ['evil'] });
    for (const xml of [
      `${vmXml({ id: 1 })}${other}${vmXml({ id: 2 })}`,
      vmXml({ id: 1 }).replace('</MONITORING>', `${other}</MONITORING>`),
    ])
      expect(() => parseVmPool(`<VM_POOL>${xml}</VM_POOL>`, [1, 2])).toThrow(
        expect.objectContaining({ code: 'oned-nonsense' }),
      );
  });

  it('also where a password has a character that cannot be told', () => {
    const facts = parseVm(vmXml({ id: 1, graphics: { PASSWD: 'a\x01' } }));
    expect(facts).toMatchObject({ host: undefined, doubt: expect.stringContaining('a character') });
  });
});

it('oned keeps the first of several sections of graphics: it was SPICE, then VNC at 5999', () => {
  // TEMPLATE as oned 7.5 answered, of GRAPHICS=[TYPE="SPICE",…] and GRAPHICS=[TYPE="VNC",…,PORT="5999"].
  const template =
    '<TEMPLATE><AUTOMATIC_REQUIREMENTS><![CDATA[!(PIN_POLICY = PINNED)]]></AUTOMATIC_REQUIREMENTS><CPU><![CDATA[0.1]]></CPU>' +
    '<GRAPHICS><LISTEN><![CDATA[0.0.0.0]]></LISTEN><PASSWD><![CDATA[a]]></PASSWD><TYPE><![CDATA[SPICE]]></TYPE></GRAPHICS>' +
    '<MEMORY><![CDATA[64]]></MEMORY><VMID><![CDATA[4]]></VMID></TEMPLATE>';
  const xml = vmXml({ id: 4 }).replace(/<TEMPLATE>.*<\/TEMPLATE>/, () => template);
  expect(parseVm(xml).graphics).toEqual({ type: 'SPICE', listen: '0.0.0.0', port: undefined, password: 'a' });
});

describe('the place that a VM is on its way from', () => {
  const from = { host: 'node1', cid: 0, rstime: 1_795_295_589 };
  const graphics = { PORT: 5907, PREVIOUS_PORT: 5950 };

  it.each<[string, NonNullable<Vm['hosts']>, ReturnType<typeof parseVm>['leaving']]>([
    [
      'is there while QEMU has not begun to run',
      [from, { host: 'node2', cid: 0, rstime: 0 }],
      { host: 'node1', port: '5907' },
    ],
    [
      'has another port in another cluster',
      [from, { host: 'node2', cid: 1, rstime: 0 }],
      { host: 'node1', port: '5950' },
    ],
    [
      'is the last one but one',
      [{ ...from, host: 'node0' }, from, { host: 'node2', cid: 0, rstime: 0 }],
      { host: 'node1', port: '5907' },
    ],
    ['is over when QEMU runs', [from, { host: 'node2', cid: 1, rstime: 1_795_295_600 }], undefined],
    ['is not told without RSTIME', [from, { host: 'node2', cid: 0 }], undefined],
    ['is not told by the last record alone', [{ host: 'node2', cid: 0, rstime: 0 }], undefined],
    ['is not told where the VM never was anywhere', [], undefined],
  ])('%s', (_what, hosts, leaving) => {
    expect(parseVm(vmXml({ id: 1, hosts, graphics })).leaving).toEqual(leaving);
  });

  it('keeps its port in another cluster where oned gave none', () => {
    const hosts = [from, { host: 'node2', cid: 1, rstime: 0 }];
    expect(parseVm(vmXml({ id: 1, hosts, graphics: { PORT: 5907 } })).leaving?.port).toBe('5907');
  });

  it('is none in a recorded VM whose migration is over', () => {
    expect(parseVm(recordedVm('vm.info.15-migrated-live-vnc.oneadmin')).leaving).toBeUndefined();
  });
});
