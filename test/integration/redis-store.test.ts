// The store of many hosts, with a real Redis that works, is shared, lies, fills up, stands still, dies and comes back.
import { beforeAll, describe, expect, it } from 'vitest';
import type { BusMessage } from '../../src/tokens/bus.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import { RedisMac } from '../../src/tokens/redis/mac.ts';
import type { RedisTokenStore } from '../../src/tokens/redis/store.ts';
import { hashToken, type Token } from '../../src/tokens/token.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import {
  claimToken,
  createToken,
  openRedisStore,
  recordOf,
  redisStore,
  revokeToken,
} from '../support/redis-stores.ts';
import { waitFor } from '../support/wait.ts';

const unavailable = { code: 'store-unavailable' };
const nobody = 'abcdefghijklmnopqrstuvwxy' as Token;
const urlOf = ({ port }: Redis) => `redis://127.0.0.1:${port}`;

/** How long something took, milliseconds. */
async function timed<T>(work: Promise<T>): Promise<{ outcome: PromiseSettledResult<T>; ms: number }> {
  const start = performance.now();
  const [outcome] = await Promise.allSettled([work]);
  return { outcome, ms: performance.now() - start };
}

function worksAgain(store: RedisTokenStore): Promise<unknown> {
  const probe = async () => (await recordOf(store, nobody)) === undefined;
  return waitFor(probe, { what: 'the store to answer again' });
}

/** All that a store hears from others. */
function heardBy({ bus }: RedisTokenStore): BusMessage[] {
  const heard: BusMessage[] = [];
  bus.subscribe((message) => void heard.push(message));
  return heard;
}

const ending = (...sessions: string[]): BusMessage => ({
  type: 'end',
  sessions: sessions as SessionId[],
  why: 'revoked',
});

