// Who may be on a console, through the whole service: one at a time and taken over, limits, ends from outside, and what
// the audit says of all of it; in one process and in two.
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import type { Flags, LogLine } from '../support/service.ts';
import { closeAtOnce, greetAndEcho } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { frame, type HandshakeOptions, opcode, type RawWebSocket } from '../support/ws-client.ts';

const from = (client: string): Partial<HandshakeOptions> => ({ headers: { 'X-Forwarded-For': client } });

function audited(lines: readonly LogLine[], event?: string): LogLine[] {
  return lines.filter(({ audit }) => (event === undefined ? audit !== undefined : audit === event));
}

function isOpen({ status, frames }: RawWebSocket): boolean {
  return status === 101 && !frames.some(({ opcode: code }) => code === opcode.close);
}

async function echoes(webSocket: RawWebSocket, text: string): Promise<void> {
  webSocket.send(frame({ payload: text }));
  await waitFor(() => webSocket.data().toString().endsWith(text), { what: `the echo of ${text}` });
}

/** Until its place is free for another one. */
async function closeAndWait(consoles: Consoles, browser: RawWebSocket): Promise<void> {
  const ended = () => audited(consoles.service.logLines(), 'ended').length;
  const before = ended();
  browser.socket.destroy();
  await waitFor(() => ended() > before, { what: 'its end' });
}

/** Opens one console after the other until two are in different workers. */
async function inBothWorkers(consoles: Consoles): Promise<{ token: string; browser: RawWebSocket }[]> {
  const found = new Map<unknown, { token: string; browser: RawWebSocket }>();
  while (found.size < 2) {
    const { token } = await consoles.console(greetAndEcho);
    const seen = consoles.service.logLines().length;
    const browser = await consoles.open(token, from('192.0.2.1'));
    await browser.waitForData(12);
    const line = await waitFor(
      () =>
        consoles.service
          .logLines()
          .slice(seen)
          .find(({ msg }) => msg === 'console opened'),
      { what: 'its line' },
    );
    if (found.has(line['worker'])) await closeAndWait(consoles, browser);
    else found.set(line['worker'], { token, browser });
  }
  return [...found.values()];
}

