// The upkeep of live sessions: leases renewed every 20 s, what the store says at that carried out, and age watched.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { end } from '../../src/tokens/rules.ts';
import { hashToken, type Token } from '../../src/tokens/token.ts';
import { buildGate, CountingStore, end as sessionEnd, settle } from '../support/gate.ts';

afterEach(() => {
  vi.useRealTimers();
});

describe('leases', () => {
  it('are renewed every 20 seconds, so that a console stays open as long as somebody is on it', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const stage = buildGate({ rules: { maxAgeMs: undefined } });
    const token = await stage.token();
    const id = await stage.open(token);
    stage.upkeep.start();
    const tick = async (ms: number) => {
      stage.store.time += ms;
      await vi.advanceTimersByTimeAsync(ms);
      await settle();
    };
    stage.store.operations.length = 0;
    await tick(19_999);
    expect(stage.store.operations).toEqual([]);
    await tick(1);
    expect(stage.store.operations).toEqual(['update']);
    for (let i = 0; i < 30; i++) await tick(20_000);
    expect(await stage.leases()).toEqual([id]);
    await stage.upkeep.stop();
    for (let i = 0; i < 3; i++) await tick(20_000);
    expect(await stage.leases()).toEqual([]);
  });

  it('tell the store how much was relayed, asked of each place once', async () => {
    const stage = buildGate({ rules: { sessions: 'shared' } });
    const token = await stage.token();
    const place = stage.place();
    const ids = [await stage.open(token, '192.0.2.1', place), await stage.open(token, '192.0.2.2', place)];
    place.bytes = new Map(ids.map((id, i) => [id, 1000 + i]));
    const traffic = vi.spyOn(place, 'traffic');
    await stage.upkeep.renewAll();
    expect(traffic).toHaveBeenCalledTimes(1);
    const [stored] = await stage.store.list(1);
    expect(stored?.record.use?.leases.map(({ bytes }) => bytes).toSorted()).toEqual([1000, 1001]);
  });

  it('that are renewed while the last renewal is under way are not asked for twice', async () => {
    const stage = buildGate();
    await stage.open(await stage.token());
    stage.store.operations.length = 0;
    await Promise.all([stage.upkeep.renewAll(), stage.upkeep.renewAll()]);
    expect(stage.store.operations).toEqual(['update']);
    await stage.upkeep.renewAll();
    expect(stage.store.operations).toEqual(['update', 'update']);
  });

  it('of a session that ends in the middle of a renewal do not come back', async () => {
    const stage = buildGate();
    const id = await stage.open(await stage.token());
    let once = true;
    stage.store.before = async () => {
      if (!once) return;
      once = false;
      stage.gate.closed(id, sessionEnd);
      await settle();
    };
    await stage.upkeep.renewAll();
    expect(await stage.leases()).toEqual([]);
  });
});

describe('a store that cannot be reached', () => {
  it('ends nothing, is told once in the log, and when it is back the leases are too', async () => {
    const stage = buildGate();
    const place = stage.place();
    const id = await stage.open(await stage.token(), '192.0.2.1', place);
    stage.store.down = true;
    for (let i = 0; i < 5; i++) await stage.upkeep.renewAll();
    stage.upkeep.endOld();
    // Longer than a lease, and within the time of grace.
    stage.store.time += 100_000;
    expect(place.ended).toEqual([]);
    expect(stage.log.filter((line) => line.includes('leases cannot be renewed'))).toHaveLength(1);
    stage.store.down = false;
    expect(await stage.leases()).toEqual([]);
    await stage.upkeep.renewAll();
    expect(await stage.leases()).toEqual([id]);
    expect(place.ended).toEqual([]);
    stage.store.down = true;
    await stage.upkeep.renewAll();
    expect(stage.log.filter((line) => line.includes('leases cannot be renewed'))).toHaveLength(2);
  });

  it('ends nothing either when it comes back empty', async () => {
    const stage = buildGate();
    const place = stage.place();
    await stage.open(await stage.token(), '192.0.2.1', place);
    stage.store.time += 1_000_000;
    await stage.upkeep.renewAll();
    expect(await stage.store.list(10)).toEqual([]);
    expect(place.ended).toEqual([]);
    expect(stage.log).toEqual([]);
  });

  it('does not hold up the end of the service with what was to be renewed', async () => {
    const stage = buildGate({
      rules: { sessions: 'shared' },
      limits: { perVm: 1000, perUser: 1000, perAddress: 1000 },
    });
    const token = await stage.token();
    const ids = [];
    for (let i = 0; i < 200; i++) ids.push(await stage.open(token));
    const before = stage.store.operations.length;
    let answer = () => {};
    const slow = new Promise<void>((resolve) => {
      answer = resolve;
    });
    stage.store.before = () => slow;
    void stage.upkeep.renewAll();
    await settle();
    const stopped = stage.upkeep.stop();
    answer();
    await stopped;
    // Those that were under way, and none of those that waited.
    expect(stage.store.operations.length - before).toBeLessThanOrEqual(32);
  });
});

describe('what the store says at a renewal', () => {
  it.each([
    ['revoked', 4002],
    ['vm-gone', 4004],
  ] as const)('%s: the session ends with %i, though no message came', async (why, code) => {
    const stage = buildGate();
    const token = await stage.token();
    const place = stage.place();
    await stage.open(token, '192.0.2.1', place);
    const key = { hash: hashToken(token) };
    await stage.store.update(key, (record, now) => end(record, why, stage.rules, now));
    expect(place.ended).toEqual([]);
    await stage.upkeep.renewAll();
    expect(place.ended).toMatchObject([{ code }]);
    expect(stage.sessions.size).toBe(0);
  });

  it('taken over on a host that cannot be heard: the session ends with 4001', async () => {
    const store = new CountingStore();
    const [here, there] = [buildGate({ store }), buildGate({ store })];
    const token = await here.token();
    const place = here.place();
    await here.open(token, '192.0.2.1', place);
    const two = await there.open(token);
    await here.upkeep.renewAll();
    expect(place.ended).toMatchObject([{ code: 4001 }]);
    await there.upkeep.renewAll();
    expect(await there.leases()).toEqual([two]);
    expect(there.sessions.size).toBe(1);
  });
});

describe('age', () => {
  it('ends a session with 4003 when its token is too old, to the millisecond of the store, and no other', async () => {
    const stage = buildGate({ rules: { maxAgeMs: 100_000 } });
    const place = stage.place();
    const token: Token = await stage.token();
    await stage.open(token, '192.0.2.1', place);
    stage.store.time += 50_000;
    const other = stage.place();
    await stage.open(await stage.token(), '192.0.2.1', other);
    stage.store.time += 49_999;
    stage.upkeep.endOld();
    expect(place.ended).toEqual([]);
    stage.store.time += 1;
    stage.upkeep.endOld();
    expect(place.ended).toMatchObject([{ code: 4003, reason: 'The time for this console is over' }]);
    expect(other.ended).toEqual([]);
    expect(stage.sessions.size).toBe(1);
  });

  it('is no matter where there is no limit', async () => {
    const stage = buildGate({ rules: { maxAgeMs: undefined } });
    const place = stage.place();
    await stage.open(await stage.token(), '192.0.2.1', place);
    stage.store.time += 10 ** 10;
    stage.upkeep.endOld();
    expect(place.ended).toEqual([]);
  });
});
