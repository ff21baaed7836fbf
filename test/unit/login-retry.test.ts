// A refused login is asked about once more. What always holds: once, after the lag of a follower, only for what oned
// says of logins, and no more than a few of a name and at a time.
import { describe, expect, it } from 'vitest';
import { LoginRetry } from '../../src/console/login-retry.ts';
import { type ErrorCode, GatewayError } from '../../src/errors.ts';
import type { SessionString } from '../../src/oned/session-string.ts';

const refused = () => new GatewayError('oned-refused', { oneCode: 0x0100 });

function setUp() {
  const clock = { now: 0 };
  const pauses: { ms: number; over: () => void }[] = [];
  const retry = new LoginRetry({
    now: () => clock.now,
    pause: (ms, signal) =>
      new Promise<void>((over, reject) => {
        pauses.push({ ms, over });
        signal.addEventListener('abort', () => reject(signal.reason));
      }),
  });
  /** Asks what is answered so, one after the other. */
  const ask = (said: string, answers: (string | Error)[], signal = new AbortController().signal) => {
    const [user = '', password = 'token', client = '192.0.2.1'] = said.split(':');
    const session = `${user.trim()}:${password}` as SessionString;
    let asked = 0;
    const outcome = retry
      .ask({ client, user, session }, signal, async () => {
        const answer = answers[asked++];
        if (typeof answer !== 'string') throw answer ?? new Error('asked too often');
        return answer;
      })
      .catch((error: unknown) => error);
    return { outcome, asked: () => asked };
  };
  return { clock, pauses, ask };
}

/** Lets everything go on that waits for nothing. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('a refused login', () => {
  it('is asked about again after the lag of a follower', async () => {
    const { pauses, ask } = setUp();
    const { outcome, asked } = ask('alice', [refused(), 'in']);
    await settle();
    expect([asked(), pauses.map(({ ms }) => ms)]).toEqual([1, [600]]);
    pauses[0]?.over();
    expect(await outcome).toBe('in');
  });

  it('that is refused again is refused', async () => {
    const { pauses, ask } = setUp();
    const again = refused();
    const { outcome, asked } = ask('alice', [refused(), again, 'in']);
    await settle();
    pauses[0]?.over();
    expect(await outcome).toBe(again);
    expect(asked()).toBe(2);
  });

  it('is refused at once where nobody waits any more', async () => {
    const { ask } = setUp();
    const leaving = new AbortController();
    const first = refused();
    const { outcome, asked } = ask('alice', [first, 'in'], leaving.signal);
    await settle();
    leaving.abort(new Error('gone'));
    expect(await outcome).toBe(first);
    expect(asked()).toBe(1);
  });

  it('is not asked about again for a minute after somebody has failed with that name', async () => {
    const { clock, pauses, ask } = setUp();
    const failed = ask('alice', [refused(), refused()]);
    await settle();
    pauses[0]?.over();
    await failed.outcome;
    const next = ask('ALICE', [refused(), 'in']);
    await next.outcome;
    expect(next.asked()).toBe(1);
    clock.now = 61_000;
    const later = ask('alice', [refused(), 'in']);
    await settle();
    pauses.at(-1)?.over();
    expect(await later.outcome).toBe('in');
  });

  it('is not asked about again where ten have failed from an address lately', async () => {
    const { clock, pauses, ask } = setUp();
    for (let one = 0; one < 12; one++) {
      const { outcome, asked } = ask(`user${one}`, [refused(), refused()]);
      await settle();
      pauses[one]?.over();
      await outcome;
      expect(asked()).toBe(one < 10 ? 2 : 1);
    }
    const elsewhere = ask('carol:token:192.0.2.2', [refused(), 'in']);
    await settle();
    pauses.at(-1)?.over();
    expect(await elsewhere.outcome).toBe('in');
    clock.now = 61_000;
    const later = ask('dave', [refused(), 'in']);
    await settle();
    pauses.at(-1)?.over();
    expect(await later.outcome).toBe('in');
  });

  it('is asked about again for one session string of a name at a time, however that is spelled', async () => {
    const { pauses, ask } = setUp();
    const tries = ['alice:1', 'alice:2', 'ALICE:3', ' alice:1', 'bob:1'].map((said) =>
      ask(said, [refused(), 'in']),
    );
    await settle();
    for (const { over } of pauses) over();
    await settle();
    expect(tries.map(({ asked }) => asked())).toEqual([2, 1, 1, 2, 2]);
  });

  it('is asked about again four times at once of one session string', async () => {
    const { pauses, ask } = setUp();
    const tries = ['alice', 'alice', 'alice', 'alice', 'alice', 'bob'].map((name) =>
      ask(name, [refused(), 'in']),
    );
    await settle();
    for (const { over } of pauses) over();
    await settle();
    expect(tries.map(({ asked }) => asked())).toEqual([2, 2, 2, 2, 1, 2]);
    const later = ask('alice', [refused(), 'in']);
    await settle();
    pauses.at(-1)?.over();
    expect(await later.outcome).toBe('in');
  });

  it('is asked about again for sixteen at a time, whatever names they guess', async () => {
    const { pauses, ask } = setUp();
    const tries = Array.from({ length: 100 }, (_, i) => ask(`user${i}`, [refused(), 'in']));
    await settle();
    expect(pauses).toHaveLength(16);
    expect(
      (await Promise.all(tries.slice(16).map(({ outcome }) => outcome))).every((one) => one instanceof Error),
    ).toBe(true);
    for (const { over } of pauses) over();
    await settle();
    const next = ask('somebody', [refused(), 'in']);
    await settle();
    pauses.at(-1)?.over();
    expect(await next.outcome).toBe('in');
  });
});

it.each<[ErrorCode, number]>([
  ['oned-refused', 0x0200],
  ['oned-refused', 0x0400],
  ['oned-refused', 0x2000],
  ['oned-timeout', 0x0100],
  ['token-not-valid', 0x0100],
  ['no-console', 0x0400],
])('%s %i is not asked about again', async (code, oneCode) => {
  const { pauses, ask } = setUp();
  const error = new GatewayError(code, { oneCode });
  expect(await ask('alice', [error, 'in']).outcome).toBe(error);
  expect(pauses).toEqual([]);
});
