// Sealed tokens under the rules. What always holds: on the host where a token was issued or opened, the rules hold for it
// as for any other; another host with the same keys opens it until its time is over; no second spelling gets around that.
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { StartError } from '../../src/errors.ts';
import type { Grant } from '../../src/tokens/grant.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import {
  type ClaimOutcome,
  claim,
  end,
  issued,
  release,
  renew,
  type TokenRules,
} from '../../src/tokens/rules.ts';
import { SealedTokenStore } from '../../src/tokens/sealed/store.ts';
import { hashToken, type Token } from '../../src/tokens/token.ts';
import { temporaryFolder } from '../support/folder.ts';
import { atEnd } from '../support/lifetime.ts';

const START = 1_700_000_000_000;
const TTL = 600_000;
const MAX_AGE = 43_200_000;
const rules: TokenRules = { graceMs: 60_000, maxAgeMs: MAX_AGE, sessions: 'shared', bindClient: false };
const options = { maxOfVm: 256, forWebsockify: false };

const keyLine = (id: string) => `${id} ${randomBytes(32).toString('base64url')}\n`;

/** Hosts with one file of keys and one clock. */
class Hosts {
  time = START;
  readonly keysFile = join(temporaryFolder(), 'keys');
  private sessions = 0;

  constructor(keys = keyLine('one')) {
    this.write(keys);
  }

  write(keys: string): void {
    writeFileSync(this.keysFile, keys, { mode: 0o600 });
  }

  async start(more: { maxTokens?: number; now?: () => number } = {}): Promise<SealedTokenStore> {
    const clock = () => this.time;
    const store = new SealedTokenStore({ keysFile: this.keysFile, now: clock, wall: clock, ...more });
    await store.open();
    atEnd(() => store.close());
    return store;
  }

  grant(vmId = 7): Grant {
    const target = { host: 'host1', port: 5907 };
    return { vmId, target, uid: 2, user: 'alice', issuedAt: this.time, expiresAt: this.time + TTL };
  }

  issue(store: SealedTokenStore, vmId = 7): Promise<Token> {
    return store.create(issued(this.grant(vmId)), options);
  }

  newSession(): SessionId {
    return `session-${++this.sessions}` as SessionId;
  }

  /** As the gate does it: both the hash and the token. */
  claim(
    store: SealedTokenStore,
    token: Token,
    session = this.newSession(),
    client = '192.0.2.1',
  ): Promise<ClaimOutcome> {
    const key = { hash: hashToken(token), sealed: token };
    return store.update(key, (record, now) => claim(record, { session, client }, rules, now));
  }

  /** As the gate does it: by the hash alone. */
  release(store: SealedTokenStore, token: Token, session: SessionId): Promise<void> {
    return store.update({ hash: hashToken(token) }, (record, now) => release(record, session, rules, now));
  }

  revoke(store: SealedTokenStore, token: Token): Promise<readonly SessionId[] | undefined> {
    return store.update({ hash: hashToken(token) }, (record, now) => end(record, 'revoked', rules, now));
  }
}

