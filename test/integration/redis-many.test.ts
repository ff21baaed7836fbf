// The store of many hosts over several Redis servers: a cluster, and a master behind Sentinels. Their failures are real.
import { describe, expect, it } from 'vitest';
import type { SessionId } from '../../src/tokens/record.ts';
import type { RedisTokenStore } from '../../src/tokens/redis/store.ts';
import type { Token } from '../../src/tokens/token.ts';
import {
  clusterReady,
  type Redis,
  startRedis,
  startRedisCluster,
  startRedisSentinels,
} from '../support/redis.ts';
import { claimToken, createToken, openRedisStore, recordOf, redisStore } from '../support/redis-stores.ts';
import { waitFor } from '../support/wait.ts';

const deadlineMs = 20_000;
const password = 'hunter2-not-to-be-seen';

const clusterUrl = (servers: readonly Redis[], login = '') =>
  `redis+cluster://${login}${servers.map(({ port }) => `127.0.0.1:${port}`).join()}`;

/** What one store tells, another one hears. */
async function hears(to: RedisTokenStore, from: RedisTokenStore): Promise<void> {
  let heard = 0;
  to.bus.subscribe(({ type }) => {
    if (type === 'end') heard++;
  });
  const told = () => {
    from.bus.publish({ type: 'end', sessions: ['s' as SessionId], why: 'revoked' });
    return heard > 0;
  };
  await waitFor(told, { what: 'an ending to be heard', deadlineMs });
}

function keepsAll(store: RedisTokenStore, tokens: readonly Token[]): Promise<unknown> {
  const all = async () => (await Promise.all(tokens.map((token) => recordOf(store, token)))).every(Boolean);
  return waitFor(all, { what: 'all tokens to be found', deadlineMs });
}

const createSome = (store: RedisTokenStore) =>
  Promise.all(Array.from({ length: 30 }, (_, vmId) => createToken(store, { vmId })));

