// Ending sessions from outside and asking after them, on this host and over the bus.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SessionId } from '../../src/tokens/record.ts';
import { buildGate, CountingStore, type Stage, settle, TestBus } from '../support/gate.ts';

function twoHosts(): { here: Stage; there: Stage; bus: TestBus } {
  const store = new CountingStore();
  const bus = new TestBus();
  const [here, there] = [1, 2].map(() =>
    buildGate({ store, bus: bus.connect(), rules: { sessions: 'shared' } }),
  );
  return { here: here as Stage, there: there as Stage, bus };
}

describe('the end of a session', () => {
  it.each([
    ['taken-over', 4001, 'Opened in another window'],
    ['revoked', 4002, 'Access was withdrawn'],
    ['vm-gone', 4004, 'The VM is gone, or no longer yours'],
  ] as const)('%s is told with %i, here and there', async (why, code, reason) => {
    const { here, there, bus } = twoHosts();
    const token = await here.token();
    const [near, far] = [here.place(), there.place()];
    const one = await here.open(token, '192.0.2.1', near);
    const two = await there.open(token, '192.0.2.1', far);
    here.endings.end([one, two], why);
    expect(near.ended).toEqual([{ session: one, code, reason }]);
    await settle();
    expect(far.ended).toEqual([{ session: two, code, reason }]);
    // Who is at hand is no matter for the others.
    expect(bus.messages).toEqual([{ type: 'end', sessions: [two], why }]);
    expect([here.sessions.size, there.sessions.size]).toEqual([0, 0]);
  });

  it('is a matter of this host alone where all sessions are here', async () => {
    const { here, bus } = twoHosts();
    here.endings.end([await here.open(await here.token())], 'revoked');
    here.endings.end([], 'revoked');
    expect(bus.messages).toEqual([]);
  });

  it('frees the place at once, though the session takes its time to go', async () => {
    const stage = buildGate({ limits: { perVm: 1 } });
    const slow = stage.place();
    slow.deaf = true;
    stage.endings.end([await stage.open(await stage.token(), '192.0.2.1', slow)], 'revoked');
    await stage.open(await stage.token());
    expect(stage.sessions.size).toBe(2);
  });
});

describe('asking whether somebody is there', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each([true, false])('%s, of a session of another host', async (alive) => {
    const { here, there } = twoHosts();
    const far = there.place();
    far.alive = alive;
    const id = await there.open(await there.token(), '192.0.2.1', far);
    const asked = here.endings.isThere(id);
    await settle();
    expect(await asked).toBe(alive);
    expect(far.probed).toEqual([id]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('no, of one that nobody knows, but not before its host has had its time', async () => {
    const { here } = twoHosts();
    let answer: boolean | undefined;
    void here.endings.isThere('nobody' as SessionId).then((alive) => {
      answer = alive;
    });
    await vi.advanceTimersByTimeAsync(5_400);
    expect(answer).toBeUndefined();
    await vi.advanceTimersByTimeAsync(200);
    expect(answer).toBe(false);
  });

  it('yes, of one that is on its way in, here and on the other host', async () => {
    const { here, there } = twoHosts();
    const id = 'coming' as SessionId;
    here.sessions.expect(id);
    expect(await here.endings.isThere(id)).toBe(true);
    const asked = there.endings.isThere(id);
    await settle();
    expect(await asked).toBe(true);
    here.sessions.arrived(id);
    expect(here.sessions.arrival(id)).toBeUndefined();
  });

  it('an answer to a question that is over, or was never asked, is nothing', async () => {
    const { here, bus } = twoHosts();
    const other = bus.connect();
    other.publish({ type: 'probed', question: 'none', alive: true });
    await settle();
    const asked = here.endings.isThere('nobody' as SessionId);
    other.publish({ type: 'probed', question: 'another', alive: true });
    await settle();
    await vi.advanceTimersByTimeAsync(6_000);
    expect(await asked).toBe(false);
  });
});
