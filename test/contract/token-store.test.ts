// What every store of tokens has to do, whatever it keeps them in. The rules are the real ones; time is the store's own.
// What always holds: an update is one step for all who share the store, and what has expired is as good as never made.
import { describe, expect, it } from 'vitest';
import { clipboardModes } from '../../src/clipboard.ts';
import { GatewayError } from '../../src/errors.ts';
import type { Grant } from '../../src/tokens/grant.ts';
import { MAX_ENDED_OF_USER, MAX_ENDED_OF_VM } from '../../src/tokens/limits.ts';
import type { Lease, SessionId, TokenRecord } from '../../src/tokens/record.ts';
import {
  type ClaimOutcome,
  claim,
  end,
  isAlive,
  issued,
  LEASE_MS,
  RENEW_EVERY_MS,
  release,
  renew,
  type TokenRules,
} from '../../src/tokens/rules.ts';
import type { StoredToken, TokenKey } from '../../src/tokens/store.ts';
import { hashToken, type Token } from '../../src/tokens/token.ts';
import { type StoreUnderTest, storeKinds } from '../support/token-stores.ts';
import { waitFor } from '../support/wait.ts';

const minute = 60_000;
const hour = 60 * minute;

/** Longer than any store takes to answer, and shorter than what the tests wait for. */
const ttl = 10 * minute;

const rules: TokenRules = { graceMs: minute, maxAgeMs: 12 * hour, sessions: 'single', bindClient: false };
const roomy = { maxOfVm: 1000, forWebsockify: true };

function grantNow({ store }: StoreUnderTest, over: Partial<Grant> = {}): Grant {
  const now = store.now();
  const target = { host: 'node1', port: 5907 };
  return { vmId: 7, target, uid: 2, user: 'alice', issuedAt: now, expiresAt: now + ttl, ...over };
}

/** Somebody, by a name that stands for an id of its own. */
function person(user: string): { uid: number; user: string } {
  return { uid: [...user].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 1e6, 1), user };
}

function keyOf(token: Token): TokenKey {
  return { hash: hashToken(token), sealed: token };
}

/** One character in the middle is another one. */
function forgedOf(token: Token): Token {
  const at = Math.floor(token.length / 2);
  return `${token.slice(0, at)}${token[at] === 'a' ? 'b' : 'a'}${token.slice(at + 1)}` as Token;
}

function create(under: StoreUnderTest, over: Partial<Grant> = {}): Promise<Token> {
  return under.store.create(issued(grantNow(under, over)), roomy);
}

function recordOf({ store }: StoreUnderTest, token: Token): Promise<TokenRecord | undefined> {
  return store.update(keyOf(token), (record) => ({ record, result: record }));
}

function claimAs(
  { store }: StoreUnderTest,
  token: Token,
  session: string,
  client = '192.0.2.1',
): Promise<ClaimOutcome> {
  const request = { session: session as SessionId, client };
  return store.update(keyOf(token), (record, now) => claim(record, request, rules, now));
}

function releaseAs({ store }: StoreUnderTest, token: Token, session: string): Promise<void> {
  return store.update(keyOf(token), (record, now) => release(record, session as SessionId, rules, now));
}

function renewAs({ store }: StoreUnderTest, token: Token, session: string, bytes = 0) {
  const one = { id: session as SessionId, client: '192.0.2.1', since: store.now(), bytes };
  return store.update(keyOf(token), (record, now) => renew(record, one, rules, now));
}

function revoke({ store }: StoreUnderTest, token: Token) {
  return store.update(keyOf(token), (record, now) => end(record, 'revoked', rules, now));
}

const notValid = (why: string) => ({ kind: 'not-valid', why });