describe('a Redis that works', () => {
  let redis: Redis;
  let prefixes = 0;
  const newPrefix = () => `t${++prefixes}:`;

  beforeAll(async () => {
    redis = await startRedis();
  });

  it('keeps a token under its hash, with an expiry of its own, and never the token itself', async () => {
    const prefix = newPrefix();
    const { store } = await openRedisStore(urlOf(redis), prefix);
    const token = await createToken(store);
    const key = `${prefix}token:${hashToken(token)}`;
    expect(JSON.parse(await redis.cli('get', key))).toMatchObject({ grant: { vmId: 7, user: 'alice' } });
    const keys = (await redis.cli('keys', `${prefix}*`)).split('\n');
    const owner = 'u2';
    expect(keys.toSorted()).toEqual([key, `${prefix}user:${owner}`, `${prefix}vm:7`]);
    for (const one of keys) {
      const left = Number(await redis.cli('pttl', one));
      expect(left, one).toBeGreaterThan(590_000);
      expect(left, one).toBeLessThanOrEqual(600_000);
    }
    for (const index of keys.filter((one) => one !== key))
      expect(await redis.cli('zrange', index, '0', '-1')).toBe(`${hashToken(token)}:${owner}`);
    expect(JSON.stringify(await store.ofVm(7)) + keys).not.toContain(token);
  });

  it('lets the index of a VM live as long as the longest of its tokens', async () => {
    const prefix = newPrefix();
    const { store } = await openRedisStore(urlOf(redis), prefix);
    const token = await createToken(store, { expiresAt: store.now() + 5000 });
    await createToken(store, { expiresAt: store.now() + 1000 });
    expect(Number(await redis.cli('pttl', `${prefix}vm:7`))).toBeGreaterThan(4000);
    await claimToken(store, token);
    expect(Number(await redis.cli('pttl', `${prefix}vm:7`))).toBeGreaterThan(100_000);
    await revokeToken(store, token);
    expect(Number(await redis.cli('zcard', `${prefix}vm:7`))).toBe(1);
    expect(Number(await redis.cli('pttl', `${prefix}ended:7`))).toBeGreaterThan(80_000_000);
    expect((await store.ofVm(7)).map(({ record }) => record.ended).toSorted()).toEqual([
      'revoked',
      undefined,
    ]);
  });

  it('does not count a token for long that was used and left', async () => {
    const prefix = newPrefix();
    const { store } = await openRedisStore(urlOf(redis), prefix);
    const token = await createToken(store);
    await claimToken(store, token);
    const record = await recordOf(store, token);
    const owner = 'u2';
    for (const index of ['vm:7', `user:${owner}`]) {
      const score = Number(await redis.cli('zscore', `${prefix}${index}`, `${hashToken(token)}:${owner}`));
      expect(score).toBeGreaterThan(record?.keepUntil ?? Number.NaN);
      expect(score).toBeLessThan(store.now() + 200_000);
    }
  });

  it('is asked once for any token that does not open, and for one that does a few times', async () => {
    const { store } = await openRedisStore(urlOf(redis), newPrefix());
    const token = await createToken(store);
    const ended = await createToken(store);
    await revokeToken(store, ended);
    const expired = await createToken(store, { expiresAt: store.now() + 1 });
    await waitFor(async () => (await recordOf(store, expired)) === undefined, {
      what: 'the end of its time',
    });
    const cost = async (one: Token, client = '192.0.2.1') => {
      const before = store.operations;
      await claimToken(store, one, 's1', client);
      return store.operations - before;
    };
    expect(await cost(token)).toBe(4);
    expect([await cost(nobody), await cost(ended), await cost(expired)]).toEqual([1, 1, 1]);
    expect(await cost(token, '192.0.2.2')).toBe(1);
  });

  it('lets one of a hundred claims over two hosts pass', async () => {
    const prefix = newPrefix();
    const stores = [
      (await openRedisStore(urlOf(redis), prefix)).store,
      (await openRedisStore(urlOf(redis), prefix)).store,
    ] as const;
    const token = await createToken(stores[0]);
    const claims = Array.from({ length: 100 }, (_, i) =>
      claimToken(stores[i % 2 === 0 ? 0 : 1], token, `s${i}`, `192.0.2.${i}`),
    );
    const outcomes = (await Promise.all(claims)).map(({ kind }) => kind);
    expect(outcomes.filter((kind) => kind === 'granted')).toHaveLength(1);
    expect(outcomes.filter((kind) => kind === 'in-use')).toHaveLength(99);
  });

  it('makes two hundred changes of one token at a time, each, and forgets the line', async () => {
    const { store } = await openRedisStore(urlOf(redis), newPrefix());
    const token = await createToken(store);
    const claims = Array.from({ length: 200 }, (_, i) =>
      claimToken(store, token, `s${i}`, '192.0.2.1', { sessions: 'shared' }),
    );
    const outcomes = (await Promise.all(claims)).map(({ kind }) => kind);
    expect(outcomes.filter((kind) => kind === 'granted')).toHaveLength(200);
    expect(store['lines'].size).toBe(0);
  });

  it('tells the hosts of each other within a second, and nobody of himself', async () => {
    const prefix = newPrefix();
    const { store: one } = await openRedisStore(urlOf(redis), prefix);
    const { store: two } = await openRedisStore(urlOf(redis), prefix);
    const { store: stranger } = await openRedisStore(urlOf(redis), newPrefix());
    const heard = { one: heardBy(one), two: heardBy(two), stranger: heardBy(stranger) };
    const many = Array.from({ length: 1200 }, (_, i) => `s${i}`);
    const zone = { endpoint: 'endpoint-number1' };
    const messages: BusMessage[] = [
      ending('a', 'b'),
      {
        type: 'revoke',
        selection: { zone, vmId: 7, user: 'alice', fingerprint: 'abcdefabcdef' },
        until: 1.5,
      },
      { type: 'revoke', selection: { zone: { id: 0, ...zone } }, until: 0 },
      { type: 'probe', session: 'a' as SessionId, question: 'q' },
      { type: 'probed', question: 'q', alive: true },
    ];
    for (const message of messages) one.bus.publish(message);
    one.bus.publish(ending(...many));
    const arrived = () => heard.two.filter(({ type }) => type === 'end').length === 4;
    await waitFor(arrived, { what: 'the messages', deadlineMs: 1000 });
    const news = heard.two.filter((message) => message.type !== 'probed' || message.question !== '');
    expect(news.slice(0, messages.length)).toEqual(messages);
    expect(news.slice(messages.length).flatMap((part) => (part.type === 'end' ? part.sessions : []))).toEqual(
      many,
    );
    expect([heard.one, heard.stranger].flat().filter(({ type }) => type === 'end')).toEqual([]);
  });

  it.each<[what: string, garble: (json: string) => string]>([
    ['no JSON', (json) => json.slice(0, -1)],
    ['another version', (json) => json.replace('"version":2', '"version":3')],
    ['nothing of a record', () => '{"version":2}'],
    ['more than a record', (json) => json.replace('{', '{"more":1,')],
    ['much too much', (json) => json.padEnd(130_900)],
    ['a host with a line break', (json) => json.replace('node1', 'node1\\n')],
    ['a port that is none', (json) => json.replace('5907', '0')],
  ])(
    'may hold %s in the place of a record, signed: it counts as none, and the log says so',
    async (_what, garble) => {
      const prefix = newPrefix();
      const { store, lines } = await openRedisStore(urlOf(redis), prefix);
      const token = await createToken(store);
      const key = `${prefix}token:${hashToken(token)}`;
      const mac = new RedisMac('');
      const opened = mac.open('record', key, await redis.cli('get', key));
      if (typeof opened === 'string') throw new Error(opened);
      await redis.cli('set', key, mac.sign('record', key, garble(opened.json)));
      // As much again; it makes room for what a command line cannot hold.
      if (garble(opened.json).length > 100_000) await redis.cli('append', key, ' '.repeat(1000));
      expect(await claimToken(store, token)).toEqual({ kind: 'not-valid', why: 'unknown' });
      expect(await store.ofVm(7)).toEqual([]);
      expect(await store.list(10)).toEqual([]);
      expect(lines.filter((line) => line.includes('is no record'))).toHaveLength(1);
      expect(lines.join('')).not.toContain(token);
    },
  );

  it('may hold something else in the place of a record or an index', async () => {
    const prefix = newPrefix();
    const { store, lines } = await openRedisStore(urlOf(redis), prefix);
    const token = await createToken(store);
    await redis.cli('del', `${prefix}token:${hashToken(token)}`);
    await redis.cli('lpush', `${prefix}token:${hashToken(token)}`, 'x');
    const before = store.operations;
    expect(await claimToken(store, token)).toEqual({ kind: 'not-valid', why: 'unknown' });
    expect(store.operations - before).toBe(1);
    expect(lines.join('')).toContain('is no record');
    await redis.cli('zadd', `${prefix}vm:8`, '9999999999999', 'no hash');
    expect(await store.ofVm(8)).toEqual([]);
    await redis.cli('set', `${prefix}vm:9`, 'x');
    await expect(createToken(store, { vmId: 9 })).rejects.toMatchObject({ code: 'store-failed' });
    expect(await recordOf(store, nobody)).toBeUndefined();
  });

  it('may publish what it likes: only whole messages are heard', async () => {
    const prefix = newPrefix();
    const { store, lines } = await openRedisStore(urlOf(redis), prefix);
    const heard = heardBy(store);
    const hostile = [
      'x',
      '{}',
      '{"from":"x","type":"end","sessions":["a"],"why":"because"}',
      '{"from":"x","type":"end","sessions":[1],"why":"revoked"}',
      '{"from":"x","type":"probed","question":"q","alive":true,"more":1}',
      '{"from":"x","type":"revoke","selection":{"vmId":"7"},"until":1}',
      '{"from":"x","type":"revoke","selection":{"vm":7},"until":1}',
      '{"from":"x","type":"revoke","selection":{}}',
      JSON.stringify({ from: 'x', ...ending(...Array.from({ length: 501 }, () => 'a')) }),
      JSON.stringify({ from: 'x'.repeat(70_000), ...ending('a') }),
    ];
    const mac = new RedisMac('');
    const publish = (json: string) => {
      const text = json.startsWith('{') ? mac.sign('message', `${prefix}bus`, json) : json;
      return redis.cli('publish', `${prefix}bus`, text);
    };
    for (const message of hostile) await publish(message);
    await publish(JSON.stringify({ from: 'x', ...ending('a') }));
    await waitFor(() => heard.length > 0, { what: 'the good one' });
    expect(heard).toEqual([ending('a')]);
    expect(lines.filter((line) => line.includes('makes no sense'))).toHaveLength(1);
  });

  it('lets tokens of VMs be counted by their hosts together', async () => {
    const prefix = newPrefix();
    const { store: one } = await openRedisStore(urlOf(redis), prefix);
    const { store: two } = await openRedisStore(urlOf(redis), prefix);
    const creations = Array.from({ length: 40 }, (_, i) => createToken(i % 2 === 0 ? one : two, {}, 11));
    const settled = await Promise.allSettled(creations);
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(11);
    for (const { status, ...rest } of settled)
      if (status === 'rejected') expect(rest).toMatchObject({ reason: { code: 'too-many-tokens' } });
    expect(await two.ofVm(7)).toHaveLength(11);
  });
});

