// The rules about tokens at their boundaries, to the millisecond. What always holds: a refusal changes nothing, what is
// dead stays dead, and a record is kept for as long as it decides anything.
import { describe, expect, it } from 'vitest';
import type { Grant } from '../../src/tokens/grant.ts';
import type { SessionId, TokenRecord } from '../../src/tokens/record.ts';
import {
  type Changed,
  type ClaimOutcome,
  claim,
  end,
  isAlive,
  issued,
  LEASE_MS,
  presentLeases,
  type RenewOutcome,
  release,
  renew,
  TAKE_OVER_GAP_MS,
  type TokenRules,
} from '../../src/tokens/rules.ts';

const START = 1_700_000_000_000;
const TTL = 600_000;
const GRACE = 45_000;
const MAX_AGE = 7_200_000;
const usual: TokenRules = { graceMs: GRACE, maxAgeMs: MAX_AGE, sessions: 'single', bindClient: false };
const grant: Grant = {
  vmId: 7,
  target: { host: 'host1', port: 5907 },
  uid: 2,
  user: 'alice',
  issuedAt: START,
  expiresAt: START + TTL,
};
const HOME = '192.0.2.1';
const AWAY = '198.51.100.2';
const id = (name: string) => name as SessionId;

/** One token and a clock; times are milliseconds since its issue. */
class Life {
  record: TokenRecord | undefined = issued(grant);
  readonly rules: TokenRules;

  constructor(rules: Partial<TokenRules> = {}) {
    this.rules = { ...usual, ...rules };
  }

  claim(at: number, session: string, client = HOME, silent?: string): ClaimOutcome {
    const request = { session: id(session), client, silent: silent === undefined ? undefined : id(silent) };
    const before = this.record;
    const outcome = this.take(claim(before, request, this.rules, START + at));
    if (outcome.kind !== 'granted') expect(this.record).toBe(before);
    return outcome;
  }

  renew(at: number, session: string, client = HOME): RenewOutcome {
    const before = this.record;
    const lease = { id: id(session), client, since: START, bytes: 5 };
    const outcome = this.take(renew(before, lease, this.rules, START + at));
    if (outcome !== 'renewed') expect(this.record).toBe(before);
    return outcome;
  }

  /** @returns whether it changed anything */
  release(at: number, session: string): boolean {
    const before = this.record;
    this.take(release(before, id(session), this.rules, START + at));
    return this.record !== before;
  }

  end(at: number, why: 'revoked' | 'vm-gone' = 'revoked'): readonly string[] | undefined {
    return this.take(end(this.record, why, this.rules, START + at));
  }

  alive(at: number): boolean {
    return this.record !== undefined && isAlive(this.record, this.rules, START + at);
  }

  present(at: number): string[] {
    return presentLeases(this.record?.use, START + at).map(({ session }) => session);
  }

  keptUntil(): number {
    return (this.record?.keepUntil ?? 0) - START;
  }

  private take<R>({ record, result }: Changed<R>): R {
    this.record = record;
    return result;
  }
}

const granted = (replaced: string[] = []) => ({ kind: 'granted', grant, replaced });
const notValid = (why: string) => ({ kind: 'not-valid', why });
const inUse = (holder?: string) => ({ kind: 'in-use', holder });

describe('the first use', () => {
  it.each([
    [0, granted()],
    [TTL - 1, granted()],
    [TTL, notValid('expired')],
    [10 * TTL, notValid('expired')],
  ])('%i ms after the issue', (at, expected) => {
    const life = new Life();
    expect(life.alive(at)).toBe(expected.kind === 'granted');
    expect(life.claim(at, 'a')).toMatchObject(expected);
  });

  it('of a token that nobody knows is not valid, and makes no record', () => {
    const life = new Life();
    life.record = undefined;
    expect(life.claim(0, 'a')).toEqual(notValid('unknown'));
    expect([life.renew(0, 'a'), life.release(0, 'a'), life.end(0)]).toEqual(['unknown', false, undefined]);
  });

  it('cannot come after the end of its age, where that is the earlier one', () => {
    for (const [at, kind] of [
      [999, 'granted'],
      [1000, 'not-valid'],
    ] as const) {
      expect(new Life({ maxAgeMs: 1000 }).claim(at, 'a').kind).toBe(kind);
    }
  });

  it('leaves nothing behind when it is refused', () => {
    const life = new Life();
    life.claim(TTL, 'a');
    expect(life.record).toEqual(issued(grant));
  });
});

