// Which zone a service is of, and which grants are of it. What always holds: ids decide where both are known; else the
// same oned must be behind both, which on loopback of two hosts nobody can say.
import { describe, expect, it } from 'vitest';
import { endpointId, ServiceZone } from '../../src/console/service-zone.ts';
import type { Facts } from '../../src/oned/facts.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import { ENDPOINT_ID, isOfZone, vmNameOf, type Zone } from '../../src/tokens/zone.ts';

const never = new AbortController().signal;

interface World {
  zoneId?: number;
  /** What oned says. */
  knows?: number;
  alone?: boolean;
  service?: SessionString;
}

function serviceZone({ zoneId, knows, alone = false, service }: World) {
  const asked: string[] = [];
  let known: Facts = { encryptsVncPassword: undefined, zoneId: undefined };
  const facts = {
    get known() {
      return known;
    },
    ask: async (session: SessionString) => {
      asked.push(session);
      known = { ...known, zoneId: knows };
      return known;
    },
  };
  const settings = () => ({ url: 'http://oned:2633/RPC2', zoneId });
  return { zone: new ServiceZone({ facts, settings, alone, serviceSession: () => service }), asked };
}

describe('the endpoint', () => {
  it.each<[boolean, string, string]>([
    [true, 'http://oned:2633/RPC2', 'http://ONED.:2633/'],
    [true, 'http://oned/RPC2', 'http://oned:80/RPC2'],
    [true, 'https://oned/RPC2', 'https://oned:443/RPC2'],
    [true, 'http://[2001:DB8::1]:2633/', 'http://[2001:db8:0::1]:2633/'],
    [true, 'http://localhost:2633/RPC2', 'http://localhost:2633/'],
    [false, 'http://oned:2633/RPC2', 'http://oned:2634/RPC2'],
    [false, 'http://oned:2633/RPC2', 'http://oned2:2633/RPC2'],
    [false, 'http://oned/RPC2', 'https://oned/RPC2'],
  ])('same: %s, of %s and %s', (same, one, other) => {
    expect(endpointId(one) === endpointId(other)).toBe(same);
    expect(endpointId(one)).toMatch(ENDPOINT_ID);
  });

  it.each([
    'http://localhost:2633/RPC2',
    'http://127.0.0.1:2633/',
    'http://127.8.8.8/',
    'http://[::1]/',
    'http://oned.localhost/',
  ])('on loopback it is the host’s own: %s', (url) => {
    expect(endpointId(url, 'host1')).not.toBe(endpointId(url, 'host2'));
    expect(endpointId('http://oned:2633/', 'host1')).toBe(endpointId('http://oned:2633/', 'host2'));
  });
});

describe('a service', () => {
  const alice = 'alice:secret' as SessionString;
  const service = 'console:own' as SessionString;
  const endpoint = endpointId('http://oned:2633/RPC2');

  it('is of the zone that oned says, from when a caller was there to ask for him', async () => {
    const { zone } = serviceZone({ knows: 101 });
    expect(zone.stamp).toEqual({ endpoint });
    await zone.learn(alice, never);
    expect(zone.stamp).toEqual({ id: 101, endpoint });
    expect(zone.own).toEqual({ id: 101, endpoint, alone: false });
  });

  it('asks as itself before the first caller comes, where it has a session', async () => {
    const { zone, asked } = serviceZone({ knows: 101, service });
    await Promise.all([zone.learnAsService(), zone.learnAsService()]);
    await zone.learnAsService();
    expect(zone.own.id).toBe(101);
    expect(new Set(asked)).toEqual(new Set([service]));
  });

  it.each<[string, World, number | undefined]>([
    ['was told', { zoneId: 0, knows: 101, service }, 0],
    ['has its tokens to itself', { knows: 101, service, alone: true }, undefined],
  ])('asks nobody where it %s', async (_what, parts, id) => {
    const { zone, asked } = serviceZone(parts);
    await zone.learn(alice, never);
    await zone.learnAsService();
    expect(zone.own.id).toBe(id);
    expect(asked).toEqual([]);
  });

  it('without a session of its own has nobody to ask as', async () => {
    const { zone, asked } = serviceZone({ knows: 101 });
    await zone.learnAsService();
    expect(asked).toEqual([]);
  });
});

const here = 'endpoint-number1';
const there = 'endpoint-number2';

describe('a grant', () => {
  it.each<[string, Zone | undefined, number | undefined, boolean, boolean]>([
    ['of the same zone, issued through another address', { id: 0, endpoint: there }, 0, false, true],
    ['of another zone, behind the same address', { id: 101, endpoint: here }, 0, false, false],
    ['of another zone, in a store of one’s own', { id: 101, endpoint: here }, 0, true, false],
    ['without an id, from the same oned', { endpoint: here }, 0, false, true],
    ['without an id, from another oned', { endpoint: there }, 0, false, false],
    ['without an id, in a store of one’s own', { endpoint: there }, 0, true, true],
    [
      'with an id while one’s own is not known, from the same oned',
      { id: 0, endpoint: here },
      undefined,
      false,
      true,
    ],
    [
      'with an id while one’s own is not known, from another oned',
      { id: 0, endpoint: there },
      undefined,
      false,
      false,
    ],
    ['from before, in a store that others share', undefined, 0, false, false],
    ['from before, in a store of one’s own', undefined, 0, true, true],
  ])('%s', (_what, zone, id, alone, isOurs) => {
    expect(isOfZone(zone, { id, endpoint: here, alone })).toBe(isOurs);
  });

  it('names its VM together with the zone', () => {
    const names = [{ id: 0, endpoint: here }, { id: 10, endpoint: here }, { endpoint: here }, undefined].map(
      (zone) => [1, 11].map((vmId) => vmNameOf({ zone, vmId })),
    );
    expect(new Set(names.flat()).size).toBe(8);
  });
});
