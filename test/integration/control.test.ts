// The commands sessions, tokens and revoke over a real Unix socket: what they show and end, who may ask, and what a
// hostile client, a hostile server and a second service achieve there, which is nothing.
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { Writable } from 'node:stream';
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import type { RevokeSelection } from '../../src/config/types.ts';
import { SessionEndings } from '../../src/console/endings.ts';
import { Gate } from '../../src/console/gate.ts';
import { Pace } from '../../src/console/pace.ts';
import { Revocation } from '../../src/console/revoke.ts';
import { ServiceZone } from '../../src/console/service-zone.ts';
import { SessionRegistry } from '../../src/console/sessions.ts';
import { ask } from '../../src/control/ask.ts';
import { runControlCommand } from '../../src/control/client.ts';
import { type ControlServerOptions, createControlServer } from '../../src/control/server.ts';
import { GatewayError, StartError } from '../../src/errors.ts';
import { MemoryTokenStore } from '../../src/tokens/memory/store.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import { issued, type TokenRules } from '../../src/tokens/rules.ts';
import { fingerprint, hashToken, type Token } from '../../src/tokens/token.ts';
import { run as runChild } from '../support/child.ts';
import { startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import { atEnd } from '../support/lifetime.ts';
import { runMain } from '../support/service.ts';
import { greet } from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';

const rules: TokenRules = { graceMs: 60_000, maxAgeMs: undefined, sessions: 'shared', bindClient: false };
/** The store's clock: 2026-01-02T03:04:05Z. */
const present = Date.UTC(2026, 0, 2, 3, 4, 5);

/** A control plane without oned and without listeners, and its control socket. */
async function startControl(options: Partial<ControlServerOptions> = {}) {
  const path = options.path ?? join(temporaryFolder(), 'run/control.sock');
  let now = present;
  const store = new MemoryTokenStore({ now: () => now });
  const sessions = new SessionRegistry({
    limits: () => ({ perVm: 100, perUser: 100, perAddress: 100, perHost: 100 }),
    isExempt: () => true,
  });
  const endings = new SessionEndings(sessions, store.bus);
  const audited: unknown[] = [];
  const audit = (event: string, fields: object) => audited.push({ event, ...fields });
  const zone = new ServiceZone({
    facts: { known: { encryptsVncPassword: undefined, zoneId: undefined }, ask: () => Promise.reject() },
    settings: () => ({ url: 'http://localhost:2633/RPC2', zoneId: undefined }),
    serviceSession: () => undefined,
    alone: true,
  });
  const revocation = new Revocation({ store, sessions, endings, zone, audit, rules: () => rules });
  const gate = new Gate({
    pace: new Pace(),
    ...{ store, sessions, endings, zone, audit, isExempt: () => true },
    settings: () => ({ ...rules, maxUnknownTokens: 60 }),
    recheck: { isOn: false, atConnect: async (grant) => grant },
    narrow: (grant) => grant,
    vncAccess: () => undefined,
  });
  const ended: unknown[] = [];
  const place = {
    end: (id: SessionId, code: number) => {
      ended.push(code);
      gate.closed(id, { reason: 'ended', bytesToBrowser: 0, bytesToTarget: 0, seconds: 0 });
    },
    probe: async () => true,
    traffic: async () => new Map(sessions.all().map(({ id }) => [id, 2048])),
  };
  const logged: string[] = [];
  const log = new Writable({
    write: (line: Buffer, _encoding, done) => {
      logged.push(line.toString());
      done();
    },
  });
  const server = createControlServer({ path, required: true, revocation, logger: pino(log), ...options });
  atEnd(() => server.stop());
  return {
    ...{ path, server, store, sessions, ended, audited, logged },
    pass: (ms: number) => {
      now += ms;
    },
    issue: async (vmId: number, user: string): Promise<Token> => {
      const grant = {
        vmId,
        uid: user === 'alice' ? 2 : 3,
        user,
        target: { host: 'h', port: 5900 },
        issuedAt: now,
        expiresAt: now + 600_000,
      };
      return store.create(issued(grant), { maxOfVm: 1_000_000, forWebsockify: false });
    },
    open: (token: Token) =>
      gate.open({ key: { hash: hashToken(token) }, client: '192.0.2.7', ref: 'R' }, place),
    revoke: (selection: RevokeSelection) => run(path, { command: 'revoke', selection }),
    run: (command: 'sessions' | 'tokens', json = false) => run(path, { command, json }),
  };
}

/** What a command prints, and what it remarks. */
async function run(
  path: string,
  given: { command: 'sessions' | 'tokens' | 'revoke'; json?: boolean; selection?: RevokeSelection },
) {
  const out: string[] = [];
  const remarks: string[] = [];
  await runControlCommand(
    path,
    { json: false, selection: {}, ...given },
    { print: (text) => out.push(text), remark: (line) => remarks.push(line) },
  );
  return { out: out.join('\n'), remarks };
}

const printOf = (token: Token) => fingerprint(hashToken(token));

describe('the commands', () => {
  it('show who is on a console, and which tokens open one, never a token', async () => {
    const control = await startControl();
    await control.server.start();
    const used = await control.issue(7, 'alice');
    await control.open(used);
    control.pass(30_000);
    const unused = await control.issue(8, 'bob');
    expect((await control.run('sessions')).out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['TOKEN', 'VM', 'USER', 'CLIENT', 'SINCE', 'BYTES'],
      [printOf(used), '7', 'alice', '192.0.2.7', '2026-01-02T03:04:05Z', '2.0 KiB'],
    ]);
    const tokens = await control.run('tokens');
    expect(tokens.out.split('\n').map((line) => line.split(/ {2,}/).slice(0, 5))).toEqual([
      ['TOKEN', 'VM', 'USER', 'ISSUED', 'USED'],
      [printOf(used), '7', 'alice', '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z'],
      [printOf(unused), '8', 'bob', '2026-01-02T03:04:35Z', '-'],
    ]);
    const lines = (await control.run('tokens', true)).out.split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        ...{ fingerprint: printOf(used), vm: 7, user: 'alice', issued: '2026-01-02T03:04:05Z', sessions: 1 },
        ...{ expires: '2026-01-02T03:14:05Z', firstUsed: '2026-01-02T03:04:05Z' },
      },
      {
        ...{ fingerprint: printOf(unused), vm: 8, user: 'bob', issued: '2026-01-02T03:04:35Z', sessions: 0 },
        ...{ expires: '2026-01-02T03:14:35Z', firstUsed: null },
      },
    ]);
    const everything = [tokens.out, ...lines, ...control.logged, JSON.stringify(control.audited)].join();
    for (const token of [used, unused]) {
      expect(everything).not.toContain(token);
      expect(everything).not.toContain(hashToken(token));
    }
  });

  it('show a session whose token the store has forgotten, and end it', async () => {
    const control = await startControl();
    await control.server.start();
    const token = await control.issue(7, 'alice');
    await control.open(token);
    control.pass(3_600_000);
    expect((await control.run('tokens')).out.split('\n')).toHaveLength(1);
    expect(JSON.parse((await control.run('sessions', true)).out)).toMatchObject({ vm: 7, user: 'alice' });
    expect((await control.revoke({ user: 'bob' })).out).toBe('0 revoked');
    expect((await control.revoke({ fingerprint: printOf(token) })).out).toBe('1 revoked');
    expect(control.ended).toEqual([4002]);
    expect(control.sessions.size).toBe(0);
  });

  it.each<[string, (alices: Token) => RevokeSelection, string[]]>([
    ['a fingerprint', (token) => ({ fingerprint: printOf(token) }), ['7 alice']],
    ['a VM', () => ({ vm: 7 }), ['7 alice', '7 bob']],
    ['a user', () => ({ user: 'alice' }), ['7 alice', '8 alice']],
    ['a user and a VM', () => ({ user: 'alice', vm: 8 }), ['8 alice']],
    ['a fingerprint and another VM', (token) => ({ fingerprint: printOf(token), vm: 8 }), []],
    [
      'a fingerprint, its VM and its user',
      (token) => ({ fingerprint: printOf(token), vm: 7, user: 'alice' }),
      ['7 alice'],
    ],
    ['a part of a name', () => ({ user: 'ali' }), []],
    ['all', () => ({ all: true }), ['7 alice', '7 bob', '8 alice', '8 bob']],
  ])('end tokens and sessions by %s', async (_what, selection, gone) => {
    const control = await startControl();
    await control.server.start();
    const all: [string, Token][] = [];
    for (const [vm, user] of [
      [7, 'alice'],
      [7, 'bob'],
      [8, 'alice'],
      [8, 'bob'],
    ] as const) {
      const token = await control.issue(vm, user);
      await control.open(token);
      all.push([`${vm} ${user}`, token]);
    }
    const [, alices] = all[0] ?? [];
    expect(await control.revoke(selection(alices as Token))).toEqual({
      out: `${gone.length} revoked`,
      remarks: [],
    });
    expect(control.ended).toEqual(gone.map(() => 4002));
    expect(control.audited.filter((line) => (line as { event: string }).event === 'revoked')).toHaveLength(
      gone.length,
    );
    for (const line of control.audited as { event: string; by?: string }[])
      if (line.event === 'revoked') expect(line.by).toBe('administrator');
    for (const [name, token] of all) {
      const opened = control.open(token).then(
        () => 'open',
        (error: GatewayError) => error.code,
      );
      expect([name, await opened]).toEqual([name, gone.includes(name) ? 'token-not-valid' : 'open']);
    }
  });

  it('say beside the count what cannot be revoked', async () => {
    const control = await startControl({ note: 'sealed tokens live on' });
    await control.server.start();
    expect(await control.revoke({ all: true })).toEqual({
      out: '0 revoked',
      remarks: ['sealed tokens live on'],
    });
  });

  it('say that the store cannot be reached, and nothing of why', async () => {
    const control = await startControl();
    await control.server.start();
    control.store.list = async () => {
      throw new GatewayError('store-unavailable', { detail: 'sesame' });
    };
    for (const command of [control.run('tokens'), control.run('sessions'), control.revoke({ all: true })]) {
      await expect(command).rejects.toThrow(new StartError('The token store cannot be reached'));
    }
  });

  it('do not spoil a listing for one impossible time in it', async () => {
    const control = await startControl();
    await control.server.start();
    await control.store.create(
      issued({
        ...{ vmId: 1, uid: 2, user: 'a', target: { host: 'h', port: 1 } },
        ...{ issuedAt: -1e300, expiresAt: Number.MAX_VALUE },
      }),
      { maxOfVm: 1, forWebsockify: false },
    );
    expect(JSON.parse((await control.run('tokens', true)).out)).toMatchObject({ issued: '', expires: '' });
  });
});