describe('how long a used token opens', () => {
  const LAPSE = LEASE_MS + GRACE;

  type Step = [what: 'claim' | 'renew' | 'release', at: number, session: string];

  it.each<[what: string, steps: Step[], until: number]>([
    ['nobody said a word again', [['claim', 0, 'a']], LAPSE],
    [
      'the only one left at once',
      [
        ['claim', 0, 'a'],
        ['release', 0, 'a'],
      ],
      GRACE,
    ],
    [
      'the only one left later',
      [
        ['claim', 0, 'a'],
        ['release', 20_000, 'a'],
      ],
      20_000 + GRACE,
    ],
    [
      'a lease was renewed',
      [
        ['claim', 0, 'a'],
        ['renew', 20_000, 'a'],
      ],
      20_000 + LAPSE,
    ],
    [
      'a lease was renewed in its last millisecond',
      [
        ['claim', 0, 'a'],
        ['renew', LEASE_MS - 1, 'a'],
      ],
      LEASE_MS - 1 + LAPSE,
    ],
    [
      'a lease that had run out was renewed just in time',
      [
        ['claim', 0, 'a'],
        ['renew', LAPSE - 1, 'a'],
      ],
      2 * LAPSE - 1,
    ],
    [
      'it was released twice',
      [
        ['claim', 0, 'a'],
        ['release', 1, 'a'],
        ['release', 9, 'a'],
      ],
      1 + GRACE,
    ],
    [
      'another one was released',
      [
        ['claim', 0, 'a'],
        ['release', 30_000, 'b'],
      ],
      LAPSE,
    ],
    [
      'one was released whose lease had run out',
      [
        ['claim', 0, 'a'],
        ['release', LEASE_MS, 'a'],
      ],
      LAPSE,
    ],
    [
      'one was released just before its lease ran out',
      [
        ['claim', 0, 'a'],
        ['release', LEASE_MS - 1, 'a'],
      ],
      LAPSE - 1,
    ],
    [
      'somebody came back within the grace and left',
      [
        ['claim', 0, 'a'],
        ['release', 0, 'a'],
        ['claim', GRACE - 1, 'b'],
        ['release', GRACE, 'b'],
      ],
      2 * GRACE,
    ],
    [
      'the one who was taken over from says goodbye last',
      [
        ['claim', 0, 'a'],
        ['claim', 1, 'b'],
        ['release', 2, 'b'],
        ['release', 9, 'a'],
      ],
      2 + GRACE,
    ],
    [
      'it was first used in its last millisecond',
      [
        ['claim', TTL - 1, 'a'],
        ['release', TTL - 1, 'a'],
      ],
      TTL - 1 + GRACE,
    ],
  ])('where %s', (_what, steps, until) => {
    const life = new Life();
    for (const [what, at, session] of steps) life[what](at, session);
    expect(life.alive(until - 1)).toBe(true);
    expect(life.alive(until)).toBe(false);
    expect(life.keptUntil()).toBe(until);
    expect(life.claim(until, 'z')).toEqual(notValid('used'));
    expect(life.claim(until - 1, 'z').kind).toBe('granted');
  });

  it('is up to its age, whoever is on it', () => {
    const life = new Life();
    expect(life.claim(0, 'a')).toMatchObject({ endsAt: START + MAX_AGE });
    for (let at = 0; at < MAX_AGE; at += 20_000) expect(life.renew(at, 'a')).toBe('renewed');
    expect(life.claim(MAX_AGE - 1, 'b')).toMatchObject({ kind: 'granted', endsAt: START + MAX_AGE });
    expect(life.keptUntil()).toBe(MAX_AGE);
    expect(life.claim(MAX_AGE, 'c')).toEqual(notValid('expired'));
    expect([life.renew(MAX_AGE, 'b'), life.end(MAX_AGE)]).toEqual(['unknown', undefined]);
  });

  it('has no end where there is no age', () => {
    const life = new Life({ maxAgeMs: undefined });
    expect(life.claim(0, 'a')).toMatchObject({ endsAt: undefined });
    for (let at = 0; at < 40 * MAX_AGE; at += 50_000) expect(life.renew(at, 'a')).toBe('renewed');
    expect(life.claim(40 * MAX_AGE, 'b').kind).toBe('granted');
  });

  it('is not at all after the last one has left, without a grace', () => {
    const life = new Life({ graceMs: 0 });
    life.claim(0, 'a');
    expect(life.alive(LEASE_MS - 1)).toBe(true);
    expect(life.alive(LEASE_MS)).toBe(false);
    life.release(5, 'a');
    expect(life.claim(5, 'a')).toEqual(notValid('used'));
  });
});

