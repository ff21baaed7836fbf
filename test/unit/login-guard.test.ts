// The guard in front of oned's logins, with a clock of the test's own.
// What always holds: a limit is exact even for guesses that come all at once; nobody waits or is refused for others, and
// whoever has proved to be a user least of all.
import { describe, expect, it } from 'vitest';
import { LoginGuard, type LoginGuardParts } from '../../src/console/login-guard.ts';
import { GatewayError, OneCode } from '../../src/errors.ts';
import type { Turn } from '../../src/oned/fair-queue.ts';
import type { SessionString } from '../../src/oned/session-string.ts';

const wrongPassword = new GatewayError('oned-refused', { oneCode: OneCode.authentication });
const alice = { client: '192.0.2.1', user: 'alice' };
const portal = { client: '127.0.0.1', user: 'alice' };
/** Of its own for each, as every call has one. */
const never = () => new AbortController().signal;

interface Who {
  readonly client: string;
  readonly user: string;
  /** Without, a guess: a password that nobody has tried before. */
  readonly password?: string;
}

/** A guard of which the test holds the time. */
function guardWith(parts: Partial<LoginGuardParts> = {}, limits = { perUser: 10, perAddress: 1000 }) {
  let now = 0;
  let guesses = 0;
  const timers = new Set<{ at: number; run: () => void }>();
  const stopping = new AbortController();
  const guard = new LoginGuard({
    limits: () => limits,
    isExempt: (client) => client === '127.0.0.1',
    stopping: stopping.signal,
    now: () => now,
    later: (ms, run) => {
      const timer = { at: now + ms, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    ...parts,
  });
  const codeOf = (attempt: Promise<unknown>) =>
    attempt.then(
      () => 'let in',
      (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
    );
  const loginOf = ({ client, user, password = `guess-${++guesses}` }: Who) => ({
    ...{ client, user },
    session: `${user}:${password}` as SessionString,
  });
  /** Lets everything that can happen without time happen. */
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  /** Lets time pass, with everything that happens in it. */
  const pass = async (ms: number) => {
    const end = now + ms;
    for (;;) {
      await settle();
      const [next] = [...timers].filter(({ at }) => at <= end).sort((one, other) => one.at - other.at);
      if (next === undefined) break;
      timers.delete(next);
      now = Math.max(now, next.at);
      next.run();
    }
    now = end;
    await settle();
  };
  const attempt = (who: Who, ask: (signal: AbortSignal, by: Turn) => Promise<unknown>, signal = never()) =>
    codeOf(guard.attempt(loginOf(who), signal, ask));
  /** With the time that it takes. */
  const timed = async (attempt: Promise<string>) => {
    const startedAt = now;
    let code: string | undefined;
    void attempt.then((told) => {
      code = told;
    });
    for (;;) {
      await settle();
      if (code !== undefined) return { code, ms: now - startedAt };
      if (timers.size === 0) throw new Error('nothing ever happens');
      await pass(Math.min(...[...timers].map(({ at }) => at)) - now);
    }
  };
  const fail = (who: Who = alice) => attempt(who, () => Promise.reject(wrongPassword));
  const logIn = (who: Who = { ...alice, password: 'right' }, signal = never()) =>
    attempt({ password: 'right', ...who }, () => Promise.resolve('welcome'), signal);
  return {
    ...{ guard, stopping, limits, pass, settle, codeOf, attempt, loginOf, timed, timers },
    failOnce: fail,
    logIn,
    /** So many wrong passwords one after the other, each as soon as it may. */
    fail: async (times: number, who: Who = alice) => {
      const codes: string[] = [];
      for (let i = 0; i < times; i++) codes.push((await timed(fail(who))).code);
      return codes;
    },
    /** Whose turn it would be. */
    turnOf: async (who: Who) => {
      let turn: Turn | undefined;
      await attempt(who, (_signal, by) => {
        turn = by;
        return Promise.reject(new GatewayError('caller-gone'));
      });
      return turn;
    },
  };
}

describe('a right password', () => {
  it('is passed on at once, and its answer back', async () => {
    const { guard, loginOf, timers } = guardWith();
    expect(await guard.attempt(loginOf(alice), never(), () => Promise.resolve(7))).toBe(7);
    expect(timers.size).toBe(0);
  });

  it('waits longer after each failure from the third on, from wherever they came', async () => {
    for (const { client } of [alice, portal]) {
      const waits: number[] = [];
      for (let failures = 0; failures < 10; failures++) {
        const { fail, logIn, timed } = guardWith({}, { perUser: 100, perAddress: 1000 });
        for (let i = 0; i < failures; i++) await fail(1, { user: 'alice', client: `198.51.100.${i}` });
        const { code, ms } = await timed(logIn({ client, user: 'alice' }));
        expect(code).toBe('let in');
        waits.push(ms);
      }
      expect(waits).toEqual([0, 0, 0, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
    }
  });

  it('does not wait where the last try was long enough ago', async () => {
    const { fail, logIn, timed, pass } = guardWith();
    await fail(9);
    await pass(8000);
    expect(await timed(logIn())).toEqual({ code: 'let in', ms: 0 });
  });

  it.each(['oned-unreachable', 'oned-timeout', 'wrong-state', 'store-failed', 'over-limit'] as const)(
    'is not counted against anybody where the call ends in %s',
    async (code) => {
      const { attempt, logIn, timed } = guardWith();
      for (let i = 0; i < 20; i++) {
        expect(await attempt(alice, () => Promise.reject(new GatewayError(code)))).toBe(code);
      }
      expect(await timed(logIn())).toEqual({ code: 'let in', ms: 0 });
    },
  );
});

describe('failures', () => {
  it('only age: what succeeds beside them takes none of them away', async () => {
    const { fail, logIn, timed, pass } = guardWith();
    for (let i = 0; i < 10; i++) {
      expect(await fail(1)).toEqual(['oned-refused']);
      expect(await timed(logIn())).toMatchObject({ code: 'let in' });
    }
    expect(await fail(1)).toEqual(['too-many-logins']);
    await pass(300_000);
    expect(await fail(1)).toEqual(['oned-refused']);
  });

  it('are not taken away by what oned refuses to somebody whom it knows', async () => {
    const { fail, attempt, timed } = guardWith();
    for (const oneCode of [OneCode.authorization, OneCode.noExists, OneCode.internal]) {
      await fail(3);
      const refusal = new GatewayError('oned-refused', { oneCode });
      await timed(attempt({ ...alice, password: 'right' }, () => Promise.reject(refusal)));
    }
    await fail(1);
    expect(await fail(1)).toEqual(['too-many-logins']);
  });

  it('with a name are counted together, from however many addresses they come', async () => {
    const { failOnce, pass, settle } = guardWith();
    let judged = 0;
    let now = 0;
    // A new address every second, all through an hour.
    for (; now < 3600; now++) {
      const client = `198.51.${now >> 8}.${now & 255}`;
      void failOnce({ client, user: 'alice' }).then((code) => {
        if (code === 'oned-refused') judged++;
      });
      await settle();
      await pass(1000);
    }
    // One in eight seconds, and a handful before there was a failure.
    expect(judged).toBeLessThanOrEqual(3600 / 8 + 10);
    expect(judged).toBeGreaterThan(3600 / 8 - 10);
  });

  it('that come all at once from as many addresses are a handful', async () => {
    const { failOnce, settle } = guardWith();
    const codes: string[] = [];
    for (let i = 0; i < 300; i++) {
      void failOnce({ client: `198.51.100.${i % 256}`, user: 'alice' }).then((code) => codes.push(code));
    }
    await settle();
    expect(codes.filter((code) => code === 'oned-refused')).toHaveLength(6);
    // Three wait.
    expect(codes.filter((code) => code === 'too-many-logins')).toHaveLength(291);
  });

  it('with one name delay nobody else', async () => {
    const { fail, logIn, timed } = guardWith();
    await fail(9);
    expect(await timed(logIn({ ...alice, user: 'bob' }))).toEqual({ code: 'let in', ms: 0 });
  });
});

describe('the limit of a user name', () => {
  it('refuses from then on without asking, the right password too', async () => {
    const { fail, logIn } = guardWith();
    expect(await fail(12)).toEqual([...Array(10).fill('oned-refused'), 'too-many-logins', 'too-many-logins']);
    expect(await logIn()).toBe('too-many-logins');
  });

  it('is over when five minutes have passed, however often somebody tried meanwhile', async () => {
    const { fail, logIn, timed, pass } = guardWith();
    await fail(10);
    for (let minute = 0; minute < 4; minute++) {
      await pass(50_000);
      expect(await logIn()).toBe('too-many-logins');
    }
    await pass(100_000);
    expect(await timed(logIn())).toMatchObject({ code: 'let in' });
  });

  it('lets through no more than so many guesses in five minutes, at any beat', async () => {
    const { failOnce, pass, settle } = guardWith();
    const asked: number[] = [];
    for (let now = 0; now < 3_600_000; now += 7000) {
      void failOnce().then((code) => {
        if (code === 'oned-refused') asked.push(now);
      });
      await settle();
      await pass(7000);
    }
    // The window is exact to a sixth of it.
    for (const start of asked) {
      expect(asked.filter((at) => at >= start && at < start + 250_000).length).toBeLessThanOrEqual(10);
    }
    expect(asked.length).toBeGreaterThan(50);
  });

  it('is that of one name at one address, and of nobody else', async () => {
    const { fail, logIn, timed } = guardWith();
    await fail(10);
    expect(await timed(logIn({ ...alice, user: 'bob' }))).toEqual({ code: 'let in', ms: 0 });
    // The name is slow everywhere, and refused nowhere else.
    expect(await timed(logIn({ ...alice, client: '192.0.2.2' }))).toEqual({ code: 'let in', ms: 8000 });
    expect(await logIn({ ...alice, password: 'other' })).toBe('too-many-logins');
  });

  it.each([
    ['capitals', { ...alice, user: 'ALICE' }],
    ['spaces', { ...alice, user: ' alice  ' }],
    ['accents', { ...alice, user: 'álicè' }],
    ['full width', { ...alice, user: 'ａlice' }],
    ['nothing of width', { ...alice, user: 'al\u200bice' }],
  ])('is not got round by %s', async (_what, login) => {
    const { fail, logIn } = guardWith();
    await fail(10);
    expect(await logIn(login)).toBe('too-many-logins');
  });

  it('is that of a whole /64 of IPv6', async () => {
    const { fail, logIn, timed } = guardWith();
    await fail(10, { ...alice, client: '2001:db8::1' });
    expect(await logIn({ ...alice, client: '2001:db8::ffff:1' })).toBe('too-many-logins');
    expect((await timed(logIn({ ...alice, client: '2001:db8:0:1::1' }))).code).toBe('let in');
  });

  it('is none at an address that stands for many: there it is slow, and never refused for good', async () => {
    const { fail, logIn, timed } = guardWith();
    await fail(30, portal);
    expect(await timed(logIn(portal))).toEqual({ code: 'let in', ms: 8000 });
    expect(await timed(logIn({ ...portal, user: 'bob' }))).toEqual({ code: 'let in', ms: 0 });
  });

  it('follows the settings', async () => {
    const { fail, logIn, timed, limits } = guardWith();
    await fail(3);
    limits.perUser = 3;
    expect(await logIn()).toBe('too-many-logins');
    limits.perUser = 4;
    expect((await timed(logIn())).code).toBe('let in');
  });

  it('is told with its name', async () => {
    const { guard, fail, loginOf } = guardWith();
    await fail(10);
    await expect(guard.attempt(loginOf(alice), never(), () => Promise.resolve())).rejects.toMatchObject({
      ...{ code: 'too-many-logins', oneCode: 0x2000, publicText: 'Too many failed logins, try again later' },
      detail: 'max_failed_logins (10 in 5 minutes) is reached',
    });
  });
});

describe('somebody who has logged in lately from there', () => {
  const right = { ...alice, password: 'right' };

  it('passes at once, whatever others try with his name', async () => {
    for (const who of [right, { ...portal, password: 'right' }]) {
      const { fail, logIn, timed } = guardWith();
      await logIn(who);
      for (let i = 0; i < 20; i++) {
        await fail(1, { client: who.client, user: 'alice' });
        expect(await timed(logIn(who))).toEqual({ code: 'let in', ms: 0 });
      }
    }
  });

  it('passes also where the address has had too many failures', async () => {
    const { fail, logIn, timed } = guardWith({}, { perUser: 10, perAddress: 20 });
    await logIn(right);
    for (let i = 0; i < 20; i++) await fail(1, { ...alice, user: `user-${i}` });
    expect(await logIn({ ...alice, user: 'bob' })).toBe('too-many-logins');
    expect(await timed(logIn(right))).toEqual({ code: 'let in', ms: 0 });
  });

  it.each([
    ['another password', { ...right, password: 'Right' }],
    ['another address', { ...right, client: '192.0.2.9' }],
    ['another name with it', { ...right, user: 'alic' }],
  ])('is not the one with %s', async (_what, who) => {
    const { fail, logIn, turnOf } = guardWith();
    await logIn(right);
    await fail(10);
    await fail(10, { ...who });
    expect((await turnOf(right))?.[0]).toBe('user alice');
    expect((await turnOf(who))?.[0]).not.toBe('user alice');
  });

  it('is known for a day', async () => {
    const { logIn, fail, timed, pass } = guardWith();
    await logIn(right);
    await pass(23 * 3_600_000);
    await fail(10);
    expect(await timed(logIn(right))).toEqual({ code: 'let in', ms: 0 });
    await pass(24 * 3_600_000);
    await fail(10);
    expect(await logIn(right)).toBe('too-many-logins');
  });

  it('is forgotten when oned does not take it any more', async () => {
    const { attempt, logIn, fail } = guardWith();
    await logIn(right);
    await fail(10);
    expect(await attempt(right, () => Promise.reject(wrongPassword))).toBe('oned-refused');
    expect(await attempt(right, () => Promise.reject(wrongPassword))).toBe('too-many-logins');
  });

  it.each([
    ['no right to the VM', new GatewayError('oned-refused', { oneCode: OneCode.authorization }), true],
    ['no such VM', new GatewayError('oned-refused', { oneCode: OneCode.noExists }), true],
    ['a VM that is off', new GatewayError('wrong-state'), true],
    ['a VM without a console', new GatewayError('no-console'), true],
    ['a trouble of oned', new GatewayError('oned-refused', { oneCode: OneCode.internal }), false],
    ['an oned that is not there', new GatewayError('oned-unreachable'), false],
    ['a call that makes no sense', new GatewayError('bad-parameters'), false],
  ])('is also one who was told of %s: %s', async (_what, error, isProof) => {
    const { attempt, turnOf } = guardWith();
    await attempt(right, () => Promise.reject(error));
    expect((await turnOf(right))?.[0]).toBe(isProof ? 'user alice' : 'strangers');
  });

  it('takes those along who wait with the same session string', async () => {
    const { fail, attempt, logIn, pass, settle, codeOf, guard, loginOf } = guardWith();
    await fail(5, portal);
    let answer = () => {};
    const first = codeOf(
      guard.attempt(loginOf({ ...portal, password: 'right' }), never(), () => {
        return new Promise<void>((resolve) => {
          answer = resolve;
        });
      }),
    );
    const second = logIn({ ...portal, password: 'right' });
    let otherIsIn = false;
    void attempt(portal, async () => {
      otherIsIn = true;
    });
    await pass(4000);
    answer();
    await settle();
    expect([await first, await second, otherIsIn]).toEqual(['let in', 'let in', false]);
  });

  it('is remembered with sixteen session strings, and pushes out nobody else', async () => {
    const { logIn, turnOf } = guardWith();
    await logIn(right);
    for (let i = 0; i < 50; i++) await logIn({ ...alice, user: 'mallory', password: `login-token-${i}` });
    expect((await turnOf(right))?.[0]).toBe('user alice');
    const own = await Promise.all(
      Array.from({ length: 50 }, (_value, i) =>
        turnOf({ ...alice, user: 'mallory', password: `login-token-${i}` }),
      ),
    );
    expect(own.filter((turn) => turn?.[0] === 'user mallory')).toHaveLength(16);
  });
});

describe('guesses that come all at once', () => {
  /** So many questions under way, each with what oned is going to say. */
  function many(count: number, { guard, codeOf, loginOf }: ReturnType<typeof guardWith>, who: Who = alice) {
    return Array.from({ length: count }, () => {
      let settle: (error?: GatewayError) => void = () => {};
      const answer = new Promise<string>((resolve, reject) => {
        settle = (error) => (error === undefined ? resolve('welcome') : reject(error));
      });
      answer.catch(() => {});
      // As the client of oned has it: an end from outside ends the call.
      const code = codeOf(
        guard.attempt(
          loginOf(who),
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

  it.each([
    ['the same', { ...alice, password: 'wrong' }, 10],
    ['another each', alice, 10],
  ])('learn no more than those that come one by one: %s', async (_what, who, most) => {
    const guarded = guardWith();
    const guesses = many(100, guarded, who);
    for (const { answer } of guesses) answer(wrongPassword);
    await guarded.pass(100_000);
    const codes = await Promise.all(guesses.map(({ code }) => code));
    expect(codes.filter((code) => code === 'oned-refused').length).toBeLessThanOrEqual(most);
    expect(codes.filter((code) => code === 'too-many-logins').length).toBeGreaterThanOrEqual(100 - most);
    expect(await guarded.fail(1)).toHaveLength(1);
  });

  it('do not end the questions of others', async () => {
    const guarded = guardWith();
    const [bob] = many(1, guarded, { ...alice, user: 'bob' });
    await guarded.fail(10);
    bob?.answer();
    expect(await bob?.code).toBe('let in');
  });

  it.each([
    ['of one session', { ...alice, password: 'right' }, 100],
    ['of a portal that makes a login token for every call', alice, 60],
  ])('are no harm where they are right: %s', async (_what, who, count) => {
    const guarded = guardWith();
    const calls = many(count, guarded, who);
    for (const { answer } of calls) answer();
    expect(await Promise.all(calls.map(({ code }) => code))).toEqual(Array(count).fill('let in'));
    expect(guarded.timers.size).toBe(0);
  });

  it('leave nothing behind', async () => {
    const guarded = guardWith();
    const guesses = many(50, guarded);
    for (const { answer } of guesses) answer(wrongPassword);
    await guarded.pass(100_000);
    await Promise.all(guesses.map(({ code }) => code));
    const { underWay, guesses: queue } = guarded.guard as unknown as {
      underWay: Map<unknown, unknown>;
      guesses: {
        size: number;
        lanes: Map<string, { underWay: Map<unknown, unknown>; waiting: Set<unknown> }>;
      };
    };
    expect([underWay.size, queue.size]).toEqual([0, 0]);
    for (const { underWay, waiting } of queue.lanes.values())
      expect([underWay.size, waiting.size]).toEqual([0, 0]);
    // Names that are not tried any more are forgotten.
    for (let i = 0; i < 1000; i++) {
      await guarded.logIn({ ...alice, user: `user-${i}` });
      await guarded.pass(1000);
    }
    expect(queue.lanes.size).toBeLessThan(20);
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
      expect(await logIn({ ...alice, user: 'bob' })).toBe('let in');
      await fail(1, somebody(i));
    }
    expect(await logIn()).toBe('too-many-logins');
  });

  it('is none for addresses that stand for many', async () => {
    const { fail, logIn } = guardWith({}, { perUser: 10, perAddress: 20 });
    for (let i = 0; i < 100; i++) await fail(1, somebody(i, '127.0.0.1'));
    expect(await logIn(portal)).toBe('let in');
  });
});

describe('a login that is held back', () => {
  it('asks oned only when its time has come', async () => {
    const { fail, attempt, pass, settle } = guardWith();
    await fail(6);
    let asked = 0;
    const held = attempt(alice, async () => {
      asked++;
    });
    await settle();
    expect(asked).toBe(0);
    await pass(3999);
    expect(asked).toBe(0);
    await pass(1);
    expect([await held, asked]).toEqual(['let in', 1]);
  });

  it('has its turn by network: whoever tries most waits for himself', async () => {
    const { fail, attempt, pass, settle } = guardWith();
    await fail(5, portal);
    const order: string[] = [];
    const tries = (client: string, count: number) =>
      Array.from({ length: count }, () =>
        attempt({ client, user: 'alice' }, async () => {
          order.push(client);
          throw wrongPassword;
        }),
      );
    const guesser = tries('192.0.2.66', 10);
    const honest = tries('192.0.2.1', 1);
    await settle();
    await pass(60_000);
    expect(order).toEqual(['192.0.2.66', '192.0.2.1', '192.0.2.66']);
    expect(await Promise.all(honest)).toEqual(['oned-refused']);
    expect((await Promise.all(guesser)).filter((code) => code === 'too-many-logins')).toHaveLength(8);
  });

  it('is one of so many at most, of all names: the network that has most of them gives way', async () => {
    const { fail, logIn, settle, pass } = guardWith({ maxWaiting: 4 });
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const user of [...names, 'alice']) await fail(3, { client: '198.51.100.7', user });
    const flood = names.map((user) => logIn({ client: '192.0.2.66', user }));
    const honest = logIn();
    await settle();
    await pass(10_000);
    expect(await honest).toBe('let in');
    const codes = await Promise.all(flood);
    expect(codes.filter((code) => code === 'let in')).toHaveLength(3);
  });

  it('ends when its caller goes, and oned is not asked', async () => {
    const { fail, guard, codeOf, loginOf } = guardWith();
    await fail(3);
    const gone = new AbortController();
    const attempt = codeOf(
      guard.attempt(loginOf(alice), gone.signal, () => Promise.reject(new Error('oned was asked'))),
    );
    gone.abort();
    expect(await attempt).toBe('caller-gone');
  });

  it('does not begin where its caller has gone before', async () => {
    const { guard, codeOf, loginOf } = guardWith();
    let asked = 0;
    const ask = async () => ++asked;
    expect(await codeOf(guard.attempt(loginOf(alice), AbortSignal.abort(), ask))).toBe('caller-gone');
    expect(asked).toBe(0);
  });

  it('ends when the service stops, and none begins', async () => {
    const { fail, logIn, stopping, timers } = guardWith();
    await fail(3);
    const held = logIn();
    stopping.abort();
    expect(await held).toBe('stopping');
    expect(await logIn()).toBe('stopping');
    expect(await logIn({ ...alice, user: 'bob' })).toBe('let in');
    expect(timers.size).toBe(0);
  });

  it('ends when others reach the limit meanwhile', async () => {
    const { fail, failOnce, logIn, pass } = guardWith({}, { perUser: 4, perAddress: 1000 });
    await fail(3);
    const [first, second] = [failOnce(), logIn()];
    await pass(500);
    expect(await first).toBe('oned-refused');
    expect(await second).toBe('too-many-logins');
  });

  it('waits by a real clock where the test brings none', async () => {
    const { loginOf } = guardWith();
    const limits = { perUser: 10, perAddress: 10 };
    const guard = new LoginGuard({ limits: () => limits, isExempt: () => false, stopping: never() });
    for (let i = 0; i < 3; i++) {
      await guard.attempt(loginOf(alice), never(), () => Promise.reject(wrongPassword)).catch(() => {});
    }
    const startedAt = performance.now();
    await guard.attempt(loginOf(alice), never(), () => Promise.resolve());
    expect(performance.now() - startedAt).toBeGreaterThan(450);
  });
});
