// The gate: who is let in, who has to go for it, what is counted and what is told to whom.
import { describe, expect, it } from 'vitest';
import { UNNAMED_CLIENT } from '../../src/client-address.ts';
import { doorOf } from '../../src/console/gate.ts';
import { GatewayError } from '../../src/errors.ts';
import type { Grant } from '../../src/tokens/grant.ts';
import { hashToken, newToken, type Token } from '../../src/tokens/token.ts';
import { buildGate, end, refusal, START, type Stage, settle, TTL_MS } from '../support/gate.ts';

const SENTENCE = 'This console link is not valid any more (ref REF234)';
const IN_USE = 'This console is in use in another window (ref REF234)';

/** A moment in the middle of something, that the test lets go on. */
function held(): { wait: () => Promise<void>; release: () => void } {
  let release = () => {};
  const promise = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { wait: () => promise, release: () => release() };
}

async function expectEmpty({ sessions, leases, audit, knocked }: Stage): Promise<void> {
  await settle();
  expect(knocked.filter((id) => sessions.arrival(id) !== undefined)).toEqual([]);
  expect(sessions.size).toBe(0);
  expect(await leases()).toEqual([]);
  // Whoever was let in has ended, once.
  const count = (event: string) => audit.filter((line) => line.event === event).length;
  expect(count('ended')).toBe(count('redeemed'));
}