describe('a dead token', () => {
  it.each<[how: string, die: (life: Life) => void, at: number, told: RenewOutcome]>([
    ['that was never used', () => {}, TTL, 'unknown'],
    ['with its grace over', (life) => life.release(0, 'a'), GRACE, 'unknown'],
    ['whose host was silent', (life) => life.claim(0, 'a'), LEASE_MS + GRACE, 'unknown'],
    ['of full age', () => {}, MAX_AGE, 'unknown'],
    ['that was revoked', (life) => life.end(1), 1, 'revoked'],
    ['whose VM is gone', (life) => life.end(1, 'vm-gone'), 1, 'vm-gone'],
  ])('%s is not brought to life again', (how, die, at, told) => {
    const life = new Life();
    if (how !== 'that was never used') life.claim(0, 'a');
    die(life);
    const dead = life.record;
    expect(life.alive(at)).toBe(false);
    expect(life.claim(at, 'b').kind).toBe('not-valid');
    expect(life.claim(at, 'b', HOME, 'a').kind).toBe('not-valid');
    expect(life.renew(at, 'a')).toBe(told);
    life.release(at, 'a');
    expect(life.end(at)).toBeUndefined();
    expect(life.alive(at)).toBe(false);
    expect(life.record?.ended).toBe(dead?.ended);
  });
});

describe('an end', () => {
  it('names those who are there, and nobody else', () => {
    const life = new Life({ sessions: 'shared' });
    for (const name of ['a', 'b', 'c']) life.claim(0, name);
    life.release(1, 'b');
    life.renew(30_000, 'c');
    expect(life.end(LEASE_MS)).toEqual(['c']);
  });

  it('of an unused token ends nobody, and is an end all the same', () => {
    const life = new Life();
    expect(life.end(0)).toEqual([]);
    expect(life.claim(0, 'a')).toEqual(notValid('ended'));
  });

  it('comes once: the second one neither counts nor changes why', () => {
    const life = new Life();
    life.claim(0, 'a');
    expect(life.end(1, 'vm-gone')).toEqual(['a']);
    const { record } = life;
    expect(life.end(2, 'revoked')).toBeUndefined();
    expect(life.record).toBe(record);
  });

  it('is remembered for a day, with no trace of who was there', () => {
    const life = new Life();
    life.claim(0, 'a');
    life.end(1000);
    expect(life.record).toEqual({ grant, ended: 'revoked', keepUntil: START + 1000 + 86_400_000 });
  });

  it('is remembered for the time of a lease only, where nobody was on the console', () => {
    const unused = new Life();
    unused.end(1000);
    const left = new Life();
    left.claim(0, 'a');
    left.release(500, 'a');
    left.end(1000);
    expect([unused.keptUntil(), left.keptUntil()]).toEqual([1000 + LEASE_MS, 1000 + LEASE_MS]);
  });

  it('is remembered for a day where somebody may be there without being able to say so', () => {
    const life = new Life();
    life.claim(0, 'a');
    life.end(LEASE_MS + 1000);
    expect(life.keptUntil()).toBe(LEASE_MS + 1000 + 86_400_000);
  });
});

