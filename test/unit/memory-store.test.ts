// What is particular to the store in memory: the sweep, the bounds, and what its journal is told.
// What always holds: no call and no sweep does work per stored token.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ExpiryOrder } from '../../src/tokens/memory/expiry-order.ts';
import { MemoryTokenStore, type MemoryTokenStoreOptions } from '../../src/tokens/memory/store.ts';
import type { TokenRecord } from '../../src/tokens/record.ts';
import { end, issued, type TokenRules } from '../../src/tokens/rules.ts';
import { hashToken, type Token, type TokenHash } from '../../src/tokens/token.ts';
import { opened } from '../support/opened-store.ts';
import { seededRandom } from '../support/random.ts';

const minute = 60_000;
const rules: TokenRules = { graceMs: minute, maxAgeMs: undefined, sessions: 'single', bindClient: false };

let now: number;
let forgotten: TokenHash[];

beforeEach(() => {
  now = 1_800_000_000_000;
  forgotten = [];
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});

afterEach(() => vi.useRealTimers());

const journal = {
  create: async () => {},
  changed: () => {},
  forgotten: (hash: TokenHash) => void forgotten.push(hash),
};

function openStore(options: Partial<MemoryTokenStoreOptions> = {}) {
  return opened(new MemoryTokenStore({ now: () => now, journal, ...options }));
}

function record(lifeMs = minute, vmId = 7): TokenRecord {
  const target = { host: 'node1', port: 5907 };
  return issued({ vmId, target, uid: 2, user: 'alice', issuedAt: now, expiresAt: now + lifeMs });
}

const create = (store: MemoryTokenStore, lifeMs?: number, vmId?: number) =>
  store.create(record(lifeMs, vmId), { maxOfVm: 1_000_000, forWebsockify: false });

const revoke = (store: MemoryTokenStore, token: Token) =>
  store.update({ hash: hashToken(token) }, (one, at) => end(one, 'revoked', rules, at));

const keepUntil = (store: MemoryTokenStore, token: Token, until: number) =>
  store.update({ hash: hashToken(token) }, (one) => ({
    record: one && { ...one, keepUntil: until },
    result: undefined,
  }));

const sweep = () => vi.advanceTimersByTime(1000);

