// The XML-RPC door under attack, over real sockets. What always holds: a refusal is an answer that every client can
// read, oned is asked no more often than the limits say, and everybody else is served meanwhile.
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';
import { type OnedCall, startTestOned, type TestOned } from '../support/oned.ts';
import { type Flags, type OneReply, type Service, startService } from '../support/service.ts';
import { waitFor } from '../support/wait.ts';
import { encodeCall } from '../support/xmlrpc.ts';

const vmId = 7;
const right = 'right-password';
const wrongPassword = { error: "[one.vm.info] User couldn't be authenticated, aborting call.", code: 0x0100 };
const notIn: OneReply = [false, wrongPassword.error, 0x0100];
const tooManyLogins: OneReply = [
  false,
  expect.stringMatching(/^Too many failed logins, try again later \(ref \w{6}\)$/) as unknown as string,
  0x2000,
];
const tooManyCalls: OneReply = [
  false,
  expect.stringMatching(
    /^Too many calls from this address, try again later \(ref \w{6}\)$/,
  ) as unknown as string,
  0x2000,
];
const token: OneReply = [true, expect.stringMatching(/^[a-z0-9]{25,}$/) as unknown as string, 0];

interface Door {
  oned: TestOned;
  service: Service;
  /** A call of somebody with a password, from an address that the nginx in front names. */
  call(user: string, password: string, from?: string, method?: string): Promise<OneReply>;
  /** About which VMs oned was asked by somebody. */
  asked(user: string): OnedCall[];
}

/** A service with an oned that knows one password for everybody. */
async function startDoor(flags: Flags = {}): Promise<Door> {
  const oned = await startTestOned();
  oned.answer(vmId, ({ session }) =>
    session.endsWith(`:${right}`) ? { vm: { id: vmId, hosts: ['node1'], uid: 2 } } : wrongPassword,
  );
  // All calls are for one VM, and how many there are depends on how fast the machine is.
  const service = await startService({ oned, flags: { max_tokens_per_vm: 100_000, ...flags } });
  return {
    oned,
    service,
    call: (user, password, from, method = 'one.vm.vnctokenonly') => {
      const headers: Record<string, string> = from === undefined ? {} : { 'x-forwarded-for': from };
      return service.call(method, [`${user}:${password}`, vmId], { headers });
    },
    asked: (user) =>
      oned.calls.filter(({ method, session }) => method === 'one.vm.info' && session.startsWith(`${user}:`)),
  };
}

/** Calls of somebody with the right password, one after the other, for as long as something takes. */
async function servedMeanwhile(door: Door, work: Promise<unknown>): Promise<OneReply[]> {
  let over = false;
  const end = work.finally(() => {
    over = true;
  });
  const replies: OneReply[] = [];
  while (!over || replies.length === 0) replies.push(await door.call('bob', right));
  await end;
  return replies;
}