describe.each([1, 2])('with %i processes', (workers) => {
  const start = (flags: Flags = {}) => startConsoles({ flags: { workers, stop_timeout: 2, ...flags } });

  it('a console is taken over from the same address, once in ten seconds', async () => {
    const consoles = await start();
    const { token } = await consoles.console(greetAndEcho);
    const first = await consoles.open(token, from('192.0.2.1'));
    await echoes(first, 'one');
    const second = await consoles.open(token, from('192.0.2.1'));
    await echoes(second, 'two');
    expect(await first.closeFrame()).toEqual({ code: 4001, reason: 'Opened in another window' });
    const third = await consoles.open(token, from('192.0.2.1'));
    expect(third.status).toBe(429);
    expect(third.body()).toMatch(/in use in another window \(ref \w{6}\)/);
    await echoes(second, 'still two');
  });

  it('a hundred race for a token, and one has it', async () => {
    const consoles = await start();
    const { token } = await consoles.console(greetAndEcho);
    const opened = await Promise.all(
      Array.from({ length: 100 }, () => consoles.open(token, from('192.0.2.1'))),
    );
    await waitFor(() => opened.filter(isOpen).length === 1, { what: 'one console' });
    for (const one of opened.filter(isOpen)) await echoes(one, 'mine');
    for (const { status } of opened) expect([101, 429]).toContain(status);
  });

  it('another address is refused while the first one answers, and takes over when it is silent', async () => {
    const consoles = await start();
    const { token } = await consoles.console(greetAndEcho);
    const first = await consoles.open(token, from('192.0.2.1'));
    await echoes(first, 'one');
    const alive = setInterval(() => first.send(frame({ payload: 'x' })), 100);
    const refused = await consoles.open(token, from('198.51.100.1'));
    clearInterval(alive);
    expect(refused.status).toBe(429);
    const second = await consoles.open(token, from('198.51.100.1'));
    await echoes(second, 'two');
    expect((await first.closeFrame()).code).toBe(4001);
  });

  it('bind_client: ip refuses another address in the words of a link that is over', async () => {
    const consoles = await start({ bind_client: 'ip' });
    const { token } = await consoles.console(greetAndEcho);
    const first = await consoles.open(token, from('192.0.2.1'));
    await echoes(first, 'one');
    const other = await consoles.open(token, from('192.0.2.2'));
    expect(other.status).toBe(401);
    expect(other.body()).toMatch(/^This console link is not valid any more \(ref \w{6}\)\n$/);
  });

  it('limits come free again, however a session ended', async () => {
    const consoles = await start({ token_sessions: 'shared', max_sessions_per_vm: 2 });
    const { token, vmId } = await consoles.console(greetAndEcho);
    const ends: ((browser: RawWebSocket) => unknown)[] = [
      ({ socket }) => socket.destroy(),
      ({ socket }) => socket.resetAndDestroy(),
      ({ socket }) => socket.end(),
      ({ send }) => send(frame({ payload: 'unmasked', masked: false })),
      () => consoles.service.call('one.vm.vncrevoke', ['oneadmin:oneadmin', vmId]),
    ];
    for (const [round, end] of ends.entries()) {
      const both = [await consoles.open(token), await consoles.open(token)];
      for (const one of both) await one.waitForData(12);
      const third = await consoles.open(token);
      expect(third.status).toBe(429);
      expect(third.body()).toContain('Too many consoles are open');
      for (const one of both) await end(one);
      // Not until as many have ended as were told of: the lines may come later than the bytes of a console.
      const ended = () => audited(consoles.service.logLines(), 'ended').length;
      await waitFor(() => ended() === 2 * (round + 1), { what: 'both ends' });
    }
  });

  it('a VM that several may use is filled by none of them: who has most makes room, tokens and consoles', async () => {
    const consoles = await start({ max_tokens_per_vm: 4, max_sessions_per_vm: 2, token_sessions: 'single' });
    const { vmId, token: first } = await consoles.console(greetAndEcho);
    consoles.oned.changeVm(vmId, { permissions: 'um-um-um-' });
    const second = await consoles.service.issueToken(vmId);
    const [one, two] = [await consoles.open(first), await consoles.open(second)];
    for (const browser of [one, two]) await echoes(browser, 'there');
    const unused = [await consoles.service.issueToken(vmId), await consoles.service.issueToken(vmId)];
    const call = (session: string) => consoles.service.call('one.vm.vnctokenonly', [session, vmId]);
    const [ok, text, code] = await call('oneadmin:oneadmin');
    expect([ok, code]).toEqual([false, 0x2000]);
    expect(text).toMatch(/^This VM has too many console links, try again later \(ref \w{6}\)$/);
    const ofAlice = await consoles.service.issueToken(vmId, 'alice:secret');
    expect((await consoles.open(unused[0] ?? '')).status).toBe(401);
    const her = await consoles.open(ofAlice);
    await echoes(her, 'me too');
    expect(await two.closeFrame()).toEqual({ code: 4005, reason: 'Somebody else needs a place on this VM' });
    await echoes(one, 'still here');
    // One each: nobody has so many more that she could have another one, or he his again.
    expect((await consoles.open(unused[1] ?? '')).status).toBe(429);
    const [given] = audited(consoles.service.logLines(), 'revoked');
    expect(given).toMatchObject({ vm: vmId, user: 'oneadmin', by: 'max_tokens_per_vm' });
  });

  it('a user has so many tokens over all VMs', async () => {
    const consoles = await start({ max_tokens_per_user: 2 });
    await consoles.console(greetAndEcho);
    const { vmId } = await consoles.console(greetAndEcho);
    const [ok, text, code] = await consoles.service.call('one.vm.vnctoken', ['oneadmin:oneadmin', vmId]);
    expect([ok, code]).toEqual([false, 0x2000]);
    expect(text).toMatch(/^You have too many console links, try again later \(ref \w{6}\)$/);
    await consoles.service.issueToken(vmId, 'alice:secret');
  });

  it('a target that refuses leaves no session and no lease', async () => {
    const consoles = await start({ max_sessions: 1 });
    for (let i = 0; i < 5; i++) {
      const { token } = await consoles.console(closeAtOnce);
      const browser = await consoles.open(token);
      expect((await browser.closeFrame()).code).toBe(1011);
    }
    const { token } = await consoles.console(greetAndEcho);
    await echoes(await consoles.open(token), 'mine');
  });

  it('an old token ends its session with 4003', async () => {
    const consoles = await start({ token_max_age: 3, token_ttl: 2 });
    const { token } = await consoles.console(greetAndEcho);
    const browser = await consoles.open(token);
    await echoes(browser, 'one');
    expect(await browser.closeFrame()).toEqual({ code: 4003, reason: 'The time for this console is over' });
    expect((await consoles.open(token)).status).toBe(401);
  });

  it('unknown tokens of an address are refused with 429 after a while, those of others are not', async () => {
    const consoles = await start({ max_unknown_tokens: 5 });
    const guess = (client: string) => consoles.open('nosuchtokennosuchtokennosuch', from(client));
    for (let i = 0; i < 5; i++) expect((await guess('192.0.2.1')).status).toBe(401);
    expect((await guess('192.0.2.1')).status).toBe(429);
    expect((await guess('192.0.2.2')).status).toBe(401);
    // Of the proxy itself, which stands for many.
    for (let i = 0; i < 8; i++)
      expect((await consoles.open('nosuchtokennosuchtokennosuch')).status).toBe(401);
  });

  it('the audit has each event once, with who and how much, and no secret', async () => {
    const file = join(temporaryFolder(), 'audit.log');
    const consoles = await start({ audit_file: file });
    const { token, vmId } = await consoles.console(greetAndEcho);
    const first = await consoles.open(token, from('192.0.2.1'));
    await echoes(first, 'twelve bytes');
    const second = await consoles.open(token, from('192.0.2.1'));
    await second.waitForData(12);
    await consoles.open(token, from('192.0.2.1'));
    await consoles.open('nosuchtokennosuchtokennosuch', from('192.0.2.1'));
    await consoles.service.call('one.vm.vncrevoke', ['oneadmin:oneadmin', vmId]);
    await second.closeFrame();
    await consoles.service.stop();
    const text = readFileSync(file, 'utf8');
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);
    const events = lines.map(({ audit }) => audit);
    expect(events.toSorted()).toEqual([
      'ended',
      'ended',
      'issued',
      'redeemed',
      'redeemed',
      'refused',
      'refused',
      'revoked',
      'taken-over',
    ]);
    const fingerprint = audited(lines, 'issued')[0]?.['fingerprint'];
    const about = { vm: vmId, user: 'oneadmin', fingerprint };
    expect(audited(lines, 'issued')).toMatchObject([about]);
    for (const line of audited(lines, 'redeemed'))
      expect(line).toMatchObject({ ...about, client: '192.0.2.1' });
    expect(audited(lines, 'taken-over')).toMatchObject([{ ...about, client: '192.0.2.1' }]);
    expect(audited(lines, 'revoked')).toMatchObject([{ ...about, by: 'oneadmin' }]);
    expect(audited(lines, 'refused')).toMatchObject([
      { ...about, reason: 'This console is in use in another window' },
      { reason: 'token: unknown', client: '192.0.2.1' },
    ]);
    expect(audited(lines, 'ended')).toMatchObject([
      { ...about, reason: 'Opened in another window', bytesToBrowser: 24, bytesToTarget: 12 },
      { ...about, reason: 'Access was withdrawn', bytesToBrowser: 12, bytesToTarget: 0 },
    ]);
    for (const { ref } of audited(lines, 'ended')) expect(ref).toMatch(/^\w{6}$/);
    for (const secret of [token, 'oneadmin:oneadmin', 'nosuchtoken']) expect(text).not.toContain(secret);
    expect(consoles.service.logLines().filter(({ audit }) => audit !== undefined)).toEqual([]);
  });

  it('a stop tells the end of every session, with its bytes', async () => {
    const consoles = await start({ token_sessions: 'shared' });
    const { token } = await consoles.console(greetAndEcho);
    const browsers = await Promise.all(Array.from({ length: 10 }, () => consoles.open(token)));
    for (const browser of browsers) await echoes(browser, 'hello');
    await consoles.service.stop();
    const ends = audited(consoles.service.logLines(), 'ended');
    expect(ends).toHaveLength(10);
    for (const end of ends) {
      expect(end).toMatchObject({ reason: 'The service stops', bytesToBrowser: 17, bytesToTarget: 5 });
    }
  });
});

