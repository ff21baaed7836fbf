// What present settings leave of a grant that was issued under others: never more than either allows.
import { describe, expect, it } from 'vitest';
import { clipboardModes } from '../../src/clipboard.ts';
import { type NarrowSettings, narrow } from '../../src/console/narrow.ts';
import type { Grant, VncGrant } from '../../src/tokens/grant.ts';

const vnc: VncGrant = { sealedPassword: 'sealed', viewOnly: false, clipboard: 'both' };
const target = { host: 'node1', port: 5907 };
const grant = (over: Partial<Grant> = {}): Grant => ({
  ...{ vmId: 7, target, uid: 2, user: 'alice', vnc, issuedAt: 1, expiresAt: 2 },
  ...over,
});
const passed = (over: Partial<Grant> = {}) => grant({ vnc: undefined, ...over });

function settings(
  over: Partial<NarrowSettings['vnc']> = {},
  more: Partial<NarrowSettings> = {},
): NarrowSettings {
  return {
    consolePorts: [{ first: 5900, last: 65_535 }],
    vnc: { auth: 'proxy', clipboard: 'both', viewOnlyWithoutManage: false, ...over },
    requiresSecurity: false,
    ...more,
  };
}

describe('the ports of console_ports', () => {
  const ports = (...consolePorts: NarrowSettings['consolePorts']) => settings({}, { consolePorts });

  it.each([
    ['the first', [{ first: 5907, last: 6000 }]],
    ['the last', [{ first: 5900, last: 5907 }]],
    [
      'in the second range',
      [
        { first: 1, last: 2 },
        { first: 5907, last: 5907 },
      ],
    ],
  ])('hold one that is %s of them', (_what, consolePorts) => {
    const one = grant();
    expect(narrow(one, ports(...consolePorts))).toBe(one);
  });

  it.each([
    ['above', [{ first: 5900, last: 5906 }]],
    ['below', [{ first: 5908, last: 65_535 }]],
    [
      'between',
      [
        { first: 1, last: 5906 },
        { first: 5908, last: 6000 },
      ],
    ],
    ['no port at all', []],
  ])('refuse one that is not among them any more: %s', (_what, consolePorts) => {
    for (const one of [grant(), passed()])
      expect(() => narrow(one, ports(...consolePorts))).toThrow('console_ports: port 5907');
  });

  it('mean where the console is now', () => {
    const moved = grant({ target: { host: 'node2', port: 22 } });
    expect(() => narrow(moved, settings())).toThrow('console_ports: port 22');
  });
});

describe('the clipboard', () => {
  it.each(clipboardModes.flatMap((one) => clipboardModes.map((other) => [one, other] as const)))(
    'of a grant with %s under %s is what both allow',
    (granted, set) => {
      const left = narrow(grant({ vnc: { ...vnc, clipboard: granted } }), settings({ clipboard: set }));
      const allows = (mode: string, way: string) => mode === 'both' || mode === way;
      for (const way of ['to_vm', 'from_vm'])
        expect(allows(left.vnc?.clipboard ?? '', way), way).toBe(allows(granted, way) && allows(set, way));
    },
  );

  it('stays as narrow as it was where the setting has become wider, also with vnc_auth: pass', () => {
    const narrowest = grant({ vnc: { ...vnc, clipboard: 'off', viewOnly: true } });
    expect(narrow(narrowest, settings())).toBe(narrowest);
    expect(narrow(narrowest, settings({ auth: 'pass' }))).toBe(narrowest);
  });
});

describe('view_only_without_manage', () => {
  it.each([
    [true, false],
    [false, true],
    [undefined, true],
  ])('of a grant that says of MANAGE %s makes view only %s', (manages, viewOnly) => {
    const left = narrow(grant({ manages }), settings({ viewOnlyWithoutManage: true }));
    expect(left.vnc).toEqual({ ...vnc, viewOnly });
    expect(narrow(grant({ manages }), settings()).vnc).toEqual(vnc);
  });

  it('takes nothing away from a grant that is for looking only', () => {
    const one = grant({ manages: true, vnc: { ...vnc, viewOnly: true } });
    expect(narrow(one, settings({ viewOnlyWithoutManage: true })).vnc?.viewOnly).toBe(true);
  });
});

describe('a grant whose browser answers the VNC server', () => {
  it.each<[what: string, settings: NarrowSettings, over?: Partial<Grant>]>([
    ['nothing has changed', settings({ auth: 'pass' })],
    ['the service would answer now, and keep nothing back', settings()],
    ['who may only look has MANAGE', settings({ viewOnlyWithoutManage: true }), { manages: true }],
    ['a rule requires what nobody looks at', settings({ auth: 'pass' }, { requiresSecurity: true })],
  ])('stays as it is where %s', (_what, now, over) => {
    const one = passed(over);
    expect(narrow(one, now)).toBe(one);
  });

  it.each<[setting: string, settings: NarrowSettings]>([
    ['clipboard', settings({ clipboard: 'off' })],
    ['clipboard', settings({ clipboard: 'to_vm' })],
    ['view_only_without_manage', settings({ viewOnlyWithoutManage: true })],
    ['targets (require)', settings({}, { requiresSecurity: true })],
  ])('is refused under a narrower %s, which nobody would keep', (setting, now) => {
    expect(() => narrow(passed(), now)).toThrow(`${setting}: the token was issued under vnc_auth: pass`);
  });
});
