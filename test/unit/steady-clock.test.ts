// The clock of the stores of one host, between a wall clock that steps and one that only counts.
import { describe, expect, it } from 'vitest';
import { MemoryTokenStore } from '../../src/tokens/memory/store.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import { claim, issued } from '../../src/tokens/rules.ts';
import { steadyClock } from '../../src/tokens/steady-clock.ts';
import { hashToken } from '../../src/tokens/token.ts';
import { opened } from '../support/opened-store.ts';

const hour = 3_600_000;

function clocks() {
  const time = { wall: 1_800_000_000_000, monotonic: 5_000.25 };
  const now = steadyClock(
    () => time.wall,
    () => time.monotonic,
  );
  return { time, now };
}

describe('the steady clock', () => {
  it('starts as the wall clock and goes on in whole milliseconds', () => {
    const { time, now } = clocks();
    expect(now()).toBe(time.wall);
    time.monotonic += 1234.9;
    expect(now()).toBe(time.wall + 1234);
  });

  it.each([-hour, -1, 1, hour, 365 * 24 * hour])('does not see a step of the wall clock by %i ms', (step) => {
    const { time, now } = clocks();
    const before = now();
    time.wall += step;
    expect(now()).toBe(before);
    time.monotonic += 10;
    expect(now()).toBe(before + 10);
  });

  it('is the real time where nothing else is given', () => {
    const before = Date.now();
    const now = steadyClock()();
    expect(now).toBeGreaterThanOrEqual(before - 1);
    expect(now).toBeLessThanOrEqual(Date.now() + 1);
  });

  it.each([
    ['forwards', 24 * hour],
    ['backwards', -24 * hour],
  ])('neither ends nor opens a token when the wall clock steps %s', async (_where, step) => {
    const { time, now } = clocks();
    const store = await opened(new MemoryTokenStore({ now }));
    const grant = {
      ...{ vmId: 7, target: { host: 'node1', port: 5907 }, uid: 2, user: 'alice' },
      ...{ issuedAt: now(), expiresAt: now() + hour },
    };
    const token = await store.create(issued(grant), { maxOfVm: 10, forWebsockify: false });
    const rules = { graceMs: 0, maxAgeMs: undefined, sessions: 'shared', bindClient: false } as const;
    const open = (session: string) =>
      store.update({ hash: hashToken(token) }, (record, at) =>
        claim(record, { session: session as SessionId, client: '192.0.2.1' }, rules, at),
      );
    time.wall += step;
    time.monotonic += hour - 1;
    expect(await open('s1')).toMatchObject({ kind: 'granted' });
    time.monotonic += 2 * hour;
    expect(await open('s2')).toMatchObject({ kind: 'not-valid' });
  });
});
