// Which VMs have a console. What always holds: the list of states is OpenNebula's own, and nothing that a user writes
// into GRAPHICS leads anywhere but to a port that the operator allows.
import { describe, expect, it } from 'vitest';
import {
  type ConsolePorts,
  consoleStateOf,
  isMigrating,
  placeOf,
  presentPlaceOf,
  targetOf,
} from '../../src/console/policy.ts';
import { GatewayError } from '../../src/errors.ts';
import type { VmFacts } from '../../src/oned/vm.ts';

const defaultPorts: ConsolePorts = { allowed: [{ first: 5900, last: 65535 }], missing: undefined };

const all = { use: true, manage: true };
const none = { use: false, manage: false };

/** A running VM with a console. */
function vm(facts: Partial<VmFacts> = {}, graphics: Partial<VmFacts['graphics']> = {}): VmFacts {
  return {
    ...{ id: 1, uid: 0, gid: 0, permissions: { owner: all, group: none, other: none } },
    ...{ state: 3, lcmState: 3, host: 'node1' },
    graphics: { type: 'VNC', listen: '0.0.0.0', port: '5907', password: '', ...graphics },
    ...facts,
  };
}

function refusalOf(facts: VmFacts, ports = defaultPorts): [text: string, code: number] {
  try {
    targetOf(facts, ports);
  } catch (error) {
    if (error instanceof GatewayError) return [error.publicText, error.oneCode];
    throw error;
  }
  throw new Error('it was not refused');
}

describe('the state', () => {
  const capable = [3, 4, 12, 13, 16, 17, 18, 24, 25, 26, 27, 28, 29, 57, 58, 62, 69];
  const numbers = Array.from({ length: 76 }, (_value, lcmState) => lcmState);

  it.each(capable)('ACTIVE with LCM_STATE %i has a console', (lcmState) => {
    expect(targetOf(vm({ lcmState }), defaultPorts)).toEqual({ host: 'node1', port: 5907 });
  });

  it.each(numbers.filter((lcmState) => !capable.includes(lcmState)))(
    'ACTIVE with LCM_STATE %i has none',
    (lcmState) => {
      expect(refusalOf(vm({ lcmState }))).toEqual([
        `Unsupported VM state! STATE:3 LCM_STATE:${lcmState}`,
        0x0800,
      ]);
    },
  );

  it.each([0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12])('%i has none, whatever LCM_STATE says', (state) => {
    for (const lcmState of [0, 3, 16])
      expect(refusalOf(vm({ state, lcmState }))).toEqual([
        `Unsupported VM state! STATE:${state} LCM_STATE:${lcmState}`,
        0x0800,
      ]);
  });

  it('is told before anything else that is wrong', () => {
    expect(refusalOf(vm({ state: 8, lcmState: 0, host: undefined }, { type: 'SPICE', port: '22' }))[1]).toBe(
      0x0800,
    );
  });
});

describe('the type', () => {
  it.each(['VNC', 'vnc', 'Vnc', 'vNc'])('%s is VNC', (type) => {
    expect(targetOf(vm({}, { type }), defaultPorts).port).toBe(5907);
  });

  it.each(['SPICE', 'spice', 'SDL', '', 'VNC ', ' VNC', 'VNCX', 'V\u2060NC', '1'])('%j is not', (type) => {
    expect(refusalOf(vm({}, { type }))).toEqual([`Graphics type '${type}' but 'VNC' expected`, 0x0400]);
  });

  it('is quoted in part where it is long', () => {
    expect(refusalOf(vm({}, { type: 'x'.repeat(1000) }))[0].length).toBeLessThan(100);
  });
});

