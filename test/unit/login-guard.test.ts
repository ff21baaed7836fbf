// The guard in front of oned's logins, with a clock and a pause of the test's own.
// What always holds: a limit is exact even for guesses that come all at once; nobody waits or is refused for others.
import { describe, expect, it } from 'vitest';
import { LoginGuard, type LoginGuardParts } from '../../src/console/login-guard.ts';
import { GatewayError, OneCode } from '../../src/errors.ts';

const wrongPassword = new GatewayError('oned-refused', { oneCode: OneCode.authentication });
const alice = { client: '192.0.2.1', user: 'alice' };
const never = new AbortController().signal;

/** A guard of which the test holds the time, and everything that is held back. */
function guardWith(parts: Partial<LoginGuardParts> = {}, limits = { perUser: 10, perAddress: 1000 }) {
  let now = 0;
  const pauses: number[] = [];
  const wakeUps: (() => void)[] = [];
  const stopping = new AbortController();
  let holding = false;
  const guard = new LoginGuard({
    limits: () => limits,
    isExempt: (client) => client === '127.0.0.1',
    stopping: stopping.signal,
    now: () => now,
    pause: (ms, signal) => {
      pauses.push(ms);
      if (!holding) return Promise.resolve();
      return new Promise<void>((resolve, reject) => {
        wakeUps.push(resolve);
        signal.addEventListener('abort', () => reject(new Error('the pause was ended')));
      });
    },
    ...parts,
  });
  const fail = (login = alice) => guard.attempt(login, never, () => Promise.reject(wrongPassword));
  const codeOf = (attempt: Promise<unknown>) =>
    attempt.then(
      () => 'let in',
      (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
    );
  return {
    ...{ guard, pauses, wakeUps, stopping, limits },
    /** From now on pauses last until the test ends them. */
    hold: () => {
      holding = true;
    },
    pass: (ms: number) => {
      now += ms;
    },
    /** So many wrong passwords. */
    fail: async (times: number, login = alice) => {
      const codes: string[] = [];
      for (let i = 0; i < times; i++) codes.push(await codeOf(fail(login)));
      return codes;
    },
    logIn: (login = alice, signal = never) =>
      codeOf(guard.attempt(login, signal, () => Promise.resolve('welcome'))),
    codeOf,
  };
}

describe('a right password', () => {
  it('is passed on at once, and its answer back', async () => {
    const { guard, pauses } = guardWith();
    expect(await guard.attempt(alice, never, () => Promise.resolve(7))).toBe(7);
    expect(pauses).toEqual([]);
  });

  it('waits longer after each failure from the third on, and ends the waiting', async () => {
    const { fail, logIn, pauses } = guardWith();
    for (let failures = 0; failures < 10; failures++) {
      pauses.length = 0;
      await fail(failures);
      pauses.length = 0;
      expect(await logIn()).toBe('let in');
      expect(pauses).toEqual([[], [], [], [500], [1000], [2000], [4000], [4000], [4000], [4000]][failures]);
    }
  });

  it.each([
    ['no right to the VM', OneCode.authorization, true],
    ['no such VM', OneCode.noExists, true],
    ['a trouble of its own', OneCode.internal, false],
  ])('is one as well where oned then says: %s', async (_what, oneCode, forgets) => {
    const { guard, fail, logIn, pauses, codeOf } = guardWith();
    await fail(3);
    const refusal = new GatewayError('oned-refused', { oneCode });
    expect(await codeOf(guard.attempt(alice, never, () => Promise.reject(refusal)))).toBe('oned-refused');
    pauses.length = 0;
    await logIn();
    expect(pauses).toEqual(forgets ? [] : [500]);
  });

  it.each(['oned-unreachable', 'oned-timeout', 'wrong-state', 'store-failed', 'over-limit'] as const)(
    'is not counted against anybody where the call ends in %s',
    async (code) => {
      const { guard, logIn, pauses, codeOf } = guardWith();
      for (let i = 0; i < 20; i++) {
        const failure = new GatewayError(code);
        expect(await codeOf(guard.attempt(alice, never, () => Promise.reject(failure)))).toBe(code);
      }
      expect(await logIn()).toBe('let in');
      expect(pauses).toEqual([]);
    },
  );
});

describe('the limit of a user name', () => {
  it('refuses from then on without asking, the right password too', async () => {
    const { fail, logIn } = guardWith();
    expect(await fail(12)).toEqual([...Array(10).fill('oned-refused'), 'too-many-logins', 'too-many-logins']);
    expect(await logIn()).toBe('too-many-logins');
  });

  it('is over when five minutes have passed, however often somebody tried meanwhile', async () => {
    const { fail, logIn, pass } = guardWith();
    await fail(10);
    for (let minute = 0; minute < 4; minute++) {
      pass(60_000);
      expect(await logIn()).toBe('too-many-logins');
    }
    pass(60_000);
    expect(await logIn()).toBe('let in');
  });

  it('lets through no more than so many guesses in five minutes, at any beat', async () => {
    const { fail, pass } = guardWith();
    const asked: number[] = [];
    for (let now = 0; now < 3_600_000; now += 7000) {
      for (const code of await fail(1)) if (code === 'oned-refused') asked.push(now);
      pass(7000);
    }
    // The window is exact to a sixth of it.
    for (const start of asked) {
      expect(asked.filter((at) => at >= start && at < start + 250_000).length).toBeLessThanOrEqual(10);
    }
    expect(asked.length).toBeGreaterThan(50);
  });

  it('is that of one name at one address, and of nobody else', async () => {
    const { fail, logIn } = guardWith();
    await fail(10);
    expect(await logIn({ ...alice, user: 'bob' })).toBe('let in');
    expect(await logIn({ ...alice, client: '192.0.2.2' })).toBe('let in');
    expect(await logIn()).toBe('too-many-logins');
  });

  it.each([
    ['capitals', { ...alice, user: 'ALICE' }],
    ['spaces', { ...alice, user: ' alice  ' }],
  ])('is not got round by %s', async (_what, login) => {
    const { fail, logIn } = guardWith();
    await fail(10);
    expect(await logIn(login)).toBe('too-many-logins');
  });

  it('is that of a whole /64 of IPv6', async () => {
    const { fail, logIn } = guardWith();
    await fail(10, { ...alice, client: '2001:db8::1' });
    expect(await logIn({ ...alice, client: '2001:db8::ffff:1' })).toBe('too-many-logins');
    expect(await logIn({ ...alice, client: '2001:db8:0:1::1' })).toBe('let in');
  });

  it('holds for addresses that stand for many as well', async () => {
    const { fail, logIn } = guardWith();
    const local = { ...alice, client: '127.0.0.1' };
    await fail(10, local);
    expect(await logIn(local)).toBe('too-many-logins');
    expect(await logIn({ ...local, user: 'bob' })).toBe('let in');
  });

  it('follows the settings', async () => {
    const { fail, logIn, limits } = guardWith();
    await fail(3);
    limits.perUser = 3;
    expect(await logIn()).toBe('too-many-logins');
    limits.perUser = 4;
    expect(await logIn()).toBe('let in');
  });

  it('is told with its name', async () => {
    const { guard, fail } = guardWith();
    await fail(10);
    await expect(guard.attempt(alice, never, () => Promise.resolve())).rejects.toMatchObject({
      ...{ code: 'too-many-logins', oneCode: 0x2000, publicText: 'Too many failed logins, try again later' },
      detail: 'max_failed_logins (10 in 5 minutes) is reached',
    });
  });
});

describe('guesses that come all at once', () => {
  /** So many questions under way, each with what oned is going to say. */
  function many(count: number, { guard, codeOf }: ReturnType<typeof guardWith>, login = alice) {
    return Array.from({ length: count }, () => {
      let settle: (error?: GatewayError) => void = () => {};
      const answer = new Promise<string>((resolve, reject) => {
        settle = (error) => (error === undefined ? resolve('welcome') : reject(error));
      });
      // As the client of oned has it: an end from outside ends the call.
      const code = codeOf(
        guard.attempt(
          login,
          new AbortController().signal,
          (signal) =>
            new Promise((resolve, reject) => {
              answer.then(resolve, reject);
              signal.addEventListener('abort', () => reject(new GatewayError('caller-gone')));
            }),
        ),
      );
      return { code, answer: (error?: GatewayError) => settle(error) };
    });
  }

  it('learn no more than those that come one by one: the rest of them ends unanswered', async () => {
    const guarded = guardWith();
    const guesses = many(100, guarded);
    for (const { answer } of guesses.slice(0, 10)) answer(wrongPassword);
    const codes = await Promise.all(guesses.map(({ code }) => code));
    expect(codes.filter((code) => code === 'oned-refused')).toHaveLength(10);
    expect(codes.filter((code) => code === 'too-many-logins')).toHaveLength(90);
  });

  it('do not end the questions of others', async () => {
    const guarded = guardWith();
    const [bob] = many(1, guarded, { ...alice, user: 'bob' });
    await guarded.fail(10);
    bob?.answer();
    expect(await bob?.code).toBe('let in');
  });

  it('are no harm where they are right', async () => {
    const guarded = guardWith();
    const calls = many(100, guarded);
    for (const { answer } of calls) answer();
    expect(await Promise.all(calls.map(({ code }) => code))).toEqual(Array(100).fill('let in'));
    expect(guarded.pauses).toEqual([]);
  });

  it('leave nothing behind', async () => {
    const guarded = guardWith();
    const guesses = many(50, guarded);
    for (const { answer } of guesses) answer(wrongPassword);
    await Promise.all(guesses.map(({ code }) => code));
    const { underWay, heldBack } = guarded.guard as unknown as {
      underWay: Map<unknown, unknown>;
      heldBack: Set<unknown>;
    };
    expect([underWay.size, heldBack.size]).toEqual([0, 0]);
  });
});

describe('the limit of an address', () => {
  const somebody = (number: number, client = alice.client) => ({ client, user: `user-${number}` });

  it('refuses whoever comes from there, and nobody else', async () => {
    const { fail, logIn } = guardWith({}, { perUser: 10, perAddress: 20 });
    for (let i = 0; i < 20; i++) expect(await fail(1, somebody(i))).toEqual(['oned-refused']);
    expect(await fail(1, somebody(20))).toEqual(['too-many-logins']);
    expect(await logIn()).toBe('too-many-logins');
    expect(await logIn({ ...alice, client: '192.0.2.2' })).toBe('let in');
  });

  it('is not forgotten for a right password of one', async () => {
    const { fail, logIn } = guardWith({}, { perUser: 10, perAddress: 20 });
    for (let i = 0; i < 20; i++) {
      expect(await logIn()).toBe('let in');
      await fail(1, somebody(i));
    }
    expect(await logIn()).toBe('too-many-logins');
  });

  it('is none for addresses that stand for many', async () => {
    const { fail, logIn } = guardWith({}, { perUser: 10, perAddress: 20 });
    for (let i = 0; i < 100; i++) await fail(1, somebody(i, '127.0.0.1'));
    expect(await logIn({ ...alice, client: '127.0.0.1' })).toBe('let in');
  });
});

describe('a login that is held back', () => {
  it('asks oned only when its time has come', async () => {
    const guarded = guardWith();
    await guarded.fail(3);
    guarded.hold();
    let asked = false;
    const attempt = guarded.guard.attempt(alice, never, async () => {
      asked = true;
    });
    expect(asked).toBe(false);
    guarded.wakeUps[0]?.();
    await attempt;
    expect(asked).toBe(true);
  });

  it('keeps nobody else waiting', async () => {
    const guarded = guardWith();
    await guarded.fail(9);
    guarded.hold();
    const held = guarded.logIn();
    expect(await guarded.logIn({ ...alice, user: 'bob' })).toBe('let in');
    guarded.wakeUps[0]?.();
    expect(await held).toBe('let in');
  });

  it('is one of so many at most; who comes on top is refused at once', async () => {
    const guarded = guardWith({ maxWaiting: 2 });
    await guarded.fail(3);
    guarded.hold();
    const held = [guarded.fail(1), guarded.logIn()];
    expect(await guarded.logIn()).toBe('too-many-logins');
    guarded.wakeUps[0]?.();
    expect(await held[0]).toEqual(['oned-refused']);
    // There is room again.
    const next = guarded.logIn();
    for (const wakeUp of guarded.wakeUps) wakeUp();
    expect(await Promise.all([held[1], next])).toEqual(['let in', 'let in']);
  });

  it('ends when its caller goes, and oned is not asked', async () => {
    const guarded = guardWith();
    await guarded.fail(3);
    guarded.hold();
    const gone = new AbortController();
    const attempt = guarded.codeOf(
      guarded.guard.attempt(alice, gone.signal, () => Promise.reject(new Error('oned was asked'))),
    );
    gone.abort();
    expect(await attempt).toBe('caller-gone');
  });

  it('does not begin where its caller has gone before', async () => {
    const guarded = guardWith();
    let asked = 0;
    const ask = async () => ++asked;
    expect(await guarded.codeOf(guarded.guard.attempt(alice, AbortSignal.abort(), ask))).toBe('caller-gone');
    expect(asked).toBe(0);
  });

  it('ends when the service stops, and none begins', async () => {
    const guarded = guardWith();
    await guarded.fail(3);
    guarded.hold();
    const held = guarded.logIn();
    guarded.stopping.abort();
    expect(await held).toBe('stopping');
    expect(await guarded.logIn()).toBe('stopping');
    expect(await guarded.logIn({ ...alice, user: 'bob' })).toBe('let in');
  });

  it('ends when others reach the limit meanwhile', async () => {
    const guarded = guardWith({}, { perUser: 4, perAddress: 1000 });
    await guarded.fail(3);
    guarded.hold();
    const [first, second] = [guarded.fail(1), guarded.logIn()];
    guarded.wakeUps[0]?.();
    expect(await first).toEqual(['oned-refused']);
    expect(await second).toBe('too-many-logins');
  });

  it('waits by a real clock where the test brings none', async () => {
    const guard = new LoginGuard({
      limits: () => ({ perUser: 10, perAddress: 10 }),
      isExempt: () => false,
      stopping: never,
    });
    for (let i = 0; i < 3; i++) {
      await guard.attempt(alice, never, () => Promise.reject(wrongPassword)).catch(() => {});
    }
    const startedAt = performance.now();
    await guard.attempt(alice, never, () => Promise.resolve());
    expect(performance.now() - startedAt).toBeGreaterThan(450);
  });
});