describe('guesses of a password', () => {
  it('are refused from max_failed_logins on, while everybody else is served', async () => {
    const door = await startDoor({ max_failed_logins: 5 });
    const guesses: OneReply[] = [];
    const guess = async () => {
      for (let i = 0; i < 8; i++) guesses.push(await door.call('alice', `guess-${i}`, '203.0.113.9'));
    };
    const served = await servedMeanwhile(door, guess());
    expect(guesses).toEqual([...Array(5).fill(notIn), ...Array(3).fill(tooManyLogins)]);
    // The first one twice, for a login token may be new.
    expect(door.asked('alice')).toHaveLength(6);
    expect(served).toEqual(Array(served.length).fill(token));

    // The right password as well, by whatever method and spelling, but nobody else.
    for (const method of ['one.vm.vnctoken', 'one.vm.vnc', 'one.vm.vncrevoke', 'one.vm.vncsessions'])
      expect(await door.call('alice', right, '203.0.113.9', method)).toEqual(tooManyLogins);
    for (const name of ['ALICE', 'álice', ' alice'])
      expect(await door.call(name, right, '203.0.113.9')).toEqual(tooManyLogins);
    expect(door.asked('alice')).toHaveLength(6);
    expect(await door.call('alice', right, '203.0.113.10')).toEqual(token);
    expect(await door.call('carol', right, '203.0.113.9')).toEqual(token);
  });

  it('gain nothing by the right password of a portal beside them, and take nothing from it', async () => {
    const door = await startDoor({ max_failed_logins: 5 });
    const from = '203.0.113.9';
    expect(await door.call('alice', right, from)).toEqual(token);
    for (let i = 0; i < 12; i++) {
      expect(await door.call('alice', `guess-${i}`, from)).toEqual(i < 5 ? notIn : tooManyLogins);
      expect(await door.call('alice', right, from)).toEqual(token);
    }
  });

  it('are a handful, from however many addresses they come', async () => {
    const door = await startDoor({ max_calls_per_address: 1000 });
    const guesses = await Promise.all(
      Array.from({ length: 300 }, (_value, i) => door.call('alice', `guess-${i}`, `203.0.113.${i % 250}`)),
    );
    // Some at once, three that waited, and no more.
    expect(guesses.filter(([, message]) => message === wrongPassword.error).length).toBeLessThanOrEqual(9);
    expect(door.asked('alice').length).toBeLessThanOrEqual(9 + 1);
    expect(await door.call('bob', right)).toEqual(token);
  });

  it('lock nobody out where a portal names no client', async () => {
    const door = await startDoor({ max_failed_logins: 3 });
    expect(await door.call('oneadmin', right)).toEqual(token);
    for (let i = 0; i < 4; i++) expect(await door.call('oneadmin', `guess-${i}`)).toEqual(notIn);
    // The portal's own session at once, before a guess that waits already; another right one in its turn.
    const order: string[] = [];
    const note = (name: string) => (reply: OneReply) => void order.push(`${name} ${reply[0]}`);
    const held = door.call('oneadmin', 'guess').then(note('guess'));
    const fresh = door.call('oneadmin', `of-another-portal:${right}`).then(note('fresh'));
    await door.call('oneadmin', right).then(note('proven'));
    await Promise.all([held, fresh]);
    expect(order).toEqual(['proven true', 'guess false', 'fresh true']);
  });

  it('that come all at once learn no more, and oned hears of few of them', async () => {
    const door = await startDoor({
      ...{ max_failed_logins: 5, oned_connections: 4, max_calls_per_address: 1000 },
    });
    const guesses = Promise.all(
      Array.from({ length: 200 }, (_value, i) => door.call('alice', `guess-${i}`, '203.0.113.9')),
    );
    const served = await servedMeanwhile(door, guesses);
    const told = (await guesses).map(([, message]) => String(message));
    expect(told.filter((message) => message === wrongPassword.error)).toHaveLength(5);
    expect(told.filter((message) => /^Too many failed logins/.test(message))).toHaveLength(195);
    expect(door.asked('alice').length).toBeLessThanOrEqual(5 + 4 + 1);
    expect(served).toEqual(Array(served.length).fill(token));
    expect(await door.call('alice', right, '203.0.113.9')).toEqual(tooManyLogins);
    expect(await door.call('alice', right)).toEqual(token);
  });

  it('take longer from the third on; others do not wait for them', async () => {
    const door = await startDoor();
    for (let i = 0; i < 5; i++) expect(await door.call('alice', 'guess')).toEqual(notIn);
    const ended: string[] = [];
    const note = (name: string) => () => ended.push(name);
    const held = door.call('alice', right).then(note('alice'));
    for (let i = 0; i < 10; i++) await door.call('bob', right).then(note('bob'));
    expect(ended).toEqual(Array(10).fill('bob'));
    expect(door.asked('alice')).toHaveLength(6);
    await held;
  });

  it('of many names are refused from max_failed_logins_per_address on, and only there', async () => {
    const door = await startDoor({ max_failed_logins_per_address: 30, max_calls_per_address: 1000 });
    const spray = async () => {
      const replies: OneReply[] = [];
      for (let i = 0; i < 40; i++) replies.push(await door.call(`user-${i}`, 'guess', '203.0.113.9'));
      return replies;
    };
    const sprayed = spray();
    const served = await servedMeanwhile(door, sprayed);
    expect(await sprayed).toEqual([...Array(30).fill(notIn), ...Array(10).fill(tooManyLogins)]);
    expect(served).toEqual(Array(served.length).fill(token));
    expect(await door.call('bob', right, '203.0.113.9')).toEqual(tooManyLogins);
    expect(await door.call('bob', right, '203.0.113.10')).toEqual(token);
    // A portal on this host is one address for all of its users.
    for (let i = 0; i < 40; i++) await door.call(`user-${i}`, 'guess');
    expect(await door.call('bob', right)).toEqual(token);
  });

  it('that are held back end when their caller goes', async () => {
    const door = await startDoor({ debug_level: 3 });
    for (let i = 0; i < 6; i++) await door.call('alice', 'guess');
    const socket = connect(door.service.rpcPort, '127.0.0.1');
    const body = encodeCall('one.vm.vnctokenonly', [`alice:${right}`, vmId]);
    socket.write(`POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    // The others show that it has arrived before.
    for (let i = 0; i < 5; i++) await door.call('bob', right);
    socket.destroy();
    await door.service.waitForLog(({ code }) => code === 'caller-gone', 'the caller who went');
    expect(door.asked('alice')).toHaveLength(7);
  });

  it('that are held back end when the service stops', async () => {
    const door = await startDoor();
    for (let i = 0; i < 6; i++) await door.call('alice', 'guess');
    const asked = door.asked('alice').length;
    const held = door.call('alice', right);
    const answered = held.then(
      (reply) => reply,
      () => undefined,
    );
    // The others show that it has arrived before.
    await door.call('bob', right);
    await door.call('bob', right);
    door.service.signal('SIGTERM');
    expect(await answered).toEqual([false, expect.stringMatching(/^The service is stopping \(ref/), 0x2000]);
    expect(door.asked('alice')).toHaveLength(asked);
    expect(await door.service.stop()).toMatchObject({ code: 0 });
  });

  it('leave a trace: who, from where, and no password', async () => {
    const auditFile = join(temporaryFolder(), 'audit.log');
    const door = await startDoor({ max_failed_logins: 2, audit_file: auditFile });
    for (const password of ['opensesame-1', 'opensesame-2', 'opensesame-3'])
      await door.call('alice', password, '203.0.113.9');
    await door.call('bob', right);
    const events = await waitFor(
      () => {
        const lines = readFileSync(auditFile, 'utf8').split('\n').filter(Boolean);
        return lines.length >= 4
          ? lines.map((line) => JSON.parse(line) as Record<string, unknown>)
          : undefined;
      },
      { what: 'four events' },
    );
    const alice = { vm: vmId, user: 'alice', client: '203.0.113.9', ref: expect.stringMatching(/^\w{6}$/) };
    expect(events).toMatchObject([
      { audit: 'login-failed', ...alice, reason: "one.vm.vnctokenonly: oned's code 256" },
      { audit: 'login-failed', ...alice },
      {
        ...{ audit: 'refused', ...alice },
        reason: 'one.vm.vnctokenonly: max_failed_logins (2 in 5 minutes) is reached',
      },
      { audit: 'issued', vm: vmId, user: 'bob', client: '127.0.0.1', fingerprint: expect.any(String) },
    ]);
    const log = JSON.stringify(door.service.logLines());
    for (const text of [log, JSON.stringify(events)]) {
      expect(text).not.toContain('opensesame');
      expect(text).not.toContain(right);
    }
  });
});

describe('accounts that log in for others', () => {
  it('have a limit for each of them', async () => {
    const door = await startDoor({ max_failed_logins: 3, server_users: 'serveradmin' });
    const from = '203.0.113.9';
    door.oned.user(`serveradmin:bob:${right}`, { id: 7, name: 'bob', gids: [1] });
    for (let i = 0; i < 3; i++)
      expect(await door.call('serveradmin', `alice:guess-${i}`, from)).toEqual(notIn);
    expect(await door.call('serveradmin', `alice:${right}`, from)).toEqual(tooManyLogins);
    expect(await door.call('serveradmin', `bob:${right}`, from)).toEqual(token);
    const line = await door.service.waitForLog(({ msg }) => msg === 'token issued', 'the token');
    expect(line).toMatchObject({ user: 'bob' });
  });
});

describe('too many calls of an address', () => {
  it('are refused in the form that clients read, and nobody else is', async () => {
    const door = await startDoor({ max_calls_per_address: 5 });
    const burst = await Promise.all(
      Array.from({ length: 60 }, () => door.call('alice', right, '203.0.113.9')),
    );
    const served = burst.filter(([ok]) => ok);
    expect(served.length).toBeGreaterThanOrEqual(5);
    expect(burst.filter(([ok]) => !ok)).toEqual(Array(60 - served.length).fill(tooManyCalls));
    expect(served.length).toBeLessThan(60);
    expect(door.asked('alice')).toHaveLength(served.length);
    expect(await door.call('alice', right, '203.0.113.10')).toEqual(token);
    await waitFor(async () => (await door.call('alice', right, '203.0.113.9'))[0], {
      what: 'the next second',
    });
  });

  it('are not counted where an address stands for many', async () => {
    const door = await startDoor({ max_calls_per_address: 1, trusted_proxies: '127.0.0.0/8,192.0.2.7' });
    for (const from of [undefined, '192.0.2.7']) {
      const replies = await Promise.all(Array.from({ length: 30 }, () => door.call('alice', right, from)));
      expect(replies).toEqual(Array(30).fill(token));
    }
  });

  it('count whatever they are: no call costs more than reading it', async () => {
    const door = await startDoor({ max_calls_per_address: 2 });
    const headers = { 'x-forwarded-for': '203.0.113.9' };
    const bodies = await Promise.all(
      Array.from({ length: 40 }, async () => (await door.service.rawCall('nonsense', { headers })).body),
    );
    const faults = bodies.filter((body) => body.includes('<fault>'));
    expect(faults.length).toBeGreaterThanOrEqual(2);
    expect(faults.length).toBeLessThan(40);
    expect(bodies.filter((body) => body.includes('Too many calls')).length).toBe(40 - faults.length);
  });
});