describe('the port', () => {
  it.each([
    ['5900', 5900],
    ['65535', 65535],
    ['05907', 5907],
  ])('%s leads to %i', (port, target) => {
    expect(targetOf(vm({}, { port }), defaultPorts).port).toBe(target);
  });

  it.each([
    '22',
    '0',
    '00',
    '1',
    '5899',
    '65536',
    '99999',
    '100000',
    '-5900',
    '+5900',
    '5900.5',
    '1e4',
    '0x1AF4',
  ])('%s leads nowhere', (port) => {
    expect(refusalOf(vm({}, { port }))).toEqual([`Graphics port '${port}' is not in console_ports`, 0x0400]);
  });

  it.each([' 5900', '5900 ', '5900\n', '5900;22', '５９００', 'NaN', 'Infinity', '5900:22', '22@5900'])(
    '%j is no port',
    (port) => {
      expect(refusalOf(vm({}, { port }))[1]).toBe(0x0400);
    },
  );

  it.each([
    ['5905', true],
    ['5906', false],
    ['7000', true],
    ['7001', false],
  ])('%s is judged by every range of console_ports: %s', (port, allowed) => {
    const ports = {
      allowed: [
        { first: 5901, last: 5905 },
        { first: 7000, last: 7000 },
      ],
      missing: undefined,
    };
    if (allowed) expect(targetOf(vm({}, { port }), ports).port).toBe(Number(port));
    else
      expect(refusalOf(vm({}, { port }), ports)[0]).toBe(`Graphics port '${port}' is not in console_ports`);
  });

  it('leads nowhere where no port is allowed', () => {
    expect(refusalOf(vm(), { allowed: [], missing: undefined })[1]).toBe(0x0400);
  });

  it('is missing: no console, for any port may be somebody else’s', () => {
    expect(refusalOf(vm({}, { port: undefined }))).toEqual([
      'The VM has no GRAPHICS/PORT (see default_console_port)',
      0x0400,
    ]);
  });

  it.each<[string | undefined, number | undefined]>([
    [undefined, 5901],
    ['5907', 5907],
    ['0', undefined],
    ['-1', undefined],
    [' ', undefined],
    ['22', undefined],
    ['auto', undefined],
  ])('with default_console_port, %j leads to %s', (port, target) => {
    const ports = { ...defaultPorts, missing: 5901 };
    if (target !== undefined) expect(targetOf(vm({}, { port }), ports).port).toBe(target);
    else expect(refusalOf(vm({}, { port }), ports)[1]).toBe(0x0400);
  });

  it('that is the default has to be allowed as well', () => {
    expect(refusalOf(vm({}, { port: undefined }), { ...defaultPorts, missing: 22 })).toEqual([
      "Graphics port '22' is not in console_ports",
      0x0400,
    ]);
  });
});

describe('the host', () => {
  it.each(['node1', 'node-1.example.org', '192.0.2.7', '2001:db8::7', 'NODE_1', 'n'.repeat(253)])(
    '%s is taken',
    (host) => {
      expect(targetOf(vm({ host }), defaultPorts).host).toBe(host);
    },
  );

  it('is missing: no console', () => {
    expect(refusalOf(vm({ host: undefined }))).toEqual(['The VM has no host', 0x0400]);
  });

  it.each(['a b', 'a\nb: c:1', 'a/b', 'a;b', 'a@b', '[::1]', 'nödé', 'a,b', '$(a)', 'a%b', 'n'.repeat(254)])(
    '%j is refused, and not quoted',
    (host) => {
      expect(refusalOf(vm({ host }))).toEqual([
        "The name of the VM's host has characters that are not accepted",
        0x0400,
      ]);
    },
  );
});