describe('two on one token', () => {
  const v6 = '2001:db8:1:2::1';

  it.each([
    ['the same address', HOME, HOME, granted(['a'])],
    ['another address', HOME, AWAY, inUse('a')],
    ['the next address', HOME, '192.0.2.2', inUse('a')],
    ['the same IPv6 address in other words', v6, '2001:DB8:1:2:0:0:0:1', granted(['a'])],
    ['another address of the same /64', v6, '2001:db8:1:2:ffff::9', granted(['a'])],
    ['the next /64', v6, '2001:db8:1:3::1', inUse('a')],
    ['IPv4 beside IPv6', HOME, v6, inUse('a')],
  ])('the second from %s', (_what, first, second, expected) => {
    const life = new Life();
    life.claim(0, 'a', first);
    expect(life.claim(1, 'b', second)).toMatchObject(expected);
    expect(life.present(1)).toEqual([expected.kind === 'granted' ? 'b' : 'a']);
  });

  it.each([
    [0, inUse()],
    [1, inUse()],
    [TAKE_OVER_GAP_MS - 1, inUse()],
    [TAKE_OVER_GAP_MS, granted(['b'])],
    // The clock was set back.
    [-1, granted(['b'])],
  ])('%i ms after a take-over, a third from the same address', (after, expected) => {
    const life = new Life();
    life.claim(0, 'a');
    life.claim(20_000, 'b');
    expect(life.claim(20_000 + after, 'c')).toMatchObject(expected);
  });

  it('do not count as a take-over where the first had left or was lost', () => {
    const life = new Life();
    life.claim(0, 'a');
    life.release(1, 'a');
    expect(life.claim(2, 'b')).toMatchObject(granted());
    expect(life.claim(3, 'c')).toMatchObject(granted(['b']));
    const other = new Life();
    other.claim(0, 'a');
    expect(other.claim(LEASE_MS, 'b', AWAY)).toMatchObject(granted());
    expect(other.claim(LEASE_MS + 1, 'c', AWAY)).toMatchObject(granted(['b']));
  });

  it('stand in the way of each other up to the end of a lease, from another address', () => {
    const life = new Life();
    life.claim(0, 'a');
    expect(life.claim(LEASE_MS - 1, 'b', AWAY)).toEqual(inUse('a'));
    expect(life.claim(LEASE_MS, 'b', AWAY)).toMatchObject(granted());
  });
});

describe('one who was asked and did not answer', () => {
  it('makes room for another address, at any time, and starts the gap', () => {
    const life = new Life();
    life.claim(0, 'a');
    expect(life.claim(5000, 'b', AWAY, 'a')).toMatchObject(granted(['a']));
    expect(life.claim(5001, 'c', HOME, 'b')).toMatchObject(granted(['b']));
    expect(life.claim(5002, 'd', HOME)).toEqual(inUse());
  });

  it('has left in the meantime: nobody is taken over from', () => {
    const life = new Life();
    life.claim(0, 'a');
    life.release(4000, 'a');
    expect(life.claim(5000, 'b', AWAY, 'a')).toMatchObject(granted());
    expect(life.claim(5001, 'c', AWAY)).toMatchObject(granted(['b']));
  });

  it('does not speak for the one who took over in the meantime', () => {
    const life = new Life();
    life.claim(0, 'a');
    life.claim(4000, 'b');
    expect(life.claim(5000, 'c', AWAY, 'a')).toEqual(inUse('b'));
    expect(life.present(5000)).toEqual(['b']);
  });

  it('is not saved by the grace, nor does it open what is dead', () => {
    const life = new Life();
    life.claim(0, 'a');
    life.end(1);
    expect(life.claim(5000, 'b', AWAY, 'a')).toEqual(notValid('ended'));
  });
});