describe('two workers', () => {
  const start = (flags: Flags = {}) => startConsoles({ flags: { workers: 2, stop_timeout: 2, ...flags } });

  it('hear of a revocation within a second, each for its own sessions', async () => {
    const consoles = await start();
    const pairs = await inBothWorkers(consoles);
    const before = performance.now();
    for (let vmId = 1; ; vmId++) {
      const [ok] = await consoles.service.call('one.vm.vncrevoke', ['oneadmin:oneadmin', vmId]);
      if (!ok) break;
    }
    for (const { browser } of pairs) expect((await browser.closeFrame()).code).toBe(4002);
    expect(performance.now() - before).toBeLessThan(1000);
    for (const { token } of pairs) expect((await consoles.open(token)).status).toBe(401);
  });

  it('take over from each other', async () => {
    const consoles = await start();
    for (const { token, browser } of await inBothWorkers(consoles)) {
      await echoes(await consoles.open(token, from('192.0.2.1')), 'mine');
      expect((await browser.closeFrame()).code).toBe(4001);
    }
  });

  it('that are killed leave no session behind: their tokens open again, and their places are free', async () => {
    const consoles = await start({ max_sessions_per_user: 2 });
    const [one, two] = await inBothWorkers(consoles);
    if (one === undefined || two === undefined) throw new Error('two are needed');
    const pids = readFileSync(
      `/proc/${consoles.service.child.pid}/task/${consoles.service.child.pid}/children`,
      'utf8',
    );
    for (const pid of pids.trim().split(' ')) process.kill(Number(pid), 'SIGKILL');
    const killed = () =>
      audited(consoles.service.logLines(), 'ended').filter(({ reason }) => reason === 'its process ended');
    await waitFor(() => killed().length === 2, { what: 'the ends' });
    const again = async (token: string) => {
      const browser = await consoles.open(token, from('198.51.100.1'));
      expect(browser.status).toBe(101);
      await echoes(browser, 'again');
    };
    await waitFor(() => again(one.token).then(() => true), { what: 'a worker' });
    await again(two.token);
  });
});