describe('the socket', () => {
  it('belongs to its user alone, in a folder of its own, whatever the umask', async () => {
    const umask = process.umask(0o022);
    try {
      const control = await startControl();
      const starting = control.server.start();
      // Nothing has been waited for yet: it has been bound already, and was never more open than this.
      expect(statSync(`${control.path}.new`).mode & 0o777).toBe(0o600);
      expect(process.umask()).toBe(0o022);
      await starting;
      expect(lstatSync(control.path).isSocket()).toBe(true);
      expect(statSync(control.path).mode & 0o777).toBe(0o600);
      expect(statSync(dirname(control.path)).mode & 0o777).toBe(0o700);
      await control.server.stop();
      expect(existsSync(control.path)).toBe(false);
      expect(existsSync(`${control.path}.new`)).toBe(false);
    } finally {
      process.umask(umask);
    }
  });

  it('takes the place of one that a killed service left behind', async () => {
    const path = join(temporaryFolder(), 'control.sock');
    const code = `require('net').createServer().listen('${path}', () => process.kill(process.pid, 'SIGKILL'))`;
    expect(await runChild(process.execPath, ['-e', code])).toMatchObject({ signal: 'SIGKILL' });
    expect(lstatSync(path).isSocket()).toBe(true);
    const control = await startControl({ path });
    await control.server.start();
    expect((await control.run('sessions')).out).toContain('TOKEN');
  });

  it.each([true, false])('is not taken from a service that answers (asked for: %j)', async (required) => {
    const first = await startControl();
    await first.server.start();
    const second = await startControl({ path: first.path, required });
    await expect(second.server.start()).rejects.toThrow(
      new StartError(`control_socket: another service answers on ${first.path}`),
    );
    await second.server.stop();
    expect((await first.run('sessions')).out).toContain('TOKEN');
  });

  it('is not removed at the stop of a service when it is another one by then', async () => {
    const first = await startControl();
    await first.server.start();
    unlinkSync(first.path);
    const second = await startControl({ path: first.path });
    await second.server.start();
    await first.server.stop();
    expect((await second.run('sessions')).out).toContain('TOKEN');
  });

  const places: [string, (folder: string) => string, RegExp][] = [
    [
      'is a file of somebody',
      (folder) => {
        writeFileSync(join(folder, 'control.sock'), 'precious');
        return join(folder, 'control.sock');
      },
      /is there already, and no socket$/,
    ],
    [
      'is in a folder that others may write to',
      (folder) => {
        mkdirSync(join(folder, 'run'));
        chmodSync(join(folder, 'run'), 0o770);
        return join(folder, 'run/control.sock');
      },
      /others may write to the folder \S+run$/,
    ],
    [
      'is in a folder that cannot be made',
      (folder) => {
        writeFileSync(join(folder, 'file'), '');
        return join(folder, 'file/run/control.sock');
      },
      /the folder \S+file\/run cannot be made: ENOTDIR$/,
    ],
    [
      'has too long a name',
      (folder) => join(folder, 'x'.repeat(100), 'control.sock'),
      /longer than 100 bytes$/,
    ],
  ];
  if (process.getuid?.() === 0) {
    places.push([
      'is in a folder of another user',
      (folder) => {
        mkdirSync(join(folder, 'run'), { mode: 0o700 });
        chownSync(join(folder, 'run'), 65_534, 65_534);
        return join(folder, 'run/control.sock');
      },
      /the folder \S+run belongs to another user$/,
    ]);
  }

  it.each(places)(
    'that %s: an error where it was asked for, else a warning',
    async (_what, prepare, told) => {
      const folder = temporaryFolder();
      const path = prepare(folder);
      const strict = await startControl({ path });
      const failure = await strict.server.start().catch((error: Error) => error);
      expect(failure).toBeInstanceOf(StartError);
      expect((failure as Error).message).toMatch(told);
      expect((failure as Error).message).toMatch(/^control_socket: /);
      await strict.server.stop();
      const lenient = await startControl({ path, required: false });
      await lenient.server.start();
      expect(lenient.logged.join()).toContain('do not reach this service');
      await lenient.server.stop();
      if (existsSync(join(folder, 'control.sock')))
        expect(readFileSync(join(folder, 'control.sock'), 'utf8')).toBe('precious');
    },
  );

  it('is no harm when it never was there', async () => {
    const control = await startControl();
    await control.server.stop();
    expect(existsSync(control.path)).toBe(false);
  });
});

