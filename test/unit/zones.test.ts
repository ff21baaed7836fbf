// Services of two zones that share a store and its bus. What always holds: one neither opens, shows, ends nor counts
// what is the other's, though their VMs and users have the same ids and names.
import { describe, expect, it } from 'vitest';
import { issued } from '../../src/tokens/rules.ts';
import type { Zone } from '../../src/tokens/zone.ts';
import { buildGate, CountingStore, refusal, type Stage, settle, TestBus, TTL_MS } from '../support/gate.ts';

const zones = {
  master: { id: 0, endpoint: 'endpoint-number1' },
  slave: { id: 101, endpoint: 'endpoint-number2' },
};
const everybody = { user: undefined };

/** Two services of the master's zone and one of the slave's. */
function cloud() {
  const store = new CountingStore();
  const bus = new TestBus();
  const gateOf = (zone: Zone): Stage =>
    buildGate({ store, bus: bus.connect(), zone: { ...zone, alone: false }, rules: { sessions: 'shared' } });
  return { store, bus, here: gateOf(zones.master), beside: gateOf(zones.master), there: gateOf(zones.slave) };
}

describe('a token of another zone', () => {
  it('is one that nobody knows, after the same one operation of the store', async () => {
    const { store, here, beside, there } = cloud();
    const token = await here.token({ zone: zones.master });
    store.operations.length = 0;
    const foreign = await refusal(there.open(token));
    const unknown = await refusal(there.open('x'.repeat(25)));
    await settle();
    expect([foreign.code, foreign.publicText]).toEqual([unknown.code, unknown.publicText]);
    expect(foreign.detail).toBe('token: other zone');
    expect(store.operations).toEqual(['update', 'update']);
    // It was no use of the token.
    await beside.open(token);
  });

  it.each<[string, Zone | undefined]>([
    ['from before zones were written down', undefined],
    ['of a service that did not know its zone, at another oned', { endpoint: 'endpoint-number3' }],
  ])('%s, is refused as well', async (_what, zone) => {
    const { here } = cloud();
    expect((await refusal(here.open(await here.token({ zone })))).code).toBe('token-not-valid');
  });

  it('is neither shown nor ended, nor are sessions on it', async () => {
    const { here, there } = cloud();
    const own = await there.token({ zone: zones.slave });
    const unused = await there.token({ zone: zones.slave });
    const place = there.place();
    await there.open(own, '192.0.2.1', place);
    expect(await here.revocation.tokens(100)).toEqual([]);
    expect(await here.revocation.allSessions(100)).toEqual([]);
    expect(await here.revocation.sessionsOfVm(7, everybody)).toEqual([]);
    expect(await here.revocation.revokeVm(7, everybody, 'alice')).toBe(0);
    expect(await here.revocation.revokeSelected({ user: 'alice' }, 100, 'alice')).toBe(0);
    expect(await here.revocation.revokeSelected({}, 100, 'alice')).toBe(0);
    await settle();
    expect(place.ended).toEqual([]);
    expect(await there.revocation.tokens(100)).toHaveLength(2);
    expect(await there.revocation.allSessions(100)).toHaveLength(1);
    await there.open(unused);
    expect(await there.revocation.revokeVm(7, everybody, 'alice')).toBe(2);
  });

  it('that the store has forgotten is ended by hosts of its zone alone', async () => {
    const { store, here, beside, there } = cloud();
    const places = [beside.place(), there.place()];
    await beside.open(await beside.token({ zone: zones.master }), '192.0.2.1', places[0]);
    await there.open(await there.token({ zone: zones.slave }), '192.0.2.1', places[1]);
    store.time += 10 ** 9;
    for (const revoke of [
      () => here.revocation.revokeVm(7, everybody, 'alice'),
      () => here.revocation.revokeSelected({}, 100, 'alice'),
    ]) {
      await revoke();
      await settle();
      expect(places.map(({ ended }) => ended.length)).toEqual([1, 0]);
    }
  });

  it('that was its own when its session began is ended with it', async () => {
    const { here } = cloud();
    const place = here.place();
    const token = await here.token({ zone: zones.master });
    await here.open(token, '192.0.2.1', place);
    // The operator has set another zone_id since.
    const later = buildGate({ store: here.store, zone: { ...zones.slave, alone: false } });
    for (const session of here.sessions.all()) later.sessions.add(session);
    expect(await later.revocation.allSessions(100)).toHaveLength(1);
    expect(await later.revocation.revokeVm(7, everybody, 'alice')).toBe(1);
    expect(place.ended).toMatchObject([{ code: 4002 }]);
  });

  it('does not count for the limit of a VM', async () => {
    const { store } = cloud();
    const create = (zone: Zone, maxOfVm: number) => {
      const target = { host: '127.0.0.1', port: 5900 };
      const times = { issuedAt: store.now(), expiresAt: store.now() + TTL_MS };
      const record = issued({ zone, vmId: 7, uid: 2, user: 'alice', target, ...times });
      return store.create(record, { maxOfVm, forWebsockify: false });
    };
    await create(zones.slave, 1);
    await create(zones.master, 2);
    await create(zones.master, 2);
    expect((await refusal(create(zones.master, 2))).code).toBe('too-many-tokens');
    expect((await refusal(create(zones.slave, 1))).code).toBe('too-many-tokens');
  });
});
