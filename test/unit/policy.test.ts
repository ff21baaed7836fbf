// Which VMs have a console. What always holds: the list of states is OpenNebula's own, and nothing that a user writes
// into GRAPHICS leads anywhere but to a port that the operator allows.
import { describe, expect, it } from 'vitest';
import { targetOf } from '../../src/console/policy.ts';
import { GatewayError } from '../../src/errors.ts';
import type { VmFacts } from '../../src/oned/vm.ts';

const defaultPorts = [{ first: 5900, last: 65535 }];

/** A running VM with a console. */
function vm(facts: Partial<VmFacts> = {}, graphics: Partial<VmFacts['graphics']> = {}): VmFacts {
  return {
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
  const all = Array.from({ length: 76 }, (_value, lcmState) => lcmState);

  it.each(capable)('ACTIVE with LCM_STATE %i has a console', (lcmState) => {
    expect(targetOf(vm({ lcmState }), defaultPorts)).toEqual({ host: 'node1', port: 5907 });
  });

  it.each(all.filter((lcmState) => !capable.includes(lcmState)))(
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
    [undefined, 5900],
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
    [undefined, false],
  ])('%s is judged by every range of console_ports: %s', (port, allowed) => {
    const ports = [
      { first: 5901, last: 5905 },
      { first: 7000, last: 7000 },
    ];
    if (allowed) expect(targetOf(vm({}, { port }), ports).port).toBe(Number(port));
    else
      expect(refusalOf(vm({}, { port }), ports)[0]).toBe(
        `Graphics port '${port ?? 5900}' is not in console_ports`,
      );
  });

  it('leads nowhere where no port is allowed', () => {
    expect(refusalOf(vm(), [])[1]).toBe(0x0400);
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