describe('a host that has issued or opened a sealed token', () => {
  it.each([
    ['issued', true],
    ['only opened', false],
  ])('holds it to first use, grace and age where it has %s it', async (_what, issuedHere) => {
    const hosts = new Hosts();
    const issuer = await hosts.start();
    const store = issuedHere ? issuer : await hosts.start();
    const token = await hosts.issue(issuer);
    const session = hosts.newSession();
    expect(await hosts.claim(store, token, session)).toMatchObject({ kind: 'granted', grant: { vmId: 7 } });
    hosts.time += 10_000;
    await hosts.release(store, token, session);
    hosts.time += 59_999;
    expect(await hosts.claim(store, token, session)).toMatchObject({ kind: 'granted' });
    await hosts.release(store, token, session);
    // Long before the claims' own end: what the token says of itself does not make it a new one.
    for (hosts.time += 60_000; hosts.time < START + 2 * TTL; hosts.time += 20_000) {
      expect(await hosts.claim(store, token)).toMatchObject({ kind: 'not-valid' });
    }
  });

  it('keeps it open beyond token_ttl while somebody is on it, up to its age', async () => {
    const hosts = new Hosts();
    const store = await hosts.start();
    const token = await hosts.issue(store);
    const id = hosts.newSession();
    await hosts.claim(store, token, id);
    const since = hosts.time;
    const renewal = { id, client: '192.0.2.1', since, bytes: 1 };
    const renewed = () =>
      store.update({ hash: hashToken(token) }, (record, now) => renew(record, renewal, rules, now));
    while (hosts.time < START + MAX_AGE - 20_000) {
      hosts.time += 20_000;
      expect(await renewed()).toBe('renewed');
    }
    expect(await hosts.claim(store, token)).toMatchObject({ kind: 'granted' });
    hosts.time = START + MAX_AGE;
    expect(await hosts.claim(store, token)).toMatchObject({ kind: 'not-valid' });
  });

  it('ends it, used or not, and tells whose sessions have to end', async () => {
    const hosts = new Hosts();
    const store = await hosts.start();
    const [unused, used] = [await hosts.issue(store), await hosts.issue(store)];
    const session = hosts.newSession();
    await hosts.claim(store, used, session);
    expect((await store.ofVm(7)).map(({ hash }) => hash).sort()).toEqual(
      [unused, used].map(hashToken).sort(),
    );
    expect(await hosts.revoke(store, unused)).toEqual([]);
    expect(await hosts.revoke(store, used)).toEqual([session]);
    for (const token of [unused, used]) {
      expect(await hosts.claim(store, token)).toEqual({ kind: 'not-valid', why: 'ended' });
    }
    hosts.time += TTL - 1;
    for (const token of [unused, used]) {
      expect(await hosts.claim(store, token)).toMatchObject({ kind: 'not-valid' });
    }
  });

  it('forgets no ended token that could still open, however many are ended after it', async () => {
    const hosts = new Hosts();
    const store = await hosts.start({ maxTokens: 50 });
    const first = await hosts.issue(store);
    await hosts.revoke(store, first);
    for (let count = 1; count < 50; count++) await hosts.revoke(store, await hosts.issue(store, count));
    await expect(hosts.issue(store)).rejects.toMatchObject({ code: 'over-limit' });
    expect(await hosts.claim(store, first)).toMatchObject({ kind: 'not-valid' });
    hosts.time += TTL;
    for (let count = 1; count < 50; count++) await hosts.revoke(store, await hosts.issue(store, count));
    expect(await hosts.claim(store, first)).toMatchObject({ kind: 'not-valid' });
  });

  it('forgets none before its very millisecond, though it looks for expired ones by the second', async () => {
    const hosts = new Hosts();
    const store = await hosts.start({ maxTokens: 1 });
    hosts.time += 500;
    const token = await hosts.issue(store);
    const session = hosts.newSession();
    await hosts.claim(store, token, session);
    await hosts.release(store, token, session);
    hosts.time += TTL - 1;
    await expect(hosts.issue(store)).rejects.toMatchObject({ code: 'over-limit' });
    expect(await hosts.claim(store, token)).toMatchObject({ kind: 'not-valid' });
    hosts.time += 1;
    await hosts.issue(store);
  });

  it('has room for a bounded number, of other hosts too, and refuses what it could not follow', async () => {
    const hosts = new Hosts();
    const [issuer, store] = [await hosts.start(), await hosts.start({ maxTokens: 3 })];
    const tokens = await Promise.all(Array.from({ length: 4 }, () => hosts.issue(issuer)));
    const outcomes = await Promise.allSettled(tokens.map((token) => hosts.claim(store, token)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'over-limit' },
    });
    expect(await store.list(100)).toHaveLength(3);
    hosts.time += TTL;
    expect(await hosts.claim(store, await hosts.issue(issuer))).toMatchObject({ kind: 'granted' });
  });

  it('has no more tokens of one VM than the limit, with many asked for at a time', async () => {
    const hosts = new Hosts();
    const store = await hosts.start();
    const asked = Array.from({ length: 20 }, () =>
      store.create(issued(hosts.grant()), { ...options, maxOfVm: 5 }),
    );
    const settled = await Promise.allSettled(asked);
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    for (const one of settled) {
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'too-many-tokens' });
    }
    await hosts.issue(store, 8);
  });

  it('makes one record of a token that a hundred present at a time', async () => {
    const hosts = new Hosts();
    const [issuer, store] = [await hosts.start(), await hosts.start()];
    const token = await hosts.issue(issuer);
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => hosts.claim(store, token)));
    expect(outcomes.every(({ kind }) => kind === 'granted')).toBe(true);
    expect((await store.list(1000)).map(({ record }) => record.use?.leases.length)).toEqual([100]);
  });

  it('serves one session where the rules say single, for that host', async () => {
    const hosts = new Hosts();
    const store = await hosts.start();
    const token = await hosts.issue(store);
    const key = { hash: hashToken(token), sealed: token };
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, index) => {
        const request = { session: hosts.newSession(), client: `192.0.2.${index}` };
        return store.update(key, (record, now) =>
          claim(record, request, { ...rules, sessions: 'single' }, now),
        );
      }),
    );
    expect(outcomes.filter(({ kind }) => kind === 'granted')).toHaveLength(1);
    expect(outcomes.filter(({ kind }) => kind === 'in-use')).toHaveLength(99);
  });
});