describe('a cluster', () => {
  it('spreads tokens over its servers, and one address of them is enough', async () => {
    const rights =
      'resetchannels &vnctoken:* ~vnctoken:* -@all +eval +time +getrange +set +del +zadd +zcard +zscore +zrange ' +
      '+zrem +zremrangebyscore +zscan +pexpire +scan +publish +subscribe +ping +asking +cluster|slots +cluster|info';
    const users = ['user default on nopass ~* &* +@all', `user app on >${password} ${rights}`];
    const servers = await startRedisCluster({ users });
    const { store: one } = await openRedisStore(clusterUrl(servers.slice(0, 1), `app:${password}@`));
    const { store: two, lines } = await openRedisStore(clusterUrl(servers, `app:${password}@`));
    const tokens = await createSome(one);
    await keepsAll(two, tokens);
    for (const { cli } of servers) expect(Number(await cli('dbsize'))).toBeGreaterThan(0);
    expect(await two.list(100)).toHaveLength(30);
    expect(await two.ofVm(7)).toHaveLength(1);
    await hears(two, one);
    expect(lines).toEqual([]);
  });

  it('that moves slots is followed, in the middle of a move and after it', async () => {
    const servers = await startRedisCluster();
    const { store } = await openRedisStore(clusterUrl(servers));
    const token = await createToken(store);
    const [key = ''] = (await Promise.all(servers.map(({ cli }) => cli('keys', 'vnctoken:token:*')))).filter(
      Boolean,
    );
    const slot = await servers[0]?.cli('cluster', 'keyslot', key);
    const holds = await Promise.all(servers.map(({ cli }) => cli('keys', key)));
    const from = servers[holds.indexOf(key)] as Redis;
    const to = servers.find((one) => one !== from) as Redis;
    const [fromId, toId] = [await from.cli('cluster', 'myid'), await to.cli('cluster', 'myid')];
    await to.cli('cluster', 'setslot', String(slot), 'importing', fromId);
    await from.cli('cluster', 'setslot', String(slot), 'migrating', toId);
    await from.cli('migrate', '127.0.0.1', String(to.port), key, '0', '5000');
    expect(await claimToken(store, token)).toMatchObject({ kind: 'granted' });
    for (const { cli } of [to, from, ...servers]) await cli('cluster', 'setslot', String(slot), 'node', toId);
    expect((await recordOf(store, token))?.use?.leases).toHaveLength(1);
    // The map is asked for in the background; then there is no detour any more.
    const direct = async () => {
      const before = await from.cli('info', 'errorstats');
      await recordOf(store, token);
      return (await from.cli('info', 'errorstats')) === before;
    };
    await waitFor(direct, { what: 'the new map' });
  });

  it('that has lost a server is unavailable, and used again when the server is back', async () => {
    const servers = await startRedisCluster({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    const { store: one, lines } = await openRedisStore(clusterUrl(servers));
    const { store: two } = await openRedisStore(clusterUrl(servers));
    const tokens = await createSome(one);
    const [lost] = servers as [Redis];
    await lost.kill();
    const outcomes = await Promise.allSettled(tokens.map((token) => recordOf(one, token)));
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const one of refused) expect(one).toMatchObject({ reason: { code: 'store-unavailable' } });
    // None of them is taken for unknown.
    for (const one of outcomes) if (one.status === 'fulfilled') expect(one.value).toBeDefined();
    await lost.start();
    await Promise.all(servers.map(clusterReady));
    await keepsAll(one, tokens);
    await hears(two, one);
    await hears(one, two);
    expect(lines.filter((line) => line.includes('can be used again'))).not.toEqual([]);
  });

  it('whose server stands still answers for the others, and for it when it goes on', async () => {
    const servers = await startRedisCluster();
    const { store } = await openRedisStore(clusterUrl(servers));
    const tokens = await createSome(store);
    servers[1]?.pause();
    const start = performance.now();
    const outcomes = await Promise.allSettled(tokens.map((token) => recordOf(store, token)));
    expect(performance.now() - start).toBeLessThan(4000);
    for (const one of outcomes) {
      if (one.status === 'rejected') expect(one).toMatchObject({ reason: { code: 'store-unavailable' } });
      else expect(one.value).toBeDefined();
    }
    servers[1]?.resume();
    await Promise.all(servers.map(clusterReady));
    await keepsAll(store, tokens);
  });

  it('is told by name where no server of it answers, or where it is none', async () => {
    const alone = await startRedis();
    const none = redisStore(`redis+cluster://:${password}@127.0.0.1:1`);
    await expect(none.store.open()).rejects.toThrow(/^redis_url: cannot reach 127.0.0.1:1: ECONNREFUSED$/);
    const single = redisStore(`redis+cluster://127.0.0.1:${alone.port}`);
    await expect(single.store.open()).rejects.toThrow(/^redis_url: Redis said ERR$/);
  });
});

describe('Sentinels', () => {
  it('say which server is the master, also when it is another one', async () => {
    const { master, replica, ports } = await startRedisSentinels();
    const sentinels = ports.map((port) => `127.0.0.1:${port}`).join();
    // One of the Sentinels does not exist.
    const url = `redis+sentinel://${sentinels},127.0.0.1:1/mymaster`;
    const { store: one, lines } = await openRedisStore(url);
    const { store: two } = await openRedisStore(url);
    const token = await createToken(one);
    await claimToken(one, token);
    const followed = async () => (await replica.cli('dbsize')) === '3';
    await waitFor(followed, { what: 'the replica to have it' });
    await master.kill();
    await expect(recordOf(one, token)).rejects.toMatchObject({ code: 'store-unavailable' });
    await keepsAll(one, [token]);
    await keepsAll(two, [token]);
    expect(await claimToken(two, token, 's2', '192.0.2.2')).toMatchObject({ kind: 'in-use' });
    await hears(two, one);
    await createToken(one);
    expect(lines.filter((line) => line.includes('can be used again'))).toHaveLength(1);
  });

  it('take the place of a master that stands still, which is not used when it goes on', async () => {
    const { master, replica, ports } = await startRedisSentinels();
    const { store } = await openRedisStore(`redis+sentinel://127.0.0.1:${ports[0]}/mymaster`);
    master.pause();
    await expect(createToken(store)).rejects.toMatchObject({ code: 'store-unavailable' });
    const created = () => createToken(store).catch(() => undefined);
    const token = await waitFor(created, { what: 'a new master', deadlineMs });
    master.resume();
    const demoted = async () => (await master.cli('role')).startsWith('slave');
    await waitFor(demoted, { what: 'the old master to follow', deadlineMs });
    expect(await recordOf(store, token as Token)).toBeDefined();
    expect(Number(await replica.cli('dbsize'))).toBeGreaterThan(0);
  });

  it('that do not know the master are told', async () => {
    const { ports } = await startRedisSentinels();
    const { store } = redisStore(`redis+sentinel://:${password}@127.0.0.1:${ports[0]}/other`);
    await expect(store.open()).rejects.toThrow(
      /^redis_url: cannot reach .*: no Sentinel knows a master of that name$/,
    );
  });
});