describe.each(storeKinds)('the $name store', ({ start }) => {
  it('gives the record back that a token was created with, and each token is another one', async () => {
    const under = await start();
    const grant = grantNow(under);
    const first = await under.store.create(issued(grant), roomy);
    const second = await under.store.create(issued(grant), roomy);
    expect(first).not.toBe(second);
    expect(await recordOf(under, first)).toEqual(issued(grant));
    expect(await recordOf(under, second)).toEqual(issued(grant));
  });

  it.each(clipboardModes)('keeps what the browser may do, clipboard %s', async (clipboard) => {
    const under = await start();
    const vnc = { sealedPassword: 'sealed', viewOnly: clipboard === 'off', clipboard };
    const token = await create(under, { vnc });
    await claimAs(under, token, 's1');
    expect((await recordOf(under, token))?.grant.vnc).toEqual(vnc);
  });

  it('tells a change what time it is, and hands its result on', async () => {
    const under = await start();
    const token = await create(under);
    const before = under.store.now();
    const told = await under.store.update(keyOf(token), (record, now) => ({ record, result: now }));
    expect(told).toBeGreaterThanOrEqual(before);
    expect(told).toBeLessThanOrEqual(under.store.now());
  });

  it('knows no token that it did not create', async () => {
    const under = await start();
    const token = await create(under);
    for (const other of [
      '',
      'x',
      '__proto__',
      `${token}x`,
      token.slice(1),
      hashToken(token),
      forgedOf(token),
    ]) {
      expect(await recordOf(under, other as Token)).toBeUndefined();
      expect(await claimAs(under, other as Token, 's1')).toEqual(notValid('unknown'));
    }
    expect(await recordOf(under, token)).toBeDefined();
  });

  it('forgets a token that was not used in time', async () => {
    const under = await start();
    const token = await create(under);
    const other = await create(under, { expiresAt: under.store.now() + 3 * ttl });
    await under.advance(ttl - minute);
    expect(await recordOf(under, token)).toBeDefined();
    await under.advance(minute);
    expect(await recordOf(under, token)).toBeUndefined();
    expect(await recordOf(under, other)).toBeDefined();
  });

  it('does not let a failing change pass for an answer, and goes on', async () => {
    const under = await start();
    const token = await create(under);
    const failing = under.store.update(keyOf(token), () => {
      throw new GatewayError('internal', { detail: 'the change failed' });
    });
    await expect(failing).rejects.toThrow('the change failed');
    expect(await recordOf(under, token)).toBeDefined();
  });

  it('keeps what a change makes of a record, every field of it', async () => {
    const under = await start();
    const caller = { uid: 5, gids: [1, 100], byPermission: true };
    const token = await create(under, { caller });
    await claimAs(under, token, 's1', '2001:db8::1');
    await renewAs(under, token, 's1', 12_345);
    const record = await recordOf(under, token);
    expect(record?.grant).toMatchObject({ caller, vmId: 7, user: 'alice' });
    expect(record?.use).toMatchObject({ network: '2001:db8:0:0::/64', openUntil: 0 });
    expect(record?.use?.leases).toMatchObject([{ session: 's1', bytes: 12_345 }]);
  });

  it('leaves all as it is, and writes nothing, where a change gives back the same record', async () => {
    const under = await start();
    const token = await create(under);
    await claimAs(under, token, 's1');
    const before = await recordOf(under, token);
    const written = await under.writes?.();
    expect(await claimAs(under, token, 's2', '192.0.2.2')).toMatchObject({ kind: 'in-use' });
    await releaseAs(under, token, 'another');
    expect(await recordOf(under, token)).toEqual(before);
    expect(await under.writes?.()).toBe(written);
    await releaseAs(under, token, 's1');
    if (written !== undefined)
      await waitFor(async () => Number(await under.writes?.()) > written, { what: 'a change to be written' });
  });

  it('lets one of a hundred simultaneous claims pass', async () => {
    const under = await start();
    const token = await create(under);
    const claims = Array.from({ length: 100 }, (_, i) => claimAs(under, token, `s${i}`, `192.0.2.${i}`));
    const outcomes = await Promise.all(claims);
    expect(outcomes.filter(({ kind }) => kind === 'granted')).toHaveLength(1);
    expect(outcomes.filter(({ kind }) => kind === 'in-use')).toHaveLength(99);
    expect((await recordOf(under, token))?.use?.leases).toHaveLength(1);
  });

  it('loses none of a hundred simultaneous changes', async () => {
    const under = await start();
    const token = await create(under);
    await claimAs(under, token, 's1');
    const more = (lease: Lease): Lease => ({ ...lease, bytes: lease.bytes + 1 });
    const addOne = () =>
      under.store.update(keyOf(token), (record) => {
        const use = record?.use && { ...record.use, leases: record.use.leases.map(more) };
        return { record: record && { ...record, use }, result: undefined };
      });
    await Promise.all(Array.from({ length: 100 }, addOne));
    expect((await recordOf(under, token))?.use?.leases[0]?.bytes).toBe(100);
  });

  it('keeps a token open while its lease is renewed and for the time of grace, and then no longer', async () => {
    const under = await start();
    const token = await create(under);
    expect(await claimAs(under, token, 's1')).toMatchObject({ kind: 'granted' });
    for (let passed = 0; passed < 2 * ttl; passed += RENEW_EVERY_MS) {
      await under.advance(RENEW_EVERY_MS);
      expect(await renewAs(under, token, 's1')).toBe('renewed');
    }
    await releaseAs(under, token, 's1');
    await under.advance(rules.graceMs / 2);
    expect(await claimAs(under, token, 's2')).toMatchObject({ kind: 'granted' });
    await releaseAs(under, token, 's2');
    await under.advance(rules.graceMs);
    expect((await claimAs(under, token, 's3')).kind).toBe('not-valid');
    expect(await under.store.ofVm(7)).toEqual([]);
  });

  it('closes a token whose host says nothing any more', async () => {
    const under = await start();
    const token = await create(under);
    await claimAs(under, token, 's1');
    await under.advance(LEASE_MS + rules.graceMs / 2);
    expect(await recordOf(under, token)).toBeDefined();
    await under.advance(rules.graceMs / 2);
    expect((await claimAs(under, token, 's2')).kind).toBe('not-valid');
  });

  it('honours a time that a change has shortened', async () => {
    const under = await start();
    const token = await create(under);
    const until = under.store.now() + minute;
    await under.store.update(keyOf(token), (record) => ({
      record: record && { ...record, keepUntil: until },
      result: undefined,
    }));
    await under.advance(minute);
    expect(await recordOf(under, token)).toBeUndefined();
    expect(await under.store.list(10)).toEqual([]);
  });

  it('finds the tokens of a VM, by their hash, and of no other VM', async () => {
    const under = await start();
    const tokens = [await create(under), await create(under)];
    await create(under, { vmId: 70 });
    await create(under, { expiresAt: under.store.now() + minute });
    await under.advance(minute);
    const found = await under.store.ofVm(7);
    expect(found.map(({ hash }) => hash).toSorted()).toEqual(tokens.map(hashToken).toSorted());
    for (const { record } of found) expect(record.grant).toMatchObject({ vmId: 7, user: 'alice' });
    expect(await under.store.ofVm(71)).toEqual([]);
    for (const token of tokens) expect(JSON.stringify(found)).not.toContain(token);
  });

  it('finds what has changed as it is now', async () => {
    const under = await start();
    const token = await create(under);
    await claimAs(under, token, 's1');
    for (const [one] of [await under.store.ofVm(7), await under.store.list(10)]) {
      expect(one?.hash).toBe(hashToken(token));
      expect(one?.record.use?.leases.map(({ session }) => session)).toEqual(['s1']);
    }
  });

  it('lists tokens of all VMs, so many as were asked for', async () => {
    const under = await start();
    const vmIds = Array.from({ length: 25 }, (_, i) => i);
    for (const vmId of vmIds) await create(under, { vmId });
    const all = await under.store.list(100);
    expect(all.map(({ record }) => record.grant.vmId).toSorted((a, b) => a - b)).toEqual(vmIds);
    expect(await under.store.list(10)).toHaveLength(10);
    await under.advance(ttl);
    expect(await under.store.list(100)).toEqual([]);
  });

  it('refuses more tokens of a VM than it may have, and counts neither ended nor expired ones', async () => {
    const under = await start();
    const one = (vmId: number, expiresAt = under.store.now() + ttl) =>
      under.store.create(issued(grantNow(under, { vmId, expiresAt })), { maxOfVm: 3, forWebsockify: true });
    const refused = { code: 'too-many-tokens', oneCode: 0x2000 };
    const first = await one(7);
    const used = await one(7);
    await claimAs(under, used, 's1');
    await one(7, under.store.now() + minute);
    await expect(one(7)).rejects.toMatchObject(refused);
    await one(8);
    expect(await under.store.ofVm(7)).toHaveLength(3);
    await revoke(under, first);
    await one(7);
    await expect(one(7)).rejects.toMatchObject(refused);
    await renewAs(under, used, 's1');
    await under.advance(minute);
    await one(7);
    await expect(one(7)).rejects.toMatchObject(refused);
  });

  it('refuses them when they come at the same time as well', async () => {
    const under = await start();
    const record = issued(grantNow(under));
    const creations = Array.from({ length: 20 }, () =>
      under.store.create(record, { maxOfVm: 5, forWebsockify: true }),
    );
    const results = await Promise.allSettled(creations);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    expect(await under.store.ofVm(7)).toHaveLength(5);
  });

  it('refuses more tokens of a user than he may have, of whatever VMs, also at the same time', async () => {
    const under = await start();
    let vmId = 0;
    const one = (user: string, expiresAt = under.store.now() + ttl) => {
      const grant = grantNow(under, { vmId: ++vmId, ...person(user), expiresAt });
      return under.store.create(issued(grant), { ...roomy, maxOfUser: 5 });
    };
    const ofAlice = await Promise.allSettled(Array.from({ length: 20 }, () => one('alice')));
    const made = ofAlice.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(made).toHaveLength(5);
    const refused = {
      code: 'too-many-tokens',
      oneCode: 0x2000,
      detail: 'max_tokens_per_user (5) is reached',
    };
    await expect(one('alice')).rejects.toMatchObject(refused);
    expect((await under.store.list(100)).map(({ hash }) => hash).toSorted()).toEqual(
      made.map(hashToken).toSorted(),
    );
    await one('bob');
    await revoke(under, made[0] as Token);
    await one('alice', under.store.now() + minute);
    await expect(one('alice')).rejects.toMatchObject(refused);
    await under.advance(minute);
    await one('alice');
    await expect(one('alice')).rejects.toMatchObject(refused);
  });

  it('counts a token that is used and left no longer than it opens', async () => {
    const under = await start();
    const one = (vmId: number) =>
      under.store.create(issued(grantNow(under, { vmId, expiresAt: under.store.now() + hour })), {
        ...roomy,
        maxOfUser: 2,
      });
    const [first, second] = [await one(1), await one(2)];
    await claimAs(under, first, 's1');
    await claimAs(under, second, 's2');
    for (let passed = 0; passed < 2 * hour; passed += RENEW_EVERY_MS) {
      await under.advance(RENEW_EVERY_MS);
      await renewAs(under, second, 's2');
    }
    await one(3);
    await expect(one(4)).rejects.toMatchObject({ code: 'too-many-tokens' });
  });

  it('lets whoever has most tokens of a full VM make room for others, his oldest unused one first', async () => {
    const under = await start();
    const gone: string[] = [];
    const onGivenWay = ({ hash }: StoredToken) => void gone.push(hash);
    const one = async (user: string) => {
      await under.advance(1000);
      return under.store.create(issued(grantNow(under, person(user))), { ...roomy, maxOfVm: 6, onGivenWay });
    };
    const ofMallory: Token[] = [];
    for (let i = 0; i < 6; i++) ofMallory.push(await one('mallory'));
    await expect(one('mallory')).rejects.toMatchObject({ code: 'too-many-tokens' });
    await claimAs(under, ofMallory[0] as Token, 's0');
    const ofAlice = [await one('alice'), await one('alice')];
    const ofBob = [await one('bob')];
    // Two, two and two: nobody has so many more that a place would not go back and forth.
    const ofBoth = [...ofAlice, ...ofBob, await one('bob')];
    for (const user of ['mallory', 'alice', 'bob']) {
      await expect(one(user)).rejects.toMatchObject({ detail: 'max_tokens_per_vm (6) is reached' });
    }
    expect(gone).toEqual(ofMallory.slice(1, 5).map(hashToken));
    for (const token of ofMallory.slice(1, 5))
      expect((await claimAs(under, token, 's')).kind).toBe('not-valid');
    for (const token of ofBoth) expect(await recordOf(under, token)).toBeDefined();
    expect(await renewAs(under, ofMallory[0] as Token, 's0')).toBe('renewed');
    expect(await under.store.ofVm(7)).toHaveLength(6);
  });

  it('ends no console that somebody is on, and takes a token that was left before it refuses', async () => {
    const under = await start();
    const one = (user: string) =>
      under.store.create(issued(grantNow(under, person(user))), { ...roomy, maxOfVm: 3 });
    const ofMallory = [await one('mallory'), await one('mallory'), await one('mallory')] as const;
    for (const [i, token] of ofMallory.entries()) await claimAs(under, token, `s${i}`);
    await expect(one('alice')).rejects.toMatchObject({ code: 'too-many-tokens' });
    await releaseAs(under, ofMallory[1], 's1');
    await one('alice');
    expect(await recordOf(under, ofMallory[1])).toBeUndefined();
    expect(await renewAs(under, ofMallory[0], 's0')).toBe('renewed');
    expect(await renewAs(under, ofMallory[2], 's2')).toBe('renewed');
  });

  it('gives every one of many users his place at the same time, and never more than there are', async () => {
    const under = await start();
    const one = (user: string) =>
      under.store.create(issued(grantNow(under, person(user))), { ...roomy, maxOfVm: 8 });
    for (let i = 0; i < 8; i++) await one('mallory');
    const settled = await Promise.allSettled(
      Array.from({ length: 12 }, (_, i) => one(i % 3 === 0 ? `user${i}` : 'mallory')),
    );
    expect(settled.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(4);
    expect((await under.store.ofVm(7)).length).toBeLessThanOrEqual(8);
    await one('alice');
    const users = (await under.store.ofVm(7)).map(({ record }) => record.grant.user);
    expect(users.length).toBeLessThanOrEqual(8);
    expect(users).toContain('alice');
  });

  it('remembers so many ended tokens of a user and of a VM, those longest that somebody was on', async () => {
    const under = await start();
    const end = async (vmId: number, user: string, isUsed = false) => {
      const token = await create(under, { vmId, ...person(user) });
      if (isUsed) await claimAs(under, token, 's1');
      await revoke(under, token);
      return token;
    };
    const endMany = async (count: number, one: (i: number) => Promise<unknown>) => {
      for (let i = 0; i < count; i += 50)
        await Promise.all(Array.from({ length: Math.min(50, count - i) }, (_, at) => one(i + at)));
    };
    const used = await end(1, 'mallory', true);
    await endMany(MAX_ENDED_OF_VM + 40, (i) => end(1, `user${i}`));
    expect(await under.store.ofVm(1)).toHaveLength(MAX_ENDED_OF_VM);
    expect((await recordOf(under, used))?.ended).toBe('revoked');
    await endMany(MAX_ENDED_OF_USER + 40, (i) => end(1000 + i, 'mallory'));
    const listed = await under.store.list(100_000);
    expect(listed.filter(({ record }) => record.grant.user === 'mallory')).toHaveLength(MAX_ENDED_OF_USER);
    expect(await renewAs(under, used, 's1')).toBe('revoked');
    // What is forgotten opens no more than what is remembered.
    const last = await end(2, 'mallory');
    expect((await claimAs(under, last, 's')).kind).toBe('not-valid');
    expect(await claimAs(under, used, 's')).toEqual(notValid('ended'));
  });

  it('remembers for an hour and more that a token was ended, and opens it no more', async () => {
    const under = await start();
    const token = await create(under);
    await claimAs(under, token, 's1');
    expect(await revoke(under, token)).toEqual(['s1']);
    expect(await revoke(under, token)).toBeUndefined();
    for (const wait of [0, hour]) {
      await under.advance(wait);
      expect(await claimAs(under, token, 's2')).toEqual(notValid('ended'));
      expect(await renewAs(under, token, 's1')).toBe('revoked');
      for (const { record } of [...(await under.store.ofVm(7)), ...(await under.store.list(10))])
        expect(isAlive(record, rules, under.store.now())).toBe(false);
    }
  });

  it('lists the living in front of the ended, which take no place from them', async () => {
    const under = await start();
    const tokens = await Promise.all(Array.from({ length: 10 }, () => create(under)));
    for (const token of tokens) await revoke(under, token);
    const living = await create(under);
    const listed = await under.store.list(1);
    expect(listed.map(({ hash }) => hash)).toEqual([hashToken(living)]);
  });

  it('waits, when it is closed, for what is under way', async () => {
    const under = await start();
    const used = await create(under);
    const settled: string[] = [];
    const note = (what: string) => () => void settled.push(what);
    void create(under).then(note('create'), note('create'));
    void claimAs(under, used, 's1').then(note('claim'), note('claim'));
    await under.store.close();
    await new Promise(setImmediate);
    expect(settled.toSorted()).toEqual(['claim', 'create']);
  });
});

describe.each(storeKinds)('a token that is not valid, to the $name store', ({ start }) => {
  it('takes the same operations whether unknown, forged, expired, used or ended', async () => {
    const under = await start();
    const unknown = 'abcdefghijklmnopqrstuvwxy' as Token;
    const forged = forgedOf(await create(under));
    const expired = await create(under, { expiresAt: under.store.now() + 1000 });
    const used = await create(under, { expiresAt: under.store.now() + 3 * hour });
    const ended = await create(under);
    await revoke(under, ended);
    // Kept, but its time of grace is over.
    const use = { firstAt: under.store.now(), network: '192.0.2.1', leases: [], openUntil: 1 };
    await under.store.update(keyOf(used), (record) => ({
      record: record && { ...record, use },
      result: undefined,
    }));
    await under.advance(minute);
    const counts: Record<string, number | undefined> = {};
    for (const [kind, token] of Object.entries({ unknown, forged, expired, used, ended })) {
      const before = await under.operations?.();
      expect((await claimAs(under, token, 's1')).kind, kind).toBe('not-valid');
      counts[kind] = before === undefined ? undefined : Number(await under.operations?.()) - before;
    }
    expect(new Set(Object.values(counts)).size, JSON.stringify(counts)).toBe(1);
  });
});
