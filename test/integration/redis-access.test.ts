// Who we are to Redis: users with no more rights than the documentation asks for, passwords, certificates; and that
// nothing of a password is ever said.
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SessionId } from '../../src/tokens/record.ts';
import { atEnd } from '../support/lifetime.ts';
import { freePort } from '../support/ports.ts';
import { startRedis, startRedisTls } from '../support/redis.ts';
import { claimToken, createToken, openRedisStore, redisStore, revokeToken } from '../support/redis-stores.ts';
import { waitFor } from '../support/wait.ts';

const password = 'hunter2-not-to-be-seen';
const encoded = encodeURIComponent(password);

/** As docs/scaling.md has it. */
const rights =
  'resetchannels &vnctoken:* ~vnctoken:* -@all +eval +time +getrange +set +del +zadd +zcard +zscore +zrange +zrem ' +
  '+zremrangebyscore +zscan +pexpire +scan +publish +subscribe +ping';

/** The whole message of what a start ended with. */
async function refusalOf(url: string): Promise<string> {
  const { store, lines } = redisStore(url);
  const message = await store.open().then(
    () => 'it started',
    (error: unknown) => `${error instanceof Error ? `${error.message} ${error.stack}` : error}`,
  );
  return message + lines.join('');
}

describe('a user of Redis', () => {
  it('needs the rights of the documentation and no more', async () => {
    const redis = await startRedis({ users: ['user default off', `user app on >${password} ${rights}`] });
    const url = `redis://app:${encoded}@127.0.0.1:${redis.port}`;
    const { store, lines } = await openRedisStore(url);
    const { store: other } = await openRedisStore(url);
    const token = await createToken(store);
    expect(await claimToken(store, token)).toMatchObject({ kind: 'granted' });
    const heard: unknown[] = [];
    other.bus.subscribe((message) => void (message.type === 'end' && heard.push(message)));
    expect(await revokeToken(store, token)).toEqual(['s1']);
    store.bus.publish({ type: 'end', sessions: ['s1' as SessionId], why: 'revoked' });
    await waitFor(() => heard.length > 0, { what: 'the ending', deadlineMs: 1000 });
    expect(await store.ofVm(7)).toHaveLength(1);
    expect(await store.list(9)).toHaveLength(1);
    expect(lines).toEqual([]);
  });

  it.each(
    rights
      .split(' ')
      .filter((right) => /^[+&~]/.test(right) && !['+ping', '+eval'].includes(right))
      .map((right) => [right]),
  )('that lacks %s is told so at the start', async (right) => {
    const less = right.startsWith('+') ? `${rights} -${right.slice(1)}` : rights.replace(right, '');
    const redis = await startRedis({ users: [`user default on nopass ${less}`] });
    const said = await refusalOf(`redis://127.0.0.1:${redis.port}`);
    expect(said).toMatch(/^redis_url: the user lacks rights in Redis \(NOPERM\)/);
  });

  it('may choose another database', async () => {
    const redis = await startRedis();
    const { store } = await openRedisStore(`redis://127.0.0.1:${redis.port}/3`);
    await createToken(store);
    expect(await redis.cli('dbsize')).toBe('0');
    expect(await redis.cli('-n', '3', 'dbsize')).toBe('3');
  });
});

describe('a password', () => {
  it.each([
    ['is wrong', `app:${encoded}x`, /\(WRONGPASS\)/],
    ['is missing', undefined, /\(NOAUTH\)/],
    ["is somebody else's", `nobody:${encoded}`, /\(WRONGPASS\)/],
  ])('that %s is told without it', async (_how, login, what) => {
    const users = ['user default off', `user app on >${password} ${rights}`];
    const redis = await startRedis({ users });
    const said = await refusalOf(`redis://${login === undefined ? '' : `${login}@`}127.0.0.1:${redis.port}`);
    expect(said).toMatch(/^redis_url: Redis refuses the user or the password/);
    expect(said).toMatch(what);
    expect(said).not.toContain('hunter2');
  });

  it('is not said where the server repeats it', async () => {
    const port = await freePort();
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => {
        socket.write(
          `-ERR unknown command, with args beginning with: ${bytes.toString().replace(/\s+/g, ' ')}\r\n`,
        );
      });
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    atEnd(() => void server.close());
    const said = await refusalOf(`redis://app:${encoded}@127.0.0.1:${port}`);
    expect(said).toContain('redis_url: Redis said ERR');
    expect(said).not.toContain('hunter2');
  });

  it('is not said when it is changed under a running store', async () => {
    const redis = await startRedis({ users: [`user default on >${password} ${rights} +@admin`] });
    const { store, lines } = await openRedisStore(`redis://:${encoded}@127.0.0.1:${redis.port}`);
    const token = await createToken(store);
    const as = ['--pass', password, '--no-auth-warning'];
    await redis.cli(...as, 'acl', 'setuser', 'default', 'resetpass', '>another');
    await redis.cli('--pass', 'another', '--no-auth-warning', 'client', 'kill', 'type', 'normal');
    const failure = await waitFor(
      () =>
        claimToken(store, token).then(
          () => undefined,
          (error: unknown) => error,
        ),
      { what: 'the refusal' },
    );
    expect(failure).toMatchObject({ code: 'store-unavailable' });
    expect(String(failure) + lines.join('')).not.toContain('hunter2');
    expect(lines.join('')).toContain('WRONGPASS');
  });
});

describe('TLS', () => {
  it('is spoken with our own certificate where the server wants one', async () => {
    const { port, pki } = await startRedisTls();
    const files = `ca=${pki.ca.cert}&cert=${pki.client.cert}&key=${pki.client.key}`;
    const { store } = await openRedisStore(`rediss://localhost:${port}?${files}`);
    expect(await claimToken(store, await createToken(store))).toMatchObject({ kind: 'granted' });
    expect(await refusalOf(`rediss://localhost:${port}?ca=${pki.ca.cert}`)).toMatch(
      /^redis_url: cannot reach localhost:\d+: /,
    );
  });

  it('is not spoken with a server that our authorities do not know, or that has another name', async () => {
    const { port, pki } = await startRedisTls({ args: ['--tls-auth-clients', 'no'] });
    expect(await refusalOf(`rediss://localhost:${port}`)).toContain('SELF_SIGNED_CERT_IN_CHAIN');
    // The same host by a name that the certificate does not have.
    const other = `rediss://127.1:${port}?ca=${pki.ca.cert}`;
    expect(await refusalOf(other)).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
    await openRedisStore(`rediss://127.0.0.1:${port}?ca=${pki.ca.cert}`);
  });

  it('names a file that cannot be read', () => {
    const url = `rediss://:${encoded}@localhost?ca=${join('/nowhere', 'ca.pem')}`;
    expect(() => redisStore(url)).toThrow('redis_url: cannot read the file of ca: ENOENT');
  });
});