describe('a shared token', () => {
  it('serves many, from anywhere, and nobody is replaced', () => {
    const life = new Life({ sessions: 'shared' });
    for (const [index, client] of [HOME, HOME, AWAY, '2001:db8::1'].entries()) {
      expect(life.claim(index, `s${index}`, client)).toMatchObject(granted());
    }
    expect(life.present(4)).toEqual(['s0', 's1', 's2', 's3']);
    for (const name of ['s0', 's1', 's2', 's3']) life.release(10_000, name);
    expect(life.keptUntil()).toBe(10_000 + GRACE);
  });

  it('serves no more than the bound, until one leaves or is lost', () => {
    const life = new Life({ sessions: 'shared' });
    for (let index = 0; index < 256; index++) expect(life.claim(index, `s${index}`).kind).toBe('granted');
    expect(life.claim(300, 'more')).toEqual(inUse());
    life.release(301, 's5');
    expect(life.claim(302, 'more').kind).toBe('granted');
    expect(life.claim(303, 'again')).toEqual(inUse());
    expect(life.claim(LEASE_MS, 'again').kind).toBe('granted');
  });

  it('that is single after a change of the configuration asks those elsewhere first', () => {
    const life = new Life({ sessions: 'shared' });
    life.claim(0, 'a', HOME);
    life.claim(0, 'b', AWAY);
    const single = { ...life.rules, sessions: 'single' as const };
    const request = { session: id('c'), client: HOME };
    expect(claim(life.record, request, single, START + 1).result).toEqual(inUse('b'));
    expect(claim(life.record, { ...request, silent: id('b') }, single, START + 1).result).toMatchObject(
      granted(['a', 'b']),
    );
  });
});

describe('a token bound to its first client', () => {
  const bound = { bindClient: true, sessions: 'shared' } as const;

  it.each([
    [HOME, HOME, true],
    [HOME, AWAY, false],
    ['2001:db8:1:2::1', '2001:db8:1:2:3:4:5:6', true],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
  ])('%s, then %s: %s', (first, second, opens) => {
    const life = new Life(bound);
    life.claim(0, 'a', first);
    const expected = opens ? granted() : notValid('other client');
    expect(life.claim(1, 'b', second)).toMatchObject(expected);
    life.release(2, 'a');
    expect(life.claim(3, 'c', second)).toMatchObject(expected);
    expect(life.claim(4, 'd', first)).toMatchObject(granted());
  });

  it('knows the first one even where it is bound only after a change of the configuration', () => {
    const life = new Life({ bindClient: false });
    life.claim(0, 'a', HOME);
    life.release(1, 'a');
    life.claim(2, 'b', AWAY);
    const later = { session: id('c'), client: AWAY };
    expect(claim(life.record, later, { ...life.rules, bindClient: true }, START + 3).result).toEqual(
      notValid('other client'),
    );
  });

  it('says of a dead one that it is dead, not that it is somebody else’s', () => {
    const life = new Life(bound);
    life.claim(0, 'a');
    life.end(1);
    expect(life.claim(2, 'b', AWAY)).toEqual(notValid('ended'));
  });
});

