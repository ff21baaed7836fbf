// The VM's XML, recorded from a real oned and built with what users write. What always holds: texts are taken as
// they stand, the last history record tells the host, and what is no VM is nonsense, never a crash.
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { parseVm } from '../../src/oned/vm.ts';
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
    ['a control character', vmXml({ id: 1, graphics: { PASSWD: 'a\x01' } })],
    ['a reference beyond Unicode', vmXml({ id: 1 }).replace('127.0.0.1', '&#x110000;')],
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