/** A connection, and all that came back on it until it was closed. */
function talk(path: string, bytes: string | Buffer, end = false) {
  const socket = connect({ path, allowHalfOpen: true });
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => {
    socket.once('end', () => socket.end());
    socket.once('close', () => resolve(text));
  });
  socket.write(bytes);
  if (end) socket.end();
  atEnd(() => {
    socket.destroy();
  });
  return { socket, closed: within(closed, { what: 'the end of the connection' }) };
}

const tooLong = '{"error":"a request is one line of at most 4096 bytes"}\n';
const noRequest = '{"error":"this is no request"}\n';

describe('a hostile client', () => {
  it.each([
    ['an empty line', '\n', noRequest],
    ['garbage', `${randomBytes(1000).toString('latin1').replaceAll('\n', '')}\n`, noRequest],
    ['bytes that are no UTF-8', Buffer.from([0xff, 0xfe, 0x0a]), noRequest],
    ['an unknown member', '{"command":"tokens","token":true}\n', noRequest],
    ['a revocation of nothing in particular', '{"command":"revoke","selection":{}}\n', noRequest],
    ['brackets without end', `${'['.repeat(4000)}\n`, noRequest],
    ['a long line', `${' '.repeat(4096)}\n`, tooLong],
    ['a line that does not end', Buffer.alloc(5_000_000, 0x20), tooLong],
  ])('that sends %s is told so, and nothing else happens', async (_what, bytes, told) => {
    const control = await startControl();
    await control.server.start();
    await control.issue(1, 'alice');
    expect(await talk(control.path, bytes).closed).toBe(told);
    expect((await control.run('tokens')).out.split('\n')).toHaveLength(2);
  });

  it('that ends its side after the request is answered', async () => {
    const control = await startControl();
    await control.server.start();
    expect(await talk(control.path, '{"command":"sessions"}\n', true).closed).toBe(
      '{"end":true,"more":false}\n',
    );
  });

  it('that ends its side before the request is complete is told so', async () => {
    const control = await startControl();
    await control.server.start();
    expect(await talk(control.path, '{"command":"sessions"}', true).closed).toBe(
      '{"error":"a request is one line"}\n',
    );
  });

  it('has one request a connection', async () => {
    const control = await startControl();
    await control.server.start();
    await control.issue(1, 'alice');
    const two = '{"command":"sessions"}\n{"command":"revoke","selection":{"all":true}}\n';
    expect(await talk(control.path, two).closed).toBe('{"end":true,"more":false}\n');
    expect((await control.run('tokens')).out.split('\n')).toHaveLength(2);
  });

  it('that sends without an end is not read without an end', async () => {
    const control = await startControl();
    await control.server.start();
    const { socket, closed } = talk(control.path, '{"command":"tokens"}\n');
    const flood = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 0x20)));
    };
    socket.on('drain', flood);
    flood();
    await closed;
    expect(socket.bytesWritten).toBeLessThan(5_000_000);
  });

  it('that says nothing, or one letter at a time, has five seconds or what it was given', async () => {
    const control = await startControl({ times: { request: 200, reader: 200, working: 5_000 } });
    await control.server.start();
    const silent = talk(control.path, '');
    const slow = talk(control.path, '{');
    const letters = setInterval(() => slow.socket.write(' '), 20);
    expect(await silent.closed).toBe('{"error":"no request came in time"}\n');
    expect(await slow.closed).toBe('{"error":"no request came in time"}\n');
    clearInterval(letters);
  });

  it('that does not read is not waited for, and gives its place back', async () => {
    const control = await startControl({ times: { request: 5_000, reader: 200, working: 5_000 } });
    await control.server.start();
    // The answer is longer than what the kernel keeps for a reader.
    for (let i = 0; i < 10_000; i++) await control.issue(i, 'alice');
    const readers = Array.from({ length: 16 }, () => talk(control.path, '{"command":"tokens"}\n').socket);
    for (const socket of readers) socket.pause();
    await waitFor(() => readers.every((socket) => !socket.connecting), { what: 'sixteen connections' });
    const answer = await waitFor(() => control.run('tokens'), { what: 'an honest answer' });
    expect(answer.out.split('\n')).toHaveLength(10_001);
  });

  it('with 1,000 connections has sixteen of them, until they have had their time', async () => {
    const control = await startControl({ times: { request: 1_000, reader: 1_000, working: 5_000 } });
    await control.server.start();
    let closed = 0;
    let served = 0;
    const sockets: Socket[] = [];
    for (let i = 0; i < 1_000; i++) {
      const socket = connect({ path: control.path });
      socket.on('error', () => {});
      socket.on('close', () => {
        closed++;
      });
      socket.on('data', () => {
        served++;
      });
      sockets.push(socket);
    }
    atEnd(() => {
      for (const socket of sockets) socket.destroy();
    });
    await waitFor(() => closed >= 984, { what: 'all but sixteen to be closed' });
    const busy = await control.run('sessions').catch((error: Error) => error.message);
    if (typeof busy === 'string')
      expect(busy).toContain('the service hung up: it is stopping, or is asked too much');
    const answer = await waitFor(() => control.run('sessions'), { what: 'an honest answer' });
    expect(answer.out).toContain('TOKEN');
    await waitFor(() => closed === 1_000, { what: 'the last sixteen to be closed' });
    expect(served).toBe(16);
  });

  it('does not hold up the stop of the service', async () => {
    const control = await startControl();
    await control.server.start();
    const { socket, closed } = talk(control.path, '{');
    await waitFor(() => !socket.connecting, { what: 'the connection' });
    const before = performance.now();
    await control.server.stop();
    expect(performance.now() - before).toBeLessThan(900);
    await closed;
  });
});