describe('single use at a time', () => {
  it('from the same address takes the console over, and the first is closed with 4001', async () => {
    const stage = buildGate();
    const token = await stage.token();
    const [first, second] = [stage.place(), stage.place()];
    const one = await stage.open(token, '192.0.2.1', first);
    await stage.open(token, '192.0.2.1', second);
    expect(first.ended).toEqual([{ session: one, code: 4001, reason: 'Opened in another window' }]);
    expect(first.probed).toEqual([]);
    expect(second.ended).toEqual([]);
    expect(stage.sessions.size).toBe(1);
  });

  it('takes over at most once in ten seconds', async () => {
    const stage = buildGate();
    const token = await stage.token();
    await stage.open(token);
    await stage.open(token);
    expect((await refusal(stage.open(token))).code).toBe('token-in-use');
    stage.store.time += 9_999;
    const refused = await refusal(stage.open(token));
    expect(refused.toldAs('REF234')).toBe(IN_USE);
    expect(refused.httpStatus).toBe(429);
    stage.store.time += 1;
    await stage.open(token);
    expect(stage.sessions.size).toBe(1);
  });

  it('from another address is refused where the first one answers', async () => {
    const stage = buildGate();
    const token = await stage.token();
    const first = stage.place();
    const one = await stage.open(token, '192.0.2.1', first);
    const refused = await refusal(stage.open(token, '198.51.100.1'));
    expect(refused.toldAs('REF234')).toBe(IN_USE);
    expect(first.probed).toEqual([one]);
    expect(first.ended).toEqual([]);
    expect(await stage.leases()).toEqual([one]);
  });

  it('from another address takes over where the first one is silent', async () => {
    const stage = buildGate();
    const token = await stage.token();
    const first = stage.place();
    first.alive = false;
    await stage.open(token, '192.0.2.1', first);
    const two = await stage.open(token, '198.51.100.1');
    expect(first.ended).toMatchObject([{ code: 4001 }]);
    expect(await stage.leases()).toEqual([two]);
  });

  it('leaves one console where a hundred race for the token, from one address', async () => {
    const stage = buildGate();
    const token = await stage.token();
    const opened = await Promise.allSettled(Array.from({ length: 100 }, () => stage.open(token)));
    await settle();
    expect(opened.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(2);
    expect(stage.sessions.size).toBe(1);
    expect(await stage.leases()).toEqual(stage.sessions.all().map(({ id }) => id));
  });

  it('leaves one console where a hundred addresses race for the token while VMs are looked at', async () => {
    const gate = held();
    const stage = buildGate({ recheck: (grant) => gate.wait().then(() => grant) });
    const token = await stage.token();
    const racing = Array.from({ length: 100 }, (_, i) => stage.open(token, `198.51.100.${i}`));
    const opened = Promise.allSettled(racing);
    await settle();
    gate.release();
    expect((await opened).filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(stage.sessions.size).toBe(1);
  });

  it('ends who is taken over while his VM is still being looked at', async () => {
    const gate = held();
    let looks = 0;
    const stage = buildGate({
      recheck: (grant) => (++looks === 2 ? gate.wait().then(() => grant) : Promise.resolve(grant)),
    });
    const token = await stage.token();
    stage.gate.closed(await stage.open(token), end);
    await settle();
    const slow = stage.open(token);
    const refused = refusal(slow);
    await settle();
    const two = await stage.open(token);
    gate.release();
    expect((await refused).code).toBe('token-in-use');
    await settle();
    expect(stage.sessions.all().map(({ id }) => id)).toEqual([two]);
    expect(await stage.leases()).toEqual([two]);
  });

  it('costs the one who is there nothing where the newcomer is refused after all', async () => {
    const stage = buildGate({ limits: { perAddress: 1 } });
    const token = await stage.token();
    const first = stage.place();
    first.alive = false;
    const one = await stage.open(token, '192.0.2.1', first);
    await stage.open(await stage.token({ vmId: 8 }), '198.51.100.1');
    expect((await refusal(stage.open(token, '198.51.100.1'))).code).toBe('too-many-sessions');
    expect(first.ended).toEqual([]);
    await stage.upkeep.renewAll();
    expect(await stage.leases()).toContain(one);
    expect(stage.sessions.size).toBe(2);
  });

  it('takes over also where a limit is reached, for one goes as one comes', async () => {
    const stage = buildGate({ limits: { perVm: 1, perUser: 1, perAddress: 1, perHost: 1 } });
    const token = await stage.token();
    const first = stage.place();
    // As in a worker that has not answered yet.
    first.deaf = true;
    const one = await stage.open(token, '192.0.2.1', first);
    const two = await stage.open(token);
    expect(first.ended).toHaveLength(1);
    stage.gate.closed(one, end);
    expect((await refusal(stage.open(await stage.token()))).code).toBe('too-many-sessions');
    stage.gate.closed(two, end);
    await expectEmpty(stage);
  });
});

describe('other ways to share', () => {
  it('shared: several on one token, from anywhere', async () => {
    const stage = buildGate({ rules: { sessions: 'shared' } });
    const token = await stage.token();
    for (const client of ['192.0.2.1', '192.0.2.1', '198.51.100.1', '2001:db8::1'])
      await stage.open(token, client);
    expect(stage.sessions.size).toBe(4);
    expect(stage.audit.filter(({ event }) => event === 'taken-over')).toEqual([]);
  });

  it.each([
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1', '192.0.2.2', false],
    ['2001:db8:0:1::5', '2001:db8:0:1:ffff::9', true],
    ['2001:db8:0:1::5', '2001:db8:0:2::5', false],
  ])('bind_client: first used by %s, then %s: %s', async (first, second, opens) => {
    const stage = buildGate({ rules: { bindClient: true } });
    const token = await stage.token();
    stage.gate.closed(await stage.open(token, first), end);
    await settle();
    if (opens) await stage.open(token, second);
    else expect((await refusal(stage.open(token, second))).toldAs('REF234')).toBe(SENTENCE);
  });
});

describe('tokens that open nothing', () => {
  it('are refused in the same words, after the same operations of the store', async () => {
    const stage = buildGate({ rules: { bindClient: true } });
    const expired = await stage.token({ expiresAt: START + 1 });
    const used = await stage.token();
    const revoked = await stage.token({ vmId: 9 });
    const bound = await stage.token();
    const live = await stage.token();
    stage.gate.closed(await stage.open(used), end);
    await stage.open(bound, '198.51.100.9');
    await stage.revocation.revokeVm(9, { user: undefined }, 'bob');
    stage.store.time += 59_000;
    await stage.upkeep.renewAll();
    stage.store.time += 2_000;
    const cases: Record<string, string> = {
      unknown: newToken(),
      'no token at all': '',
      forged: live.replace(/./, (first) => (first === 'a' ? 'b' : 'a')),
      ...{ expired, used, revoked, 'of another client': bound },
    };
    for (const [what, token] of Object.entries(cases)) {
      stage.store.operations.length = 0;
      expect((await refusal(stage.open(token))).toldAs('REF234'), what).toBe(SENTENCE);
      await settle();
      expect(stage.store.operations, what).toEqual(['update']);
    }
    await stage.open(live);
  });

  it('are refused without asking the store, when an address has shown 60 of them in a minute', async () => {
    const stage = buildGate();
    const token = await stage.token();
    for (let i = 0; i < 60; i++) expect((await refusal(stage.open(newToken()))).code).toBe('token-not-valid');
    stage.store.operations.length = 0;
    const refused = await refusal(stage.open(newToken()));
    expect(refused).toMatchObject({ code: 'too-many-unknown-tokens', httpStatus: 429 });
    expect((await refusal(stage.open(token))).code).toBe('too-many-unknown-tokens');
    expect(stage.store.operations).toEqual([]);
    await stage.open(token, '192.0.2.2');
  });

  it('are counted by network, and not where an address stands for many', async () => {
    const stage = buildGate({ rules: { maxUnknownTokens: 3 }, isExempt: (client) => client === '127.0.0.1' });
    for (let i = 0; i < 3; i++) await refusal(stage.open(newToken(), `2001:db8::${i}`));
    expect((await refusal(stage.open(newToken(), '2001:db8::99'))).code).toBe('too-many-unknown-tokens');
    expect((await refusal(stage.open(newToken(), '2001:db8:0:1::1'))).code).toBe('token-not-valid');
    for (let i = 0; i < 10; i++) {
      expect((await refusal(stage.open(newToken(), '127.0.0.1'))).code).toBe('token-not-valid');
    }
  });
});

describe('limits', () => {
  it.each([
    ['perVm', 'max_sessions_per_vm', { vmId: 7 }, { vmId: 8 }],
    ['perUser', 'max_sessions_per_user', { user: 'ALICE' }, { uid: 3, user: 'alice' }],
  ] as const)(
    '%s: the third is refused, and let in when one has ended',
    async (limit, setting, same, other) => {
      const stage = buildGate({ limits: { [limit]: 2 } });
      const open = async (grant: { vmId?: number; user?: string }) => stage.open(await stage.token(grant));
      const first = await open(same);
      await open(same);
      const refused = await refusal(open(same));
      expect(refused).toMatchObject({
        code: 'too-many-sessions',
        httpStatus: 429,
        detail: `${setting} (2) is reached`,
      });
      await open(other);
      stage.gate.closed(first, end);
      await open(same);
    },
  );

  it('of an address counts its network, and no exempt one', async () => {
    const stage = buildGate({ limits: { perAddress: 1 }, isExempt: (client) => client === '127.0.0.1' });
    await stage.open(await stage.token(), '2001:db8::1');
    expect((await refusal(stage.open(await stage.token(), '2001:db8::2'))).code).toBe('too-many-sessions');
    for (let i = 0; i < 3; i++) await stage.open(await stage.token(), '127.0.0.1');
  });

  it('of the host counts everything', async () => {
    const stage = buildGate({ limits: { perHost: 2 }, isExempt: () => true });
    await stage.open(await stage.token({ vmId: 1, uid: 2, user: 'a' }));
    await stage.open(await stage.token({ vmId: 2, uid: 3, user: 'b' }));
    const third = await stage.token({ vmId: 3, uid: 4, user: 'c' });
    expect((await refusal(stage.open(third))).detail).toBe('max_sessions (2) is reached');
    // The refused one may come again: his token was not used up.
    expect(await stage.leases()).toHaveLength(2);
    for (const { id } of stage.sessions.all()) stage.gate.closed(id, end);
    stage.store.time += TTL_MS / 100;
    await stage.open(third);
  });
});

describe('whatever goes wrong', () => {
  it('a place that is lost takes its own sessions with it, one that comes late included', async () => {
    const gate = held();
    const stage = buildGate({
      recheck: (grant) => (grant.vmId === 2 ? gate.wait().then(() => grant) : Promise.resolve(grant)),
    });
    const [doomed, other] = [stage.place(), stage.place()];
    await stage.open(await stage.token({ vmId: 1 }), '192.0.2.1', doomed);
    const kept = await stage.open(await stage.token({ vmId: 3 }), '192.0.2.1', other);
    const late = stage.open(await stage.token({ vmId: 2 }), '192.0.2.1', doomed);
    await settle();
    stage.gate.lost(doomed);
    expect(stage.sessions.all().map(({ id }) => id)).toEqual([kept]);
    gate.release();
    await late;
    // As the supervisor does when nobody is left to answer to.
    stage.gate.lost(doomed);
    stage.gate.closed(kept, end);
    await expectEmpty(stage);
    expect(stage.audit.find(({ reason }) => reason === 'its process ended')).toMatchObject({
      vm: 1,
      seconds: 0,
    });
  });

  it.each([
    ['an oned that says no', new GatewayError('token-not-valid', { detail: 'service_auth: gone' })],
    ['anything unforeseen', new TypeError('x is not a function')],
  ])('%s at the second look gives the lease back', async (_what, error) => {
    const stage = buildGate({ recheck: () => Promise.reject(error) });
    await expect(stage.open(await stage.token())).rejects.toBe(error);
    expect(stage.audit).toMatchObject([{ event: 'refused', vm: 7, user: 'alice' }]);
    await expectEmpty(stage);
  });

  describe('before the first use', () => {
    const cannot = new GatewayError('cannot-check', { detail: 'service_auth: no answer' });

    it('that cannot be had leaves the token as unused as it was, and lets nobody in behind', async () => {
      const gate = held();
      let answers = false;
      const asked: boolean[] = [];
      const stage = buildGate({
        rules: { graceMs: 60_000, sessions: 'shared', bindClient: true },
        recheck: async (grant, _key, isFirstUse) => {
          asked.push(isFirstUse);
          await gate.wait();
          if (!answers && isFirstUse) throw cannot;
          return grant;
        },
      });
      const token = await stage.token();
      const many = [1, 2, 3].map((host) => refusal(stage.open(token, `192.0.2.${host}`)));
      await settle();
      many.push(refusal(stage.open(token)));
      gate.release();
      for (const one of many) expect(await one).toBe(cannot);
      expect(cannot.toldAs('REF234')).toMatch(/cannot be checked just now.* \(ref REF234\)$/);
      // Not one of them was taken for a return.
      expect(asked).toEqual([true, true, true, true]);
      await expectEmpty(stage);
      expect(await refusal(stage.open(token))).toBe(cannot);
      answers = true;
      // Nor is the token bound to who was not let in.
      await stage.open(token, '198.51.100.1');
      expect(asked.at(-1)).toBe(true);
      answers = false;
      await stage.open(token, '198.51.100.1');
      expect(asked.at(-1)).toBe(false);
    });

    it('that cannot be had does not make the token live longer', async () => {
      const stage = buildGate({ recheck: () => Promise.reject(cannot) });
      const token = await stage.token();
      stage.store.time += TTL_MS - 1;
      expect(await refusal(stage.open(token))).toBe(cannot);
      stage.store.time += 1;
      expect((await refusal(stage.open(token))).code).toBe('token-not-valid');
    });

    it('is asked for in one step more, and for tokens that do not open in none', async () => {
      const stage = buildGate({ recheck: (grant) => Promise.resolve(grant) });
      const token = await stage.token();
      await refusal(stage.open(newToken()));
      await stage.open(token);
      expect(stage.store.operations).toEqual(['create', 'update', 'update', 'update']);
    });

    it('is over when the token was used up meanwhile', async () => {
      const gate = held();
      const stage = buildGate({ recheck: (grant) => gate.wait().then(() => grant) });
      const token = await stage.token();
      const opening = refusal(stage.open(token));
      await settle();
      stage.store.time += TTL_MS;
      gate.release();
      expect((await opening).code).toBe('token-not-valid');
      await expectEmpty(stage);
    });
  });

  it('a VM that is gone at a take-over ends the first session too, as that', async () => {
    let gone = false;
    const refused = new GatewayError('token-not-valid', { detail: 'gone' });
    const stage = buildGate({
      recheck: (grant) => (gone ? Promise.reject(refused) : Promise.resolve(grant)),
    });
    const token = await stage.token();
    const first = stage.place();
    await stage.open(token, '192.0.2.1', first);
    gone = true;
    expect(await refusal(stage.open(token))).toBe(refused);
    expect(first.ended).toMatchObject([{ code: 4004 }]);
    await expectEmpty(stage);
  });

  it('a revocation while the VM is being looked at refuses the newcomer', async () => {
    const gate = held();
    const stage = buildGate({ recheck: (grant) => gate.wait().then(() => grant) });
    const opening = refusal(stage.open(await stage.token()));
    await settle();
    expect(await stage.revocation.revokeVm(7, { user: undefined }, 'bob')).toBe(1);
    gate.release();
    expect((await opening).toldAs('REF234')).toBe(SENTENCE);
    await expectEmpty(stage);
  });

  it('a store that is not there is no refusal, and counts against nobody', async () => {
    const stage = buildGate({ rules: { maxUnknownTokens: 1 } });
    const token = await stage.token();
    stage.store.down = true;
    for (let i = 0; i < 5; i++) {
      expect(await refusal(stage.open(token))).toMatchObject({ code: 'store-unavailable', httpStatus: 503 });
    }
    stage.store.down = false;
    await stage.open(token);
  });

  it('a claim that was made although its answer was lost is given back', async () => {
    const stage = buildGate();
    const token = await stage.token();
    let lost = 1;
    stage.store.after = () => (lost-- > 0 ? Promise.reject(new Error('ECONNRESET')) : Promise.resolve());
    expect((await refusal(stage.open(token))).code).toBe('store-unavailable');
    await expectEmpty(stage);
    // Nobody has to make room for this one.
    await stage.open(token, '198.51.100.1');
    expect(stage.audit.map(({ event }) => event)).toEqual(['refused', 'redeemed']);
  });

  it('an end that is told twice counts once', async () => {
    const stage = buildGate({ limits: { perVm: 1 } });
    const door = doorOf(stage.gate, stage.place());
    const key = { hash: hashToken(await stage.token()) };
    const { session } = await door.open({ key, client: '192.0.2.1', ref: 'REF234' });
    for (let i = 0; i < 3; i++) door.closed(session, end);
    await stage.open(await stage.token());
    expect((await refusal(stage.open(await stage.token()))).code).toBe('too-many-sessions');
  });
});

describe('the audit', () => {
  it('has one line an event, with who and what and never a secret', async () => {
    const stage = buildGate();
    const token = await stage.token();
    const name = hashToken(token).slice(0, 12);
    const about = { vm: 7, uid: 2, user: 'alice', client: '192.0.2.1', ref: 'REF234', fingerprint: name };
    const opened = { ...about, target: { host: '127.0.0.1', port: 5900 }, worker: undefined };
    const over = { ...about, worker: undefined };
    await stage.open(token);
    await stage.open(token);
    await refusal(stage.open(token));
    const [session] = stage.sessions.all();
    if (session !== undefined) stage.gate.closed(session.id, end);
    const unknown = newToken();
    await refusal(stage.open(unknown));
    expect(stage.audit).toEqual([
      { event: 'redeemed', ...opened },
      {
        ...{ event: 'ended', ...over, reason: 'Opened in another window' },
        ...{ bytesToBrowser: 1, bytesToTarget: 2, seconds: 3 },
      },
      { event: 'taken-over', ...about },
      { event: 'redeemed', ...opened },
      { event: 'refused', ...about, reason: 'This console is in use in another window' },
      { event: 'ended', ...over, reason: 'over', bytesToBrowser: 1, bytesToTarget: 2, seconds: 3 },
      {
        ...{ event: 'refused', client: '192.0.2.1', ref: 'REF234' },
        ...{ fingerprint: hashToken(unknown as Token).slice(0, 12), reason: 'token: unknown' },
        ...{ vm: undefined, user: undefined },
      },
    ]);
    expect(JSON.stringify(stage.audit)).not.toContain(token);
    expect(JSON.stringify(stage.audit)).not.toContain(hashToken(token));
  });
});

describe('a client whom a proxy does not name', () => {
  it('is not let in where tokens are bound to addresses, and costs the token nothing', async () => {
    const stage = buildGate({ rules: { bindClient: true } });
    const token = await stage.token();
    const refused = await refusal(stage.open(token, UNNAMED_CLIENT));
    expect(refused.toldAs('REF234')).toBe(SENTENCE);
    expect(refused.detail).toContain('bind_client');
    expect(refused.detail).toContain('trusted_proxies');
    await expectEmpty(stage);
    await stage.open(token, '192.0.2.1');
    expect((await refusal(stage.open(token, UNNAMED_CLIENT))).code).toBe('token-not-valid');
  });

  it('is one client with all others like it elsewhere', async () => {
    const stage = buildGate({ rules: { maxUnknownTokens: 2 } });
    for (let i = 0; i < 2; i++) await refusal(stage.open(newToken(), UNNAMED_CLIENT));
    expect((await refusal(stage.open(newToken(), UNNAMED_CLIENT))).code).toBe('too-many-unknown-tokens');
    await stage.open(await stage.token(), '192.0.2.1');
  });
});

describe('a grant that present settings narrow', () => {
  const refused = new GatewayError('token-not-valid', { detail: 'console_ports: port 5907' });
  const refuse = () => {
    throw refused;
  };
  const recordIn = ({ store }: Stage, token: Token) =>
    store.update({ hash: hashToken(token) }, (record) => ({ record, result: record }));

  it.each([
    ['without a look at the VM', {}],
    ['after a look at the VM', { recheck: (grant: Grant) => Promise.resolve(grant) }],
  ])('%s: one that is refused is as unused as it was', async (_what, options) => {
    let narrow: (grant: Grant) => Grant = refuse;
    const stage = buildGate({ ...options, narrow: (grant) => narrow(grant) });
    const token = await stage.token();
    await expect(stage.open(token)).rejects.toBe(refused);
    expect((await recordIn(stage, token))?.use).toBeUndefined();
    expect(stage.sessions.size).toBe(0);
    narrow = (grant) => ({ ...grant, target: { host: 'node2', port: 5901 } });
    const session = await stage.open(token);
    expect(stage.sessions.get(session)?.grant.target).toEqual({ host: 'node2', port: 5901 });
  });
});