describe('another host', () => {
  it('opens it until its time is over, to the millisecond, whatever became of it elsewhere', async () => {
    const hosts = new Hosts();
    const [issuer, second, third] = [await hosts.start(), await hosts.start(), await hosts.start()];
    const token = await hosts.issue(issuer);
    await hosts.claim(issuer, token);
    await hosts.revoke(issuer, token);
    hosts.time += TTL - 1;
    expect(await hosts.claim(second, token)).toMatchObject({ kind: 'granted', grant: { user: 'alice' } });
    hosts.time += 1;
    expect(await hosts.claim(third, token)).toEqual({ kind: 'not-valid', why: 'unknown' });
    expect(await hosts.claim(issuer, token)).toMatchObject({ kind: 'not-valid' });
  });

  it('opens it no longer by the wall clock, where its own has fallen behind', async () => {
    const hosts = new Hosts();
    const [issuer, slow] = [await hosts.start(), await hosts.start({ now: () => START })];
    const [first, second] = [await hosts.issue(issuer), await hosts.issue(issuer)];
    hosts.time += TTL - 1;
    expect(await hosts.claim(slow, first)).toMatchObject({ kind: 'granted' });
    hosts.time += 1;
    expect(await hosts.claim(slow, second)).toMatchObject({ kind: 'not-valid' });
  });

  it('opens none that has expired here again when the wall clock is set back', async () => {
    const hosts = new Hosts();
    let steady = START;
    const store = await hosts.start({ now: () => steady, maxTokens: 1 });
    const token = await hosts.issue(store);
    await hosts.revoke(store, token);
    steady += TTL;
    hosts.time -= 3_600_000;
    // There is room for it only when the first one is not remembered any more.
    await hosts.issue(store);
    steady += TTL;
    expect(await hosts.claim(store, token)).toMatchObject({ kind: 'not-valid' });
  });

  it('with other keys knows nothing of it', async () => {
    const hosts = new Hosts();
    const token = await hosts.issue(await hosts.start());
    expect(await hosts.claim(await new Hosts().start(), token)).toEqual({
      kind: 'not-valid',
      why: 'unknown',
    });
  });
});