describe('who asks', () => {
  it('a socket that is not there learns that no service answers', async () => {
    const path = join(temporaryFolder(), 'control.sock');
    await expect(run(path, { command: 'sessions' })).rejects.toThrow(
      new StartError(`control_socket ${path}: no service answers`),
    );
  });

  it.runIf(process.getuid?.() === 0)('without permission learns that', async () => {
    const control = await startControl();
    await control.server.start();
    process.seteuid?.(65_534);
    try {
      await expect(control.run('sessions')).rejects.toThrow(
        /permission denied; only the user of the service and root may ask$/,
      );
    } finally {
      process.seteuid?.(0);
    }
  });

  it.each<[string, (socket: Socket) => void, RegExp]>([
    ['hangs up', (socket) => socket.destroy(), /the service hung up/],
    ['says good day', (socket) => socket.end('220 smtp.example\n'), /no vnctoken-server of this version$/],
    ['breaks off', (socket) => socket.end('{"working":true}\n{"end"'), /the answer broke off$/],
    ['forgets the end', (socket) => socket.end('{"revoked":1}\n'), /the answer broke off$/],
    ['says nothing', () => {}, /the service does not answer$/],
    ['says no', (socket) => socket.end('{"error":"no"}\n'), /^no$/],
  ])('something that %s learns that it has no answer', async (_what, behave, told) => {
    const path = join(temporaryFolder(), 'control.sock');
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      socket.once('data', () => behave(socket));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    atEnd(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const failure = await ask(path, { command: 'sessions' }, 300).catch((error: Error) => error);
    expect(failure).toBeInstanceOf(StartError);
    expect((failure as Error).message).toMatch(told);
  });

  it('a service that takes its time is told that it is at work, and waits', async () => {
    const control = await startControl({ times: { request: 5_000, reader: 5_000, working: 50 } });
    await control.server.start();
    const { list } = control.store;
    const began = performance.now();
    control.store.list = async (limit) => {
      await waitFor(() => performance.now() - began > 800, { what: 'a while' });
      return list.call(control.store, limit);
    };
    expect(await ask(control.path, { command: 'tokens' }, 400)).toEqual([{ end: true, more: false }]);
  });
});

describe('a running service', () => {
  it.each([1, 2])(
    'of %d process(es) is asked by vnctoken-server, and ends what it is told to',
    async (workers) => {
      const consoles = await startConsoles({ flags: { workers } });
      const { service } = consoles;
      const { oneLocation } = service;
      const { token, vmId } = await consoles.console(greet);
      const command = (...args: string[]) => runMain(args, { oneLocation });
      const webSocket = await consoles.open(token);
      expect(webSocket.status).toBe(101);
      const shown = await command('sessions', '--json');
      expect({ code: shown.code, stderr: shown.stderr }).toEqual({ code: 0, stderr: '' });
      expect(JSON.parse(shown.stdout)).toMatchObject({ vm: vmId, user: 'oneadmin', client: '127.0.0.1' });
      expect((await command('tokens')).stdout).toContain(printOf(token as Token));
      expect(await command('revoke', '--vm', String(vmId + 1))).toMatchObject({
        code: 0,
        stdout: '0 revoked\n',
      });
      const revoked = await command('revoke', printOf(token as Token));
      expect(revoked).toMatchObject({ code: 0, stdout: '1 revoked\n', stderr: '' });
      expect(await webSocket.closeFrame()).toMatchObject({ code: 4002 });
      webSocket.socket.destroy();
      expect((await consoles.open(token)).status).toBe(401);
      const path = join(oneLocation, 'var/vnctoken-run/control.sock');
      expect(statSync(path).mode & 0o777).toBe(0o600);
      await service.stop();
      expect(existsSync(path)).toBe(false);
      expect(await command('sessions')).toMatchObject({
        code: 1,
        stdout: '',
        stderr: `vnctoken-server: control_socket ${path}: no service answers\n`,
      });
    },
    60_000,
  );

  it('is not asked by words that make no sense', async () => {
    const { code, stdout, stderr } = await runMain(['revoke']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('vnctoken-server: revoke needs FINGERPRINT');
  });
});
