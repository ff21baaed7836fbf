// Revoke: whose tokens and sessions end, what it counts, and that it reaches every worker and every host.
import { describe, expect, it } from 'vitest';
import type { Whose } from '../../src/console/revoke.ts';
import { UNKNOWN_UID } from '../../src/tokens/grant.ts';
import { hashToken } from '../../src/tokens/token.ts';
import { buildGate, CountingStore, end, refusal, type Stage, settle, TestBus } from '../support/gate.ts';
import { startLocalProxy, startWorkerProxy } from '../support/gate-proxy.ts';
import { greetAndEcho, startVncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';

const everybody = { user: undefined };

describe('revoking a VM', () => {
  it('counts tokens: used or not, but none that is dead, nor of another VM', async () => {
    const stage = buildGate({ rules: { graceMs: 1000 } });
    const unused = await stage.token();
    const used = await stage.token();
    const spent = await stage.token();
    const other = await stage.token({ vmId: 8 });
    await stage.open(used);
    stage.gate.closed(await stage.open(spent), end);
    await settle();
    stage.store.time += 1000;
    expect(await stage.revocation.revokeVm(7, everybody, 'bob')).toBe(2);
    expect(await stage.revocation.revokeVm(7, everybody, 'bob')).toBe(0);
    expect(stage.sessions.size).toBe(0);
    for (const token of [unused, used, spent]) {
      expect((await refusal(stage.open(token))).code).toBe('token-not-valid');
    }
    await stage.open(other);
  });

  it('of one user leaves those of others', async () => {
    const stage = buildGate();
    const [own, others] = [await stage.token(), await stage.token({ user: 'bob' })];
    const place = stage.place();
    await stage.open(others, '192.0.2.1', place);
    expect(await stage.revocation.revokeVm(7, { user: 'alice' }, 'alice')).toBe(1);
    expect((await refusal(stage.open(own))).code).toBe('token-not-valid');
    expect(place.ended).toEqual([]);
  });

  it('ends all sessions of a shared token with 4002', async () => {
    const stage = buildGate({ rules: { sessions: 'shared' } });
    const token = await stage.token();
    const place = stage.place();
    for (const client of ['192.0.2.1', '192.0.2.2']) await stage.open(token, client, place);
    expect(await stage.revocation.revokeVm(7, everybody, 'bob')).toBe(1);
    expect(place.ended.map(({ code }) => code)).toEqual([4002, 4002]);
  });

  it('ends and counts a session whose token the store has forgotten', async () => {
    const stage = buildGate();
    const place = stage.place();
    await stage.open(await stage.token(), '192.0.2.1', place);
    stage.store.time += 10 ** 9;
    expect(await stage.revocation.sessionsOfVm(7, everybody)).toMatchObject([{ vmId: 7, user: 'alice' }]);
    expect(await stage.revocation.revokeVm(8, everybody, 'bob')).toBe(0);
    expect(await stage.revocation.revokeVm(7, { user: 'carol' }, 'carol')).toBe(0);
    expect(await stage.revocation.revokeVm(7, everybody, 'bob')).toBe(1);
    expect(place.ended).toMatchObject([{ code: 4002 }]);
  });

  it('does not count again those that are on their way out', async () => {
    const stage = buildGate();
    const slow = stage.place();
    slow.deaf = true;
    const token = await stage.token();
    await stage.open(token, '192.0.2.1', slow);
    // Taken over, and not gone yet.
    await stage.open(token, '192.0.2.1', slow);
    expect(await stage.revocation.revokeVm(7, everybody, 'bob')).toBe(1);
    expect(await stage.revocation.revokeVm(7, everybody, 'bob')).toBe(0);
    expect(stage.audit.filter(({ event }) => event === 'revoked')).toHaveLength(1);
  });

  it.each<[string, Whose, number]>([
    ['a user', { uid: 2 }, 2],
    ['another user with the name of before', { uid: 9 }, 1],
    ['a name, whoever has or had it', { user: 'alice' }, 3],
    ['an id in digits', { user: '9' }, 1],
    ['what stands for an id that is not known', { user: '-1' }, 0],
    ['a name that nobody has', { user: 'Alice' }, 0],
    ['an id beside a name of another', { uid: 9, user: '2' }, 0],
  ])('of %s: those, however he was spelled at the time', async (_what, whose, count) => {
    const stage = buildGate();
    await stage.token();
    await stage.token();
    await stage.token({ uid: 9 });
    // From before ids were written down: nobody's, but there is its name.
    await stage.token({ uid: UNKNOWN_UID, user: 'bob' });
    expect(await stage.revocation.revokeVm(7, whose, 'alice')).toBe(count);
  });

  it('is audited with who did it, and no secret', async () => {
    const stage = buildGate();
    const token = await stage.token();
    await stage.revocation.revokeVm(7, everybody, 'bob');
    const fingerprint = hashToken(token).slice(0, 12);
    expect(stage.audit).toEqual([{ event: 'revoked', vm: 7, uid: 2, user: 'alice', by: 'bob', fingerprint }]);
  });

  it('with a store that is not there is an error, and ends nothing', async () => {
    const stage = buildGate();
    const place = stage.place();
    await stage.open(await stage.token(), '192.0.2.1', place);
    stage.store.down = true;
    expect((await refusal(stage.revocation.revokeVm(7, everybody, 'bob'))).code).toBe('store-unavailable');
    expect(place.ended).toEqual([]);
  });
});

describe('sessions of another host whose token the store has forgotten', () => {
  const twoHosts = () => {
    const store = new CountingStore();
    const bus = new TestBus();
    const [here, there] = [1, 2].map(() => buildGate({ store, bus: bus.connect() })) as [Stage, Stage];
    return { here, there, store, bus };
  };

  it('end with those that are known, where they are meant', async () => {
    const { here, there, store } = twoHosts();
    const places = await Promise.all(
      [{}, { user: 'bob' }, { vmId: 8 }].map(async (grant) => {
        const place = there.place();
        await there.open(await there.token(grant), '192.0.2.1', place);
        return place;
      }),
    );
    const ended = () => places.map((place) => place.ended.map(({ code }) => code));
    // The store drops what has expired.
    store.time += 10 ** 9;
    expect(await here.revocation.revokeVm(7, { user: 'alice' }, 'alice')).toBe(0);
    await settle();
    expect(ended()).toEqual([[4002], [], []]);
    await here.revocation.revokeSelected({ vmId: 8 }, 100, 'bob');
    await settle();
    expect(ended()).toEqual([[4002], [], [4002]]);
    await here.revocation.revokeSelected({}, 100, 'bob');
    await settle();
    expect(ended()).toEqual([[4002], [4002], [4002]]);
  });

  it('go on where they began after the revocation', async () => {
    const { here, there, store, bus } = twoHosts();
    await here.revocation.revokeVm(7, everybody, 'bob');
    const [told] = bus.messages;
    store.time += 1;
    const place = there.place();
    await there.open(await there.token(), '192.0.2.1', place);
    bus.connect().publish(told ?? { type: 'probed', question: '', alive: false });
    await settle();
    expect(told).toMatchObject({ type: 'revoke', until: store.time - 1 });
    expect(place.ended).toEqual([]);
  });
});

describe('the sessions of a VM', () => {
  it('are told with bytes as of now here, and as of the last renewal elsewhere', async () => {
    const store = new CountingStore();
    const bus = new TestBus();
    const rules = { sessions: 'shared' } as const;
    const [here, there] = [1, 2].map(() => buildGate({ store, bus: bus.connect(), rules })) as [Stage, Stage];
    const token = await here.token();
    const [near, far] = [here.place(), there.place()];
    const one = await here.open(token, '192.0.2.1', near);
    const two = await there.open(token, '192.0.2.2', far);
    far.bytes = new Map([[two, 100]]);
    await there.upkeep.renewAll();
    far.bytes = new Map([[two, 999]]);
    near.bytes = new Map([[one, 5]]);
    const shown = await here.revocation.sessionsOfVm(7, everybody);
    const about = { vmId: 7, user: 'alice', since: store.time, fingerprint: hashToken(token).slice(0, 12) };
    expect(shown.toSorted((a, b) => a.bytes - b.bytes)).toEqual([
      { session: one, client: '192.0.2.1', bytes: 5, ...about },
      { session: two, client: '192.0.2.2', bytes: 100, ...about },
    ]);
    expect(await here.revocation.sessionsOfVm(7, { user: 'bob' })).toEqual([]);
    expect(await here.revocation.sessionsOfVm(8, everybody)).toEqual([]);
    expect(JSON.stringify(shown)).not.toContain(token);
  });
});

describe('over real sockets, a revocation', () => {
  it('reaches browsers in every worker and on every host within a second', async () => {
    const store = new CountingStore();
    const bus = new TestBus();
    const rules = { sessions: 'shared' } as const;
    const [here, there] = [1, 2].map(() => buildGate({ store, bus: bus.connect(), rules })) as [Stage, Stage];
    const proxies = await Promise.all([
      ...[startWorkerProxy(here.gate), startWorkerProxy(here.gate)],
      ...[startWorkerProxy(there.gate), startLocalProxy(there.gate)],
    ]);
    const target = await startVncTarget(greetAndEcho);
    const token = await here.token({ target });
    const browsers = await Promise.all(proxies.map((proxy) => proxy.open(token)));
    for (const browser of browsers) await browser.waitForData(12);
    const before = performance.now();
    expect(await there.revocation.revokeVm(7, everybody, 'bob')).toBe(1);
    for (const browser of browsers) {
      expect(await browser.closeFrame()).toEqual({ code: 4002, reason: 'Access was withdrawn' });
    }
    expect(performance.now() - before).toBeLessThan(1000);
    await waitFor(() => here.sessions.size + there.sessions.size === 0, { what: 'the ends' });
  });
});
