// Somebody who may write to Redis, without the key of the hosts: what he changes, moves, brings back or makes up counts
// for nothing, and the log says which setting it is about.
import { createSecretKey, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { BusMessage } from '../../src/tokens/bus.ts';
import { RedisMac } from '../../src/tokens/redis/mac.ts';
import { hashToken, newToken, type Token } from '../../src/tokens/token.ts';
import { startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { claimToken, createToken, openRedisStore, recordOf, revokeToken } from '../support/redis-stores.ts';
import { runMain } from '../support/service.ts';
import { greetAndEcho, startVncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';

let redis: Redis;
let url: string;
let prefixes = 0;

beforeAll(async () => {
  redis = await startRedis();
  url = `redis://127.0.0.1:${redis.port}`;
});

const newKey = () => createSecretKey(randomBytes(32));
const unknown = { kind: 'not-valid', why: 'unknown' };

/** A store with a key, and a writer's hands on its records. */
async function attacked() {
  const prefix = `w${++prefixes}:`;
  const key = newKey();
  const { store, lines } = await openRedisStore(url, prefix, key);
  const keyOf = (token: Token) => `${prefix}token:${hashToken(token)}`;
  return {
    ...{ prefix, key, store, lines, keyOf },
    read: (token: Token) => redis.cli('get', keyOf(token)),
    write: (token: Token, text: string) => redis.cli('set', keyOf(token), text, 'keepttl'),
  };
}

describe('a record that somebody else wrote', () => {
  it.each<[what: string, change: (text: string) => string]>([
    ['another port', (text) => text.replace(/"port":\d+/, '"port":22')],
    ['another host', (text) => text.replace('node1', '169.254.169.254')],
    ['another VM', (text) => text.replace('"vmId":7', '"vmId":8')],
    ['another user', (text) => text.replace('alice', 'oneadmin')],
    ['a longer life', (text) => text.replace(/"keepUntil":\d+/, '"keepUntil":8640000000000000')],
    ['a later expiry', (text) => text.replace(/"expiresAt":\d+/, '"expiresAt":8640000000000000')],
    ['one more member', (text) => text.replace('"version"', '"ended":"revoked","version"')],
    ['spelled anew', (text) => JSON.stringify(JSON.parse(text), undefined, 1)],
    ['without a MAC, as before there was one', (text) => text.replace(/"key".*?"version":2/, '"version":1')],
    ['signed with the key that a stranger has', (text) => strangersOwn(text)],
    ['signed with what is known of a Redis without password', (text) => strangersOwn(text, '')],
  ])('%s: the token is unknown', async (_what, change) => {
    const { store, lines, keyOf, read, write } = await attacked();
    const token = await createToken(store);
    const text = await read(token);
    currentKey = keyOf(token);
    expect(change(text)).not.toBe(text);
    await write(token, change(text));
    expect(await claimToken(store, token)).toEqual(unknown);
    expect(await recordOf(store, token)).toBeUndefined();
    expect([await store.ofVm(7), await store.ofVm(8), await store.list(10)]).toEqual([[], [], []]);
    expect(lines.filter((line) => line.includes('counts for nothing'))).toHaveLength(1);
    expect(lines.join('')).not.toContain(token);
    // What was written by nobody of ours is left alone.
    await write(token, text);
    expect(await claimToken(store, token)).toMatchObject({ kind: 'granted' });
  });

  it('in the place of another token opens nothing, nor under another prefix', async () => {
    const { store, read, write, prefix, key } = await attacked();
    const [his, hers] = [await createToken(store), await createToken(store, { vmId: 8 })];
    await write(his, await read(hers));
    expect(await claimToken(store, his)).toEqual(unknown);
    const madeUp = newToken();
    await redis.cli('set', `${prefix}token:${hashToken(madeUp)}`, await read(hers));
    expect(await claimToken(store, madeUp)).toEqual(unknown);
    const other = await openRedisStore(url, `w${++prefixes}:`, key);
    await redis.cli('set', `w${prefixes}:token:${hashToken(hers)}`, await read(hers));
    expect(await claimToken(other.store, hers)).toEqual(unknown);
  });

  it('brought back after its end opens no longer than it would have', async () => {
    const { store, read, keyOf } = await attacked();
    const token = await createToken(store, { expiresAt: store.now() + 1500 });
    const before = await read(token);
    await revokeToken(store, token);
    await redis.cli('set', keyOf(token), before);
    // Nobody can tell it from the record of a revocation that Redis lost.
    const until = (await recordOf(store, token))?.keepUntil ?? Number.NaN;
    await waitFor(() => store.now() > until, { what: 'the end of its time' });
    expect(await claimToken(store, token)).toEqual(unknown);
  });

  let currentKey = '';
  /** Somebody who knows the form, and everything but the key. */
  function strangersOwn(text: string, password?: string): string {
    const mac = new RedisMac(password ?? newKey());
    return mac.sign('record', currentKey, `{${text.slice(text.indexOf('"version"'))}`);
  }
});

describe('an index that somebody else wrote', () => {
  it('names no token that is not one of that VM', async () => {
    const { store, prefix } = await attacked();
    const token = await createToken(store, { vmId: 8 });
    await redis.cli(
      'zadd',
      `${prefix}vm:7`,
      '9999999999999',
      hashToken(token),
      'inf',
      'x',
      '-inf',
      '',
      '5',
      '../..',
    );
    expect(await store.ofVm(7)).toEqual([]);
  });
});

describe('a message that somebody else published', () => {
  it.each<[what: string, message: object]>([
    ['an end', { type: 'end', sessions: ['a'], why: 'revoked' }],
    [
      'a revocation of everything',
      { type: 'revoke', selection: { zone: { endpoint: 'A'.repeat(16) } }, until: 8.64e15 },
    ],
    ['a question', { type: 'probe', session: 'a', question: 'q' }],
    ['an answer', { type: 'probed', question: 'q', alive: true }],
  ])('%s is not heard', async (_what, message) => {
    const { store, lines, prefix, key } = await attacked();
    const heard: BusMessage[] = [];
    store.bus.subscribe((one) => void heard.push(one));
    const channel = `${prefix}bus`;
    const json = JSON.stringify({ from: 'x', ...message });
    const signed = new RedisMac(key).sign('message', channel, json);
    const forged = [
      json,
      new RedisMac(newKey()).sign('message', channel, json),
      new RedisMac('').sign('message', channel, json),
      new RedisMac(key).sign('message', 'another channel', json),
      new RedisMac(key).sign('record', channel, json),
      signed.replace('"from":"x"', '"from":"y"'),
    ];
    for (const text of forged) await redis.cli('publish', channel, text);
    await redis.cli('publish', channel, signed);
    await waitFor(() => heard.length > 0, { what: 'the one that a host has signed' });
    expect(heard).toEqual([message]);
    // One line for each kind of doubt.
    expect(lines.filter((line) => line.includes('counts for nothing'))).toHaveLength(3);
  });
});

describe('hosts with different keys', () => {
  it('do not open tokens of each other, and each says which setting it is, the first one as the second comes', async () => {
    const prefix = `w${++prefixes}:`;
    const one = await openRedisStore(url, prefix, newKey());
    const told = (lines: string[]) => lines.filter((line) => line.includes('password_key must be the same'));
    const two = await openRedisStore(url, prefix, newKey());
    await waitFor(() => told(one.lines).length === 1, { what: 'the line of the first host' });
    expect(await claimToken(two.store, await createToken(one.store))).toEqual(unknown);
    expect(told(two.lines)).toHaveLength(1);
  });

  it('are one where neither has a key of its own, and where both have the same password', async () => {
    const prefix = `w${++prefixes}:`;
    const user = 'user vnctoken on >secret ~* &* +@all';
    const closed = await startRedis({ users: ['user default on nopass ~* &* +@all', user] });
    for (const address of [url, `redis://vnctoken:secret@127.0.0.1:${closed.port}`]) {
      const one = await openRedisStore(address, prefix);
      const two = await openRedisStore(address, prefix);
      expect(await claimToken(two.store, await createToken(one.store))).toMatchObject({ kind: 'granted' });
      expect([one.lines, two.lines]).toEqual([[], []]);
    }
    // Another user of the same Redis, who does not know it, is a stranger.
    const guest = await openRedisStore(`redis://127.0.0.1:${closed.port}`, prefix);
    const { store } = await openRedisStore(`redis://vnctoken:secret@127.0.0.1:${closed.port}`, prefix);
    expect(await claimToken(store, await createToken(guest.store))).toEqual(unknown);
  });
});

it.each([
  ['is not there', undefined, 'ENOENT'],
  ['is no key', 'short', 'does not hold a key'],
])('check-config tells of a key that %s', async (_what, text, told) => {
  const file = join(temporaryFolder(), 'key');
  if (text !== undefined) writeFileSync(file, text, { mode: 0o600 });
  const ownConfig = `:token_store: redis\n:redis_url: ${url}\n:password_key: ${file}\n`;
  const { code, stderr } = await runMain(['check-config'], { ownConfig });
  expect(code).not.toBe(0);
  expect(stderr).toContain('password_key: ');
  expect(stderr).toContain(told);
});

describe('the service on a Redis that others write to', () => {
  it('connects nowhere that oned did not say, whatever is written', async () => {
    const passwordKey = join(temporaryFolder(), 'key');
    writeFileSync(passwordKey, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
    const consoles = await startConsoles({
      flags: { token_store: 'redis', redis_prefix: `w${++prefixes}:`, password_key: passwordKey },
      env: { VNCTOKEN_REDIS_URL: url },
    });
    const { token } = await consoles.console(greetAndEcho);
    const aim = await startVncTarget(greetAndEcho);
    const key = `w${prefixes}:token:${hashToken(token as Token)}`;
    const text = await redis.cli('get', key);
    await redis.cli('set', key, text.replace(/"port":\d+/, `"port":${aim.port}`));
    const refused = await consoles.open(token);
    expect(refused.status).toBe(401);
    expect(refused.body()).toMatch(/^This console link is not valid any more \(ref \w{6}\)\n$/);
    expect(aim.connections).toEqual([]);
    await consoles.service.waitForLog(({ msg }) => String(msg).includes('password_key'), 'the forgery');
    await redis.cli('set', key, text);
    await (await consoles.open(token)).waitForData(12);
  });
});