describe('a Redis in trouble', () => {
  it('that is killed is unavailable at once, and used again when it is back, with what it kept', async () => {
    const redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    const { store: one, lines } = await openRedisStore(urlOf(redis));
    const { store: two } = await openRedisStore(urlOf(redis));
    const heard = heardBy(two);
    const token = await createToken(one);
    await redis.kill();
    for (const work of [
      () => claimToken(one, token),
      () => createToken(one),
      () => one.ofVm(7),
      () => one.list(9),
    ]) {
      const { outcome, ms } = await timed<unknown>(work());
      expect(outcome).toMatchObject({ status: 'rejected', reason: unavailable });
      expect(ms).toBeLessThan(1000);
    }
    one.bus.publish(ending('lost'));
    await redis.start();
    await Promise.all([worksAgain(one), worksAgain(two)]);
    expect(await claimToken(two, token)).toMatchObject({ kind: 'granted' });
    const subscribers = async () => (await redis.cli('pubsub', 'numsub', 'vnctoken:bus')).endsWith('2');
    await waitFor(subscribers, { what: 'both to listen again' });
    one.bus.publish(ending('after'));
    await waitFor(() => heard.some((message) => message.type === 'end'), {
      what: 'an ending',
      deadlineMs: 1000,
    });
    expect(heard.filter(({ type }) => type === 'end')).toEqual([ending('after')]);
    const told = (text: string) => lines.filter((line) => line.includes(text)).length;
    expect([told('Redis cannot be used'), told('Redis can be used again')]).toEqual([1, 1]);
    expect([told('are not heard'), told('are heard again')]).toEqual([1, 1]);
  });

  it('that lost everything knows no token, and keeps new ones', async () => {
    const redis = await startRedis();
    const { store } = await openRedisStore(urlOf(redis));
    const token = await createToken(store);
    await redis.kill();
    await redis.start();
    await worksAgain(store);
    expect(await claimToken(store, token)).toEqual({ kind: 'not-valid', why: 'unknown' });
    expect(await claimToken(store, await createToken(store))).toMatchObject({ kind: 'granted' });
  });

  it('that stands still is unavailable within seconds, then at once, and used again when it goes on', async () => {
    const redis = await startRedis();
    const { store } = await openRedisStore(urlOf(redis));
    const token = await createToken(store);
    redis.pause();
    const crowd = await Promise.all(Array.from({ length: 50 }, () => timed(claimToken(store, token))));
    for (const { outcome, ms } of crowd) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: unavailable });
      expect(ms).toBeLessThan(3000);
    }
    expect((await timed(claimToken(store, token))).ms).toBeLessThan(3000);
    expect((await timed(claimToken(store, token))).ms).toBeLessThan(500);
    redis.resume();
    await worksAgain(store);
    expect(await claimToken(store, token)).toMatchObject({ kind: 'granted' });
  });

  it('that is full refuses new tokens and opens those that it has', async () => {
    const redis = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] });
    const { store } = await openRedisStore(urlOf(redis));
    const token = await createToken(store);
    await redis.cli('config', 'set', 'maxmemory', '1mb');
    await expect(createToken(store)).rejects.toMatchObject({ code: 'store-failed', oneCode: 0x4000 });
    expect(await store.ofVm(7)).toHaveLength(1);
    await expect(claimToken(store, token)).rejects.toMatchObject(unavailable);
    expect((await recordOf(store, token))?.use).toBeUndefined();
    await redis.cli('config', 'set', 'maxmemory', '0');
    expect(await claimToken(store, token)).toMatchObject({ kind: 'granted' });
    await createToken(store);
    expect(await store.ofVm(7)).toHaveLength(2);
  });

  it('that fills up between the index and the record leaves nothing of the token', async () => {
    const redis = await startRedis();
    const { store } = await openRedisStore(urlOf(redis));
    // What stands in the record's way is a user that may write indexes alone.
    await redis.cli('acl', 'setuser', 'default', 'resetkeys', '~vnctoken:vm:*');
    await expect(createToken(store)).rejects.toMatchObject({ code: 'store-failed' });
    await waitFor(async () => (await redis.cli('zcard', 'vnctoken:vm:7')) === '0', {
      what: 'the index to be empty',
    });
  });

  it('that is a replica refuses new tokens', async () => {
    const redis = await startRedis();
    const { store } = await openRedisStore(urlOf(redis));
    const token = await createToken(store);
    await redis.cli('replicaof', '127.0.0.1', '1');
    await expect(createToken(store)).rejects.toMatchObject({ code: 'store-failed' });
    await expect(claimToken(store, token)).rejects.toMatchObject(unavailable);
    await redis.cli('replicaof', 'no', 'one');
    expect(await claimToken(store, token)).toMatchObject({ kind: 'granted' });
  });

  it('that closes connections in the middle is used again, its subscribers too', async () => {
    const redis = await startRedis();
    const { store: one } = await openRedisStore(urlOf(redis));
    const { store: two } = await openRedisStore(urlOf(redis));
    const heard = heardBy(two);
    await redis.cli('client', 'kill', 'type', 'normal');
    await redis.cli('client', 'kill', 'type', 'pubsub');
    await worksAgain(one);
    const subscribers = async () => (await redis.cli('pubsub', 'numsub', 'vnctoken:bus')).endsWith('2');
    await waitFor(subscribers, { what: 'both to listen again' });
    one.bus.publish(ending('x'));
    await waitFor(() => heard.some(({ type }) => type === 'end'), { what: 'an ending', deadlineMs: 1000 });
  });

  it('that is not there at the start is told by name', async () => {
    const redis = await startRedis();
    await redis.stop();
    const { store } = redisStore(urlOf(redis));
    const { outcome, ms } = await timed(store.open());
    const message = `redis_url: cannot reach 127.0.0.1:${redis.port}: ECONNREFUSED`;
    expect(outcome).toMatchObject({ status: 'rejected', reason: { message } });
    expect(ms).toBeLessThan(8000);
  });

  it('that comes a moment after the start is waited for', async () => {
    const redis = await startRedis();
    await redis.stop();
    const { store } = redisStore(urlOf(redis));
    const opening = store.open();
    await redis.start();
    await opening;
    expect(await claimToken(store, await createToken(store))).toMatchObject({ kind: 'granted' });
  });

  it('that falls silent is noticed by a host that asks nothing, and heard again', async () => {
    const redis = await startRedis();
    const { lines } = await openRedisStore(urlOf(redis));
    const told = (text: string) => () => lines.some((line) => line.includes(text));
    redis.pause();
    await waitFor(told('are not heard'), { what: 'the silence to be noticed', deadlineMs: 15_000 });
    redis.resume();
    await waitFor(told('are heard again'), { what: 'the host to listen again' });
  });

  it('is given time to answer what was asked before the store was closed', async () => {
    const redis = await startRedis();
    const { store } = await openRedisStore(urlOf(redis));
    const token = await createToken(store);
    const asked = [createToken(store), claimToken(store, token), store.ofVm(7)];
    await store.close();
    await Promise.all(asked);
  });

  it('is left without a connection when the store is closed', async () => {
    const redis = await startRedis();
    const { store } = await openRedisStore(urlOf(redis));
    await createToken(store);
    expect((await redis.cli('client', 'list')).match(/name=vnctoken/g)).toHaveLength(2);
    await store.close();
    await waitFor(async () => !(await redis.cli('client', 'list')).includes('name=vnctoken'), {
      what: 'no client',
    });
    await expect(recordOf(store, nobody)).rejects.toMatchObject(unavailable);
  });
});