describe('the audit file', () => {
  it('is opened anew on SIGUSR2', async () => {
    const file = join(temporaryFolder(), 'audit.log');
    const consoles = await startConsoles({ flags: { audit_file: file } });
    await consoles.console(greetAndEcho);
    await waitFor(() => readFileSync(file, 'utf8').includes('issued'), { what: 'the first line' });
    renameSync(file, `${file}.1`);
    consoles.service.signal('SIGUSR2');
    await waitFor(() => existsSync(file), { what: 'the new file' });
    await consoles.console(greetAndEcho);
    await waitFor(() => readFileSync(file, 'utf8').includes('issued'), { what: 'a line in the new file' });
    expect(readFileSync(`${file}.1`, 'utf8').trim().split('\n')).toHaveLength(1);
  });

  it('on a full disk ends no console and refuses none', async () => {
    const consoles = await startConsoles({ flags: { audit_file: '/dev/full', stop_timeout: 2 } });
    const { token } = await consoles.console(greetAndEcho);
    const browser = await consoles.open(token);
    await echoes(browser, 'one');
    for (let i = 0; i < 20; i++)
      await echoes(await consoles.open((await consoles.console(greetAndEcho)).token), 'more');
    await echoes(browser, 'still one');
    expect(await consoles.service.stop()).toMatchObject({ code: 0 });
  });
});