describe('a console that was granted', () => {
  // Names and numbers of include/VirtualMachine.h in OpenNebula's sources.
  const lcmStates: [name: string, lcmState: number, expected: string][] = [
    ['LCM_INIT', 0, 'between'],
    ['PROLOG', 1, 'between'],
    ['BOOT', 2, 'between'],
    ['RUNNING', 3, 'open'],
    ['MIGRATE', 4, 'open'],
    ['SAVE_STOP', 5, 'between'],
    ['SAVE_SUSPEND', 6, 'between'],
    ['SAVE_MIGRATE', 7, 'between'],
    ['PROLOG_MIGRATE', 8, 'between'],
    ['PROLOG_RESUME', 9, 'between'],
    ['EPILOG_STOP', 10, 'over'],
    ['EPILOG', 11, 'over'],
    ['SHUTDOWN', 12, 'open'],
    ['CANCEL', 13, 'open'],
    ['FAILURE', 14, 'between'],
    ['CLEANUP_RESUBMIT', 15, 'over'],
    ['UNKNOWN', 16, 'open'],
    ['HOTPLUG', 17, 'open'],
    ['SHUTDOWN_POWEROFF', 18, 'open'],
    ['BOOT_UNKNOWN', 19, 'between'],
    ['BOOT_POWEROFF', 20, 'between'],
    ['BOOT_SUSPENDED', 21, 'between'],
    ['BOOT_STOPPED', 22, 'between'],
    ['CLEANUP_DELETE', 23, 'over'],
    ['HOTPLUG_SNAPSHOT', 24, 'open'],
    ['HOTPLUG_NIC', 25, 'open'],
    ['HOTPLUG_SAVEAS', 26, 'open'],
    ['HOTPLUG_SAVEAS_POWEROFF', 27, 'open'],
    ['HOTPLUG_SAVEAS_SUSPENDED', 28, 'open'],
    ['SHUTDOWN_UNDEPLOY', 29, 'open'],
    ['EPILOG_UNDEPLOY', 30, 'over'],
    ['PROLOG_UNDEPLOY', 31, 'between'],
    ['BOOT_UNDEPLOY', 32, 'between'],
    ['HOTPLUG_PROLOG_POWEROFF', 33, 'over'],
    ['HOTPLUG_EPILOG_POWEROFF', 34, 'over'],
    ['BOOT_MIGRATE', 35, 'between'],
    ['BOOT_FAILURE', 36, 'between'],
    ['BOOT_MIGRATE_FAILURE', 37, 'between'],
    ['PROLOG_MIGRATE_FAILURE', 38, 'between'],
    ['PROLOG_FAILURE', 39, 'between'],
    ['EPILOG_FAILURE', 40, 'over'],
    ['EPILOG_STOP_FAILURE', 41, 'over'],
    ['EPILOG_UNDEPLOY_FAILURE', 42, 'over'],
    ['PROLOG_MIGRATE_POWEROFF', 43, 'over'],
    ['PROLOG_MIGRATE_POWEROFF_FAILURE', 44, 'over'],
    ['PROLOG_MIGRATE_SUSPEND', 45, 'over'],
    ['PROLOG_MIGRATE_SUSPEND_FAILURE', 46, 'over'],
    ['BOOT_UNDEPLOY_FAILURE', 47, 'between'],
    ['BOOT_STOPPED_FAILURE', 48, 'between'],
    ['PROLOG_RESUME_FAILURE', 49, 'between'],
    ['PROLOG_UNDEPLOY_FAILURE', 50, 'between'],
    ['DISK_SNAPSHOT_POWEROFF', 51, 'over'],
    ['DISK_SNAPSHOT_REVERT_POWEROFF', 52, 'over'],
    ['DISK_SNAPSHOT_DELETE_POWEROFF', 53, 'over'],
    ['DISK_SNAPSHOT_SUSPENDED', 54, 'over'],
    ['DISK_SNAPSHOT_REVERT_SUSPENDED', 55, 'over'],
    ['DISK_SNAPSHOT_DELETE_SUSPENDED', 56, 'over'],
    ['DISK_SNAPSHOT', 57, 'open'],
    ['DISK_SNAPSHOT_REVERT', 58, 'open'],
    ['DISK_SNAPSHOT_DELETE', 59, 'between'],
    ['PROLOG_MIGRATE_UNKNOWN', 60, 'between'],
    ['PROLOG_MIGRATE_UNKNOWN_FAILURE', 61, 'between'],
    ['DISK_RESIZE', 62, 'open'],
    ['DISK_RESIZE_POWEROFF', 63, 'over'],
    ['DISK_RESIZE_UNDEPLOYED', 64, 'over'],
    ['HOTPLUG_NIC_POWEROFF', 65, 'over'],
    ['HOTPLUG_RESIZE', 66, 'between'],
    ['HOTPLUG_SAVEAS_UNDEPLOYED', 67, 'over'],
    ['HOTPLUG_SAVEAS_STOPPED', 68, 'over'],
    ['BACKUP', 69, 'open'],
    ['BACKUP_POWEROFF', 70, 'over'],
    ['RESTORE', 71, 'over'],
    ['one that OpenNebula does not have yet', 72, 'between'],
    ['another one', 999, 'between'],
  ];

  it.each(lcmStates)('is in %s (LCM_STATE %i of an ACTIVE VM) %s', (_name, lcmState, expected) => {
    expect(consoleStateOf({ state: 3, lcmState })).toBe(expected);
  });

  it.each([
    ['INIT', 0],
    ['PENDING', 1],
    ['HOLD', 2],
    ['STOPPED', 4],
    ['SUSPENDED', 5],
    ['DONE', 6],
    ['FAILED', 7],
    ['POWEROFF', 8],
    ['UNDEPLOYED', 9],
    ['CLONING', 10],
    ['CLONING_FAILURE', 11],
  ])('is over in %s (STATE %i), whatever LCM_STATE says', (_name, state) => {
    for (const lcmState of [0, 2, 3, 4]) expect(consoleStateOf({ state, lcmState })).toBe('over');
  });

  it.each([
    [3, 4, true],
    [3, 3, false],
    [3, 8, false],
    [8, 4, false],
  ])('is in a live migration in STATE %i LCM_STATE %i: %s', (state, lcmState, expected) => {
    expect(isMigrating({ state, lcmState })).toBe(expected);
  });

  it('has its place whatever the state is, by the same rules', () => {
    expect(placeOf(vm({ lcmState: 2 }), defaultPorts)).toEqual({ host: 'node1', port: 5907 });
    expect(() => placeOf(vm({ lcmState: 2 }, { port: '22' }), defaultPorts)).toThrow(GatewayError);
  });

  it.each<[string, Partial<VmFacts>, string, number]>([
    ['live', { lcmState: 4 }, 'node0', 5950],
    ['cold or live, in its first moment', { lcmState: 3 }, 'node0', 5950],
    ['cold, while it is saved or shuts down', { lcmState: 7 }, 'node0', 5950],
    ['cold, while its disks move, when its old port may be somebody else’s', { lcmState: 8 }, 'node1', 5907],
    ['cold, while it boots', { lcmState: 35 }, 'node1', 5907],
    ['powered off', { state: 8, lcmState: 0 }, 'node1', 5907],
  ])('runs, in a migration that is not over, %s: at %s', (_how, states, host, port) => {
    const leaving = { host: 'node0', port: '5950' };
    expect(presentPlaceOf(vm({ ...states, leaving }), defaultPorts)).toEqual({ host, port });
    expect(placeOf(vm({ ...states, leaving }), defaultPorts)).toEqual({ host: 'node1', port: 5907 });
  });

  it('runs where it is where it comes from nowhere', () => {
    expect(presentPlaceOf(vm({ lcmState: 4 }), defaultPorts)).toEqual({ host: 'node1', port: 5907 });
  });

  it.each([
    ['node 0', '5950'],
    ['node0', '22'],
    ['node0', undefined],
  ])('comes from a place that is judged by the same rules: %s, %s', (host, port) => {
    const migrating = vm({ lcmState: 4, leaving: { host, port } });
    expect(() => presentPlaceOf(migrating, defaultPorts)).toThrow(GatewayError);
  });
});