describe('the sweep', () => {
  it('forgets what has expired within a second, and nothing else', async () => {
    const store = await openStore();
    const short = await create(store, 1500);
    const long = await create(store, 1501);
    now += 1500;
    sweep();
    expect(forgotten).toEqual([hashToken(short)]);
    now += 1;
    sweep();
    expect(forgotten).toEqual([hashToken(short), hashToken(long)]);
  });

  it.each([
    ['extended', 10 * minute],
    ['shortened', 1000],
  ])('goes by the time as it is after it was %s', async (_how, life) => {
    const store = await openStore();
    const token = await create(store);
    await keepUntil(store, token, now + life);
    now += life - 1;
    sweep();
    expect(forgotten).toEqual([]);
    now += 1;
    sweep();
    expect(forgotten).toEqual([hashToken(token)]);
  });

  it('forgets a bounded number at a time, and all in the end', async () => {
    const store = await openStore();
    for (let count = 0; count < 12_000; count++) await create(store);
    now += minute;
    const counts = [1, 2, 3, 4].map(() => {
      sweep();
      return forgotten.length;
    });
    expect(counts).toEqual([5000, 10_000, 12_000, 12_000]);
    expect(await store.list(1)).toEqual([]);
  });

  it('looks at none of a hundred thousand that live on', async () => {
    const order = new ExpiryOrder();
    const hash = (index: number) => `${index}` as TokenHash;
    for (let index = 0; index < 100_000; index++) order.put(hash(index), now + minute + (index % 600) * 1000);
    for (let index = 0; index < 100_000; index++) order.put(hash(index), now + 2 * minute + index);
    expect(order.takeDue(now + minute - 1000, 1000)).toEqual([]);
    expect(order.takeDue(now + minute, 1000)).toHaveLength(Math.ceil(100_000 / 600));
  });

  it('ends with the store', async () => {
    const store = await openStore();
    expect(vi.getTimerCount()).toBe(1);
    await store.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('the order of expiry', () => {
  it('gives each token when its time has come, however the clock and the times move', () => {
    const seed = 4711;
    const random = seededRandom(seed);
    const order = new ExpiryOrder();
    const model = new Map<TokenHash, number>();
    for (let step = 0; step < 20_000; step++) {
      const hash = `${random(300)}` as TokenHash;
      const action = random(10);
      if (action < 6) {
        model.set(hash, now + random(action === 0 ? 10_000_000 : 100_000));
        order.put(hash, model.get(hash) ?? 0);
      } else if (action < 8) {
        model.delete(hash);
        order.delete(hash);
      } else {
        now += random(action === 9 && random(50) === 0 ? 1_000_000 : 2000);
        const limit = 1 + random(20);
        const taken: TokenHash[] = [];
        for (let some = order.takeDue(now, limit); some.length > 0; some = order.takeDue(now, limit)) {
          expect(some.length).toBeLessThanOrEqual(limit);
          taken.push(...some);
        }
        for (const one of taken) if ((model.get(one) ?? now) <= now) model.delete(one);
        expect(
          [...model.values()].filter((at) => at <= now),
          `seed ${seed}`,
        ).toEqual([]);
        for (const one of taken) if (model.has(one)) order.put(one, model.get(one) ?? 0);
      }
    }
  });
});

describe('the bounds', () => {
  it('hold for tokens that are being created as well, and what expires makes room at once', async () => {
    const store = await openStore({ maxTokens: 5 });
    const ends = await Promise.allSettled(Array.from({ length: 12 }, () => create(store)));
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    for (const one of ends)
      if (one.status === 'rejected')
        expect(one.reason).toMatchObject({ code: 'over-limit', detail: 'more than 5 live tokens' });
    now += minute;
    await create(store);
  });

  it('do not let ended tokens keep anybody from getting one; the oldest of them are forgotten', async () => {
    const store = await openStore({ maxTokens: 5 });
    const tokens: Token[] = [];
    for (let count = 0; count < 8; count++) {
      const token = await create(store);
      await revoke(store, token);
      tokens.push(token);
    }
    const known = await Promise.all(
      tokens.map((token) =>
        store.update({ hash: hashToken(token) }, (one) => ({ record: one, result: one?.ended })),
      ),
    );
    expect(known).toEqual([...Array(3).fill(undefined), ...Array(5).fill('revoked')]);
    expect(await store.list(100)).toHaveLength(5);
  });

  it('of one VM do not see other VMs, and a failed creation gives its place back', async () => {
    let fail = true;
    const failing = {
      ...journal,
      create: () => (fail ? Promise.reject(new Error('no')) : Promise.resolve()),
    };
    const store = await openStore({ journal: failing });
    const one = (vmId: number) => store.create(record(minute, vmId), { maxOfVm: 1, forWebsockify: false });
    await expect(one(7)).rejects.toThrow('no');
    fail = false;
    await one(8);
    await one(7);
    await expect(one(7)).rejects.toMatchObject({ code: 'too-many-tokens' });
    expect(await store.ofVm(7)).toHaveLength(1);
  });
});

describe('a token that is being created', () => {
  it('cannot be found before its journal has it', async () => {
    let proceed = () => {};
    let shown: TokenHash | undefined;
    const slow = {
      ...journal,
      create: (_token: Token, hash: TokenHash) => {
        shown = hash;
        return new Promise<void>((resolve) => {
          proceed = resolve;
        });
      },
    };
    const store = await openStore({ journal: slow });
    const creation = create(store);
    const find = () => store.update({ hash: shown as TokenHash }, (one) => ({ record: one, result: one }));
    expect(await find()).toBeUndefined();
    expect(await store.ofVm(7)).toEqual([]);
    proceed();
    await creation;
    expect(await find()).toBeDefined();
  });
});