describe('a second spelling of a token', () => {
  it('gets around neither its end nor its use', async () => {
    const hosts = new Hosts();
    const [issuer, store] = [await hosts.start(), await hosts.start()];
    const token = await hosts.issue(issuer);
    await hosts.claim(store, token);
    await hosts.revoke(store, token);
    const ends = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'];
    const parts = token.split('.');
    const respelled = [
      ...parts.flatMap((part, index) =>
        ends
          .map((last) => parts.with(index, part.slice(0, -1) + last).join('.'))
          .filter((one) => one !== token),
      ),
      ...[`${token}=`, `${token}\n`, ` ${token}`, `${token}#`, `${token}?`, token.toLowerCase()],
      ...parts.map((part, index) => parts.with(index, `${part}=`).join('.')),
    ];
    expect(respelled.length).toBeGreaterThan(250);
    for (const text of respelled as Token[]) {
      expect(await hosts.claim(store, text), text).toEqual({ kind: 'not-valid', why: 'unknown' });
    }
    expect(await store.list(1000)).toHaveLength(1);
  });

  it('is not made by a hash that is not its own', async () => {
    const hosts = new Hosts();
    const [issuer, store] = [await hosts.start(), await hosts.start()];
    const token = await hosts.issue(issuer);
    const other = await hosts.issue(issuer);
    const request = { session: hosts.newSession(), client: '192.0.2.1' };
    const key = { hash: hashToken(other), sealed: token };
    expect(await store.update(key, (record, now) => claim(record, request, rules, now))).toMatchObject({
      kind: 'not-valid',
    });
    expect(await store.list(1000)).toEqual([]);
  });
});

describe('keys that are read again', () => {
  it('roll: the new one seals, the old one opens until it is gone', async () => {
    const [old, fresh] = [keyLine('old'), keyLine('new')];
    const hosts = new Hosts(old);
    const [store, other] = [await hosts.start(), await hosts.start()];
    const before = await hosts.issue(store);
    hosts.write(fresh + old);
    for (const one of [store, other]) (await one.prepareKeys(hosts.keysFile))();
    const after = await hosts.issue(store);
    expect(Buffer.from(after.split('.')[0] ?? '', 'base64url').toString()).toContain('"kid":"new"');
    for (const token of [before, after]) {
      expect(await hosts.claim(other, token)).toMatchObject({ kind: 'granted' });
    }
    hosts.write(fresh);
    for (const one of [store, other]) (await one.prepareKeys(hosts.keysFile))();
    for (const one of [store, other]) {
      // Also where it was used before: whoever got hold of a key must not live on what it opened.
      expect(await hosts.claim(one, before)).toEqual({ kind: 'not-valid', why: 'unknown' });
      expect(await hosts.claim(one, after)).toMatchObject({ kind: 'granted' });
    }
  });

  it('leave live sessions alone when they are retired', async () => {
    const hosts = new Hosts();
    const store = await hosts.start();
    const token = await hosts.issue(store);
    const id = hosts.newSession();
    await hosts.claim(store, token, id);
    hosts.write(keyLine('other'));
    (await store.prepareKeys(hosts.keysFile))();
    const renewal = { id, client: '192.0.2.1', since: hosts.time, bytes: 1 };
    const key = { hash: hashToken(token) };
    expect(await store.update(key, (record, now) => renew(record, renewal, rules, now))).toBe('renewed');
    expect(await hosts.revoke(store, token)).toEqual([id]);
  });

  it.each([
    ['is gone', (file: string) => rmSync(file)],
    ['has a bad line', (file: string) => writeFileSync(file, `${keyLine('new')}bad\n`)],
    ['is empty', (file: string) => writeFileSync(file, '')],
  ])('change nothing where the file %s', async (_what, spoil) => {
    const hosts = new Hosts();
    const [store, other] = [await hosts.start(), await hosts.start()];
    const before = await hosts.issue(store);
    spoil(hosts.keysFile);
    await expect(store.prepareKeys(hosts.keysFile)).rejects.toThrow(StartError);
    await expect(store.prepareKeys(hosts.keysFile)).rejects.toThrow(/^sealed_keys: /);
    expect(await hosts.claim(store, before)).toMatchObject({ kind: 'granted' });
    expect(await hosts.claim(other, await hosts.issue(store))).toMatchObject({ kind: 'granted' });
  });

  it('are needed at the start', async () => {
    const keysFile = join(temporaryFolder(), 'none');
    const store = new SealedTokenStore({ keysFile, now: () => START });
    await expect(store.open()).rejects.toThrow(`sealed_keys: cannot read ${keysFile}: ENOENT`);
  });
});