describe('a renewal', () => {
  it('keeps who, where and since when, and the first use', () => {
    const life = new Life();
    life.claim(0, 'a');
    expect(life.renew(20_000, 'a')).toBe('renewed');
    expect(life.record?.use).toEqual({
      firstAt: START,
      network: HOME,
      leases: [{ session: 'a', client: HOME, since: START, until: START + 20_000 + LEASE_MS, bytes: 5 }],
      openUntil: 0,
      takenOverAt: undefined,
    });
  });

  it('puts back a session that the record has forgotten', () => {
    const life = new Life();
    expect(life.renew(5000, 'a')).toBe('renewed');
    expect(life.present(5000)).toEqual(['a']);
    expect(life.record?.use).toMatchObject({ firstAt: START, network: HOME });
    expect(life.claim(5001, 'b', AWAY)).toEqual(inUse('a'));
  });

  it('tells one that was forgotten that somebody else has the console', () => {
    const life = new Life();
    life.claim(0, 'a');
    expect(life.claim(LEASE_MS, 'b', AWAY)).toMatchObject(granted());
    expect(life.renew(LEASE_MS + 1, 'a')).toBe('taken-over');
    expect(life.present(LEASE_MS + 1)).toEqual(['b']);
    life.release(LEASE_MS + 2, 'b');
    expect(life.renew(LEASE_MS + 3, 'a')).toBe('renewed');
  });

  it('puts it back beside others where tokens are shared', () => {
    const life = new Life({ sessions: 'shared' });
    life.claim(0, 'a');
    life.claim(LEASE_MS, 'b');
    expect(life.renew(LEASE_MS + 1, 'a')).toBe('renewed');
    expect(life.present(LEASE_MS + 1).toSorted()).toEqual(['a', 'b']);
  });

  it('drops those who are lost, so that a record does not grow', () => {
    const life = new Life({ sessions: 'shared' });
    for (let index = 0; index < 50; index++) life.claim(0, `s${index}`);
    life.renew(LEASE_MS, 's0');
    expect(life.record?.use?.leases).toHaveLength(1);
  });
});

describe('rules that have become stricter', () => {
  const narrowed = (life: Life, rules: Partial<TokenRules>): Life => {
    const next = new Life({ ...life.rules, ...rules });
    next.record = life.record;
    return next;
  };

  it('hold for a token that nobody has used yet: ttlMs counts from its issue, and never gives more', () => {
    const life = narrowed(new Life(), { ttlMs: 1000 });
    expect([life.alive(999), life.alive(1000)]).toEqual([true, false]);
    expect(life.claim(1000, 's1')).toEqual({ kind: 'not-valid', why: 'expired' });
    const wider = narrowed(new Life(), { ttlMs: 10 * TTL });
    expect([wider.alive(TTL - 1), wider.alive(TTL)]).toEqual([true, false]);
    expect(life.claim(999, 's1').kind).toBe('granted');
    // Used in time: from now on other times count.
    expect(life.alive(2000)).toBe(true);
  });

  it('hold for a token that was left: graceMs counts from then, and never gives more', () => {
    const life = new Life({ graceMs: 50_000 });
    life.claim(0, 's1');
    life.release(1000, 's1');
    const strict = narrowed(life, { graceMs: 10_000 });
    expect([strict.alive(10_999), strict.alive(11_000)]).toEqual([true, false]);
    expect(narrowed(life, { graceMs: 0 }).alive(1000)).toBe(false);
    const wider = narrowed(life, { graceMs: 500_000 });
    expect([wider.alive(50_999), wider.alive(51_000)]).toEqual([true, false]);
    // Somebody who came in between is not counted by the one who left before.
    expect(life.claim(20_000, 's2').kind).toBe('granted');
    expect(narrowed(life, { graceMs: 0 }).alive(20_001)).toBe(true);
    expect(narrowed(life, { graceMs: 0 }).alive(20_000 + LEASE_MS)).toBe(false);
  });

  it('hold for the address: bindClient is about who came first, also before it was set', () => {
    const life = new Life();
    life.claim(0, 's1');
    life.release(10, 's1');
    const bound = narrowed(life, { bindClient: true });
    expect(bound.claim(20, 's2', AWAY)).toEqual({ kind: 'not-valid', why: 'other client' });
    expect(bound.claim(20, 's2', HOME).kind).toBe('granted');
  });
});
