// The store on a real file system, with a clock that the test turns and system calls that the test can make fail.
// What always holds: memory decides whatever the disk does, and a restart opens nothing that was over; no work depends
// on how many tokens there are.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StartError } from '../../src/errors.ts';
import { FileTokenStore, type FileTokenStoreOptions } from '../../src/tokens/file/store.ts';
import { TokenFiles } from '../../src/tokens/file/token-files.ts';
import { type Grant, UNKNOWN_UID } from '../../src/tokens/grant.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import { claim, end, issued, LEASE_MS, release, renew, type TokenRules } from '../../src/tokens/rules.ts';
import { hashToken, newToken, type Token } from '../../src/tokens/token.ts';
import { temporaryFolder } from '../support/folder.ts';
import { opened } from '../support/opened-store.ts';
import { waitFor } from '../support/wait.ts';

/** Every call of the file system, and what makes one fail. */
const disk = vi.hoisted(() => ({
  calls: [] as string[],
  /** How many are under way, and how many were at most. */
  underWay: 0,
  mostUnderWay: 0,
  /** The code of the error that this call is to end with, if any. */
  failure: (_call: string, _path: string): string | undefined => undefined,
}));

vi.mock('node:fs', async (load) => {
  const original = await load<typeof import('node:fs')>();
  const { promisify } = await import('node:util');
  const paths = new Map<number, string>();
  const attempt = async <T>(call: string, path: unknown, run: () => Promise<T>): Promise<T> => {
    disk.calls.push(`${call} ${String(path)}`);
    const code = disk.failure(call, String(path));
    if (code !== undefined) throw Object.assign(new Error(`${code}: ${call}`), { code });
    disk.mostUnderWay = Math.max(disk.mostUnderWay, ++disk.underWay);
    try {
      return await run();
    } finally {
      disk.underWay--;
    }
  };
  /** A function with a callback that `promisify` takes for what this one is. */
  const replace = <A extends unknown[], T>(work: (...all: A) => Promise<T>) =>
    Object.assign(() => {}, { [promisify.custom]: work });
  const open = promisify(original.open);
  const read = promisify(original.read);
  const write = promisify(original.write);
  const close = promisify(original.close);
  const rename = promisify(original.rename);
  const unlink = promisify(original.unlink);
  const { promises } = original;
  return {
    ...original,
    open: replace((path: string, flags: string, mode: number) =>
      attempt('open', path, async () => {
        const file = await open(path, flags, mode);
        paths.set(file, path);
        return file;
      }),
    ),
    write: replace(async (file: number, bytes: Buffer) => {
      const path = paths.get(file) ?? '';
      // A full disk takes a part first.
      if (disk.failure('write', path) !== undefined) await write(file, bytes.subarray(0, 10));
      return attempt('write', path, () => write(file, bytes));
    }),
    close: replace(async (file: number) => {
      // Closed also where it is to fail, and the disk is at work meanwhile.
      disk.underWay++;
      await close(file).finally(() => disk.underWay--);
      await attempt('close', paths.get(file), () => Promise.resolve());
    }),
    rename: replace((from: string, to: string) => attempt('rename', to, () => rename(from, to))),
    unlink: replace((path: string) => attempt('unlink', path, () => unlink(path))),
    read: replace((file: number, ...rest: [Buffer, number, number, null]) =>
      attempt('read', paths.get(file), () => read(file, ...rest)),
    ),
    promises: {
      ...promises,
      readdir: (path: string) => attempt('readdir', path, () => promises.readdir(path)),
      mkdir: (path: string, options: object) => attempt('mkdir', path, () => promises.mkdir(path, options)),
    },
  };
});

const minute = 60_000;
const hour = 60 * minute;
const user = 'alice';
const client = '192.0.2.1';
const rules: TokenRules = { graceMs: minute, maxAgeMs: 12 * hour, sessions: 'single', bindClient: false };

let root: string;
let now: number;
const warnings: object[] = [];

beforeEach(() => {
  root = temporaryFolder();
  now = 1_800_000_000_000;
  warnings.length = 0;
  disk.calls.length = 0;
  disk.mostUnderWay = 0;
  // Only what the store does from time to time: waiting for files takes real time.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});

afterEach(() => {
  disk.failure = () => undefined;
  vi.useRealTimers();
});

const stateFolder = () => join(root, 'vnctoken');
const websockifyFolder = () => join(root, 'sunstone_vnc_tokens');
const heartbeatFile = () => join(stateFolder(), 'heartbeat');
const stateFile = (token: Token) => join(stateFolder(), hashToken(token));
const websockifyFile = (token: Token, vmId = 7) =>
  join(websockifyFolder(), `vnctoken-${vmId}-${hashToken(token).slice(0, 12)}`);
const allFiles = () => [...readdirSync(stateFolder()), ...readdirSync(websockifyFolder())];
const bothExist = (token: Token) => [existsSync(stateFile(token)), existsSync(websockifyFile(token))];
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
const state = (token: Token) => JSON.parse(readFileSync(stateFile(token), 'utf8'));
/** What the file of a token says of who is on the console. */
const sessionsOnDisk = (token: Token): string[] =>
  state(token).use?.leases.map((lease: { session: string }) => lease.session) ?? [];

function grant(over: Partial<Grant> = {}): Grant {
  const target = { host: 'node1', port: 5907 };
  return { vmId: 7, target, uid: 2, user, issuedAt: now, expiresAt: now + hour, ...over };
}

async function openStore(options: Partial<FileTokenStoreOptions> & { websockify?: boolean } = {}) {
  const { websockify = true, ...rest } = options;
  const logger = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line)) });
  const websockifyFolderName = websockify ? 'sunstone_vnc_tokens' : undefined;
  const files = new TokenFiles({ stateFolder: root, websockifyFolderName });
  return opened(new FileTokenStore({ files, logger, now: () => now, ...rest }));
}

const stored = (store: FileTokenStore, over: Partial<Grant> = {}, forWebsockify = true): Promise<Token> =>
  store.create(issued(grant(over)), { maxOfVm: 1_000_000, forWebsockify });

const keyOf = (token: Token) => ({ hash: hashToken(token) });

/** What the proxy asks with. @returns the grant, or why there is none */
async function open(store: FileTokenStore, token: Token, session = 's1', from = client) {
  const request = { session: session as SessionId, client: from };
  const outcome = await store.update(keyOf(token), (record, at) => claim(record, request, rules, at));
  if (outcome.kind === 'granted') return outcome.grant;
  return outcome.kind === 'in-use' ? 'in use' : outcome.why;
}

const leave = (store: FileTokenStore, token: Token, session = 's1') =>
  store.update(keyOf(token), (record, at) => release(record, session as SessionId, rules, at));

const stay = (store: FileTokenStore, token: Token, session = 's1') =>
  store.update(keyOf(token), (record, at) => {
    return renew(record, { id: session as SessionId, client, since: at, bytes: 1 }, rules, at);
  });

const revoke = (store: FileTokenStore, token: Token) =>
  store.update(keyOf(token), (record, at) => end(record, 'revoked', rules, at));

const knows = (store: FileTokenStore, token: Token) =>
  store.update(keyOf(token), (record) => ({ record, result: record !== undefined }));

/** A second of the store's background work. */
const tick = () => vi.advanceTimersByTime(1000);

/** What is left when a process is killed: what is on disk, and not what another one still does to it. */
async function killed(store: FileTokenStore): Promise<void> {
  await settled();
  disk.failure = () => 'EIO';
  await store.close();
  disk.failure = () => undefined;
}

/** Until the disk has nothing to do. */
async function settled(): Promise<void> {
  let calls = -1;
  await waitFor(
    () => {
      const isQuiet = disk.underWay === 0 && calls === disk.calls.length;
      calls = disk.calls.length;
      return isQuiet;
    },
    { what: 'a quiet disk' },
  );
}

describe('a token that was stored', () => {
  it('is a file of ours, named by its hash, for us alone, with neither token nor password in it', async () => {
    const store = await openStore();
    const token = await stored(store);
    expect(readdirSync(stateFolder())).toEqual([createHash('sha256').update(token).digest('hex')]);
    expect([mode(stateFolder()), mode(stateFile(token))]).toEqual(['700', '600']);
    expect(state(token)).toEqual({
      ...{ version: 2, run: expect.stringMatching(/^[0-9a-f]{16}$/) },
      ...{ grant: grant(), keepUntil: now + hour },
    });
    expect(readFileSync(stateFile(token), 'utf8')).not.toContain(token);
  });

  it('is a file of two lines for websockify', async () => {
    const store = await openStore();
    const token = await stored(store);
    expect(readdirSync(websockifyFolder())).toEqual([`vnctoken-7-${hashToken(token).slice(0, 12)}`]);
    expect(mode(websockifyFile(token))).toBe('600');
    const [comment = '', line, last, ...more] = readFileSync(websockifyFile(token), 'utf8').split('\n');
    expect(JSON.parse(comment.replace(/^# /, ''))).toEqual({
      vm: 7,
      expires: new Date(now + hour).toISOString(),
    });
    expect([line, last, more]).toEqual([`${token}: node1:5907`, '', []]);
  });

  it('is none for websockify where that is not wanted for this token', async () => {
    const store = await openStore();
    const token = await stored(store, {}, false);
    expect(bothExist(token)).toEqual([true, false]);
    expect(await open(store, token)).toEqual(grant());
  });

  it('is none for websockify where websockify_files is no', async () => {
    const store = await openStore({ websockify: false });
    const token = await stored(store);
    expect(existsSync(websockifyFolder())).toBe(false);
    expect(await open(store, token)).toEqual(grant());
  });

  it('appears by rename in our own folder, and at once in that of others, which may be another mount', async () => {
    const store = await openStore();
    disk.calls.length = 0;
    const token = await stored(store);
    const own = expect.stringMatching(new RegExp(`^\\w+ ${stateFolder()}/\\.tmp-[0-9a-f]{24}-\\d+$`));
    expect(disk.calls).toEqual([
      ...[own, own, own, `rename ${stateFile(token)}`],
      ...['open', 'write', 'close'].map((step) => `${step} ${websockifyFile(token)}`),
    ]);
  });
});

describe('a token that is used', () => {
  it("loses websockify's file, and ours tells of the use", async () => {
    const store = await openStore();
    const token = await stored(store);
    expect(await open(store, token)).toEqual(grant());
    await waitFor(() => sessionsOnDisk(token).length === 1, { what: 'the use in the file' });
    expect(state(token)).toMatchObject({
      version: 2,
      grant: grant(),
      use: { firstAt: now, network: client, leases: [{ session: 's1', until: now + LEASE_MS }] },
    });
    expect(existsSync(websockifyFile(token))).toBe(false);
    expect(mode(stateFile(token))).toBe('600');
  });

  it('is not written when its lease is renewed, and is when the session ends', async () => {
    const store = await openStore();
    const token = await stored(store);
    await open(store, token);
    await settled();
    disk.calls.length = 0;
    for (let count = 0; count < 10; count++) {
      now += 20_000;
      expect(await stay(store, token)).toBe('renewed');
    }
    await settled();
    expect(disk.calls).toEqual([]);
    await leave(store, token);
    tick();
    await waitFor(() => sessionsOnDisk(token).length === 0, { what: 'the end of the session in the file' });
    expect(state(token).use.openUntil).toBe(now + rules.graceMs);
  });

  it('is written at its first use at once, and then once a second for all who come and go', async () => {
    const store = await openStore();
    const token = await stored(store);
    disk.calls.length = 0;
    for (let count = 0; count < 50; count++) {
      expect(await open(store, token, `s${count}`)).toEqual(grant());
      if (count < 49) await leave(store, token, `s${count}`);
    }
    const writes = () => disk.calls.filter((call) => call === `rename ${stateFile(token)}`).length;
    await settled();
    expect(sessionsOnDisk(token)).toEqual(['s0']);
    expect(writes()).toBe(1);
    tick();
    await settled();
    expect(sessionsOnDisk(token)).toEqual(['s49']);
    tick();
    await settled();
    expect(writes()).toBe(2);
  });

  it('is not written as it was before, where that failed and there is a newer word', async () => {
    const store = await openStore();
    const token = await stored(store);
    let failures = 0;
    disk.failure = (call, path) =>
      call === 'rename' && path === stateFile(token) && failures++ === 0 ? 'EIO' : undefined;
    await open(store, token);
    await leave(store, token);
    await settled();
    expect(warnings).toHaveLength(1);
    tick();
    await settled();
    expect(sessionsOnDisk(token)).toEqual([]);
  });

  it('is used although the disk is full, of which the log tells once, and its files follow', async () => {
    const store = await openStore();
    const token = await stored(store);
    disk.failure = (call) => (/^(open|unlink)$/.test(call) ? 'EROFS' : undefined);
    expect(await open(store, token)).toEqual(grant());
    expect(await open(store, token, 's2', '192.0.2.9')).toBe('in use');
    disk.calls.length = 0;
    const attempts = () => disk.calls.filter((call) => call === `unlink ${websockifyFile(token)}`).length;
    await waitFor(
      () => {
        tick();
        return attempts() >= 3;
      },
      { what: 'three attempts' },
    );
    expect(warnings).toEqual([expect.objectContaining({ cause: 'EROFS' })]);
    disk.failure = () => undefined;
    await settled();
    tick();
    await waitFor(() => sessionsOnDisk(token).length === 1, { what: 'the use in the file' });
    expect(existsSync(websockifyFile(token))).toBe(false);
  });

  it('is told of anew when the disk has been well in between', async () => {
    const store = await openStore();
    const failOnce = async () => {
      const token = await stored(store);
      disk.failure = (call) => (call === 'unlink' ? 'EROFS' : undefined);
      await open(store, token);
      await settled();
      disk.failure = () => undefined;
      tick();
      await waitFor(() => !existsSync(websockifyFile(token)), { what: "the end of websockify's file" });
      await settled();
    };
    await failOnce();
    await failOnce();
    expect(warnings).toHaveLength(2);
  });
});

describe('a token that was ended', () => {
  it('loses its file at once, and no word from before brings it back', async () => {
    const store = await openStore();
    const token = await stored(store);
    await open(store, token);
    await settled();
    await leave(store, token);
    await revoke(store, token);
    await settled();
    expect(existsSync(stateFile(token))).toBe(false);
    tick();
    await settled();
    expect(existsSync(stateFile(token))).toBe(false);
  });

  it('loses its files and stays known as ended, and no restart brings it back', async () => {
    const first = await openStore();
    const [used, unused] = [await stored(first), await stored(first)];
    await open(first, used);
    expect(await revoke(first, used)).toEqual(['s1']);
    expect(await revoke(first, unused)).toEqual([]);
    await waitFor(() => allFiles().length === 0, { what: 'the end of the files' });
    expect(await open(first, used)).toBe('ended');
    await killed(first);
    const second = await openStore();
    expect([await open(second, used), await open(second, unused)]).toEqual(['unknown', 'unknown']);
  });

  it('loses them in the end where the disk does not let them go at once', async () => {
    const store = await openStore();
    const token = await stored(store);
    disk.failure = (call) => (call === 'unlink' ? 'EROFS' : undefined);
    await revoke(store, token);
    await settled();
    expect(bothExist(token)).toEqual([true, true]);
    expect(await open(store, token)).toBe('ended');
    disk.failure = () => undefined;
    tick();
    await waitFor(() => allFiles().length === 0, { what: 'the end of the files' });
  });

  it('does so on a disk that is full', async () => {
    const store = await openStore();
    const token = await stored(store);
    disk.failure = (call) => (call === 'write' ? 'ENOSPC' : undefined);
    await revoke(store, token);
    await waitFor(() => allFiles().length === 0, { what: 'the end of the files' });
  });
});

describe('a token that expires', () => {
  it('is refused from that millisecond on, its files still there', async () => {
    const store = await openStore();
    const token = await stored(store);
    now += hour - 1;
    expect(await knows(store, token)).toBe(true);
    now += 1;
    expect(await open(store, token)).toBe('unknown');
    expect(bothExist(token)).toEqual([true, true]);
  });

  it('loses its files within a second, and the others keep theirs', async () => {
    const store = await openStore();
    const short = await stored(store, { expiresAt: now + 1000 });
    const long = await stored(store);
    now += 1000;
    tick();
    await waitFor(() => !existsSync(stateFile(short)), { what: 'the end of the state file' });
    expect([bothExist(short), bothExist(long)]).toEqual([
      [false, false],
      [true, true],
    ]);
  });

  it('does not hold up the others where its files can never be removed', async () => {
    const store = await openStore();
    const stuck = await Promise.all(Array.from({ length: 100 }, () => stored(store)));
    const others = [await stored(store), await stored(store)];
    const stuckFiles = new Set(stuck.map(stateFile));
    now += hour;
    disk.failure = (call, path) => (call === 'unlink' && stuckFiles.has(path) ? 'EPERM' : undefined);
    tick();
    await waitFor(() => others.every((token) => !bothExist(token).includes(true)), {
      what: 'the other files',
    });
    for (const path of stuckFiles) expect(existsSync(path)).toBe(true);
    await settled();
    disk.calls.length = 0;
    tick();
    await settled();
    const retried = disk.calls.filter((call) => stuckFiles.has(call.replace(/^unlink /, '')));
    expect(retried.length).toBeGreaterThan(0);
    expect(retried.length).toBeLessThan(100);
    expect(warnings).toHaveLength(1);
  });
});

describe('a disk that fails', () => {
  const failures = [
    ...['open', 'write', 'close', 'rename'].map((step) => [step, 'first']),
    ...['open', 'write', 'close'].map((step) => [step, 'second']),
  ];

  it.each(failures)(
    'at the %s of the %s file leaves nothing, neither there nor in memory',
    async (step, which) => {
      const store = await openStore();
      const before = await stored(store);
      const filesBefore = allFiles();
      let attempts = 0;
      disk.failure = (call) => {
        if (call !== step) return undefined;
        // `write` asks twice for each file.
        attempts += step === 'write' ? 0.5 : 1;
        return Math.ceil(attempts) === (which === 'first' ? 1 : 2) ? 'ENOSPC' : undefined;
      };
      await expect(stored(store)).rejects.toMatchObject({
        code: 'store-failed',
        oneCode: 0x4000,
        detail: "the token's file cannot be written: ENOSPC",
      });
      disk.failure = () => undefined;
      expect(allFiles()).toEqual(filesBefore);
      expect((await store.list(10)).map(({ hash }) => hash)).toEqual([hashToken(before)]);
      expect(await store.ofVm(7)).toHaveLength(1);
      expect(await open(store, before)).toEqual(grant());
      expect(await open(store, await stored(store))).toEqual(grant());
    },
  );

  it.each(['EACCES', 'EROFS', 'EIO', 'EDQUOT'])('with %s is one that cannot store', async (code) => {
    const store = await openStore();
    disk.failure = (call) => (call === 'open' ? code : undefined);
    await expect(stored(store)).rejects.toMatchObject({
      code: 'store-failed',
      detail: expect.stringContaining(code),
    });
    expect(allFiles()).toEqual([]);
  });

  it('whose folders are gone cannot store, and can again when they are back', async () => {
    const store = await openStore();
    await rm(stateFolder(), { recursive: true });
    await expect(stored(store)).rejects.toMatchObject({ code: 'store-failed' });
    mkdirSync(stateFolder());
    await rm(websockifyFolder(), { recursive: true });
    await expect(stored(store)).rejects.toMatchObject({ code: 'store-failed' });
    expect(readdirSync(stateFolder())).toEqual([]);
    mkdirSync(websockifyFolder());
    expect(await open(store, await stored(store))).toEqual(grant());
  });

  it.each([
    ['vnctoken', 'the state folder'],
    ['sunstone_vnc_tokens', 'token_folder_name'],
  ])('where %s is a file keeps the store from opening, and %s is named', async (name, setting) => {
    writeFileSync(join(root, name), '');
    const opening = openStore();
    await expect(opening).rejects.toBeInstanceOf(StartError);
    await expect(opening).rejects.toThrow(`${setting}: cannot write ${join(root, name)}: `);
  });

  it.each(['open', 'close'])(
    'that refuses the trial (%s) keeps the store from opening, and leaves no trace',
    async (step) => {
      disk.failure = (call) => (call === step ? 'EACCES' : undefined);
      await expect(openStore()).rejects.toThrow(/^the state folder: cannot write .*: EACCES$/);
      expect(readdirSync(stateFolder())).toEqual([]);
    },
  );

  it.each(['EACCES', 'EIO', 'EMFILE', 'ESTALE'])(
    'that cannot read a token (%s) keeps the store from opening, and keeps the token',
    async (code) => {
      const first = await openStore();
      const token = await stored(first);
      await first.close();
      disk.failure = (call) => (call === 'read' ? code : undefined);
      const opening = openStore();
      await expect(opening).rejects.toBeInstanceOf(StartError);
      await expect(opening).rejects.toThrow(`the state folder: cannot read ${stateFile(token)}: ${code}`);
      expect(existsSync(stateFile(token))).toBe(true);
    },
  );
});

describe('a start', () => {
  it('finds the tokens of the one before', async () => {
    const first = await openStore();
    const token = await stored(first, { caller: { uid: 3, gids: [1, 100], byPermission: true } });
    await first.close();
    const second = await openStore();
    expect(bothExist(token)).toEqual([true, true]);
    expect(await open(second, token)).toEqual(
      grant({ caller: { uid: 3, gids: [1, 100], byPermission: true } }),
    );
  });

  it('finds those that the former release stored, as unused', async () => {
    const token = newToken();
    const { uid: _, ...bare } = grant();
    mkdirSync(stateFolder());
    writeFileSync(stateFile(token), JSON.stringify({ version: 1, ...bare }));
    const store = await openStore();
    expect(await store.list(10)).toEqual([
      { hash: hashToken(token), record: issued({ ...bare, uid: UNKNOWN_UID }) },
    ]);
    expect(await open(store, token)).toEqual({ ...bare, uid: UNKNOWN_UID });
    await waitFor(() => state(token).version === 2, { what: 'the new form of the file' });
  });

  it('removes what has expired meanwhile, with its file for websockify', async () => {
    const first = await openStore();
    const token = await stored(first);
    await first.close();
    now += hour;
    const second = await openStore();
    expect(existsSync(websockifyFile(token))).toBe(false);
    expect(await open(second, token)).toBe('unknown');
    await waitFor(() => allFiles().length === 0, { what: 'the end of its files' });
  });

  it('removes the file for websockify of a token whose use it could not tell the disk fully', async () => {
    const first = await openStore();
    const token = await stored(first);
    const content = readFileSync(websockifyFile(token), 'utf8');
    await open(first, token);
    await leave(first, token);
    await first.close();
    writeFileSync(websockifyFile(token), content);
    await openStore();
    expect(bothExist(token)).toEqual([true, false]);
  });

  const whole = {
    ...{ version: 2, run: '0123456789abcdef', keepUntil: 4e12 },
    grant: { vmId: 7, target: { host: 'h', port: 5900 }, user, issuedAt: 0, expiresAt: 4e12 },
    use: { firstAt: 1, network: client, leases: [], openUntil: 4e12 },
  };
  const lease = { session: 's1', client, since: 1, until: 2, bytes: 0 };
  const former = { version: 1, ...whole.grant };

  it.each([
    ['as it is', whole],
    ['unused', { ...whole, use: undefined }],
    ['with a lease', { ...whole, use: { ...whole.use, leases: [lease] } }],
    ['of the former release', former],
  ])('believes a record that is whole: %s', async (_what, content) => {
    const token = newToken();
    mkdirSync(stateFolder());
    writeFileSync(stateFile(token), JSON.stringify(content));
    expect(await knows(await openStore(), token)).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['half a record', JSON.stringify(whole).slice(0, 60)],
    ['a record without a target', { ...whole, grant: { ...whole.grant, target: undefined } }],
    ['another version', { ...whole, version: 3 }],
    ['no version', { ...whole, version: undefined }],
    ['an unknown key', { ...whole, more: 1 }],
    ['an unknown key in its grant', { ...whole, grant: { ...whole.grant, password: 'x' } }],
    ['a VM id that is a text', { ...whole, grant: { ...whole.grant, vmId: '7' } }],
    ['a VM id below zero', { ...whole, grant: { ...whole.grant, vmId: -1 } }],
    ['an expiry that is no number', { ...whole, grant: { ...whole.grant, expiresAt: null } }],
    ['a port that is a text', { ...whole, grant: { ...whole.grant, target: { host: 'h', port: '5900' } } }],
    ['a port that is none', { ...whole, grant: { ...whole.grant, target: { host: 'h', port: 65_536 } } }],
    ['a host that is none', { ...whole, grant: { ...whole.grant, target: { host: 'h\nx: y', port: 5900 } } }],
    ['no end', { ...whole, keepUntil: undefined }],
    ['an end beyond all dates', { ...whole, keepUntil: 1e300 }],
    ['a use without a beginning', { ...whole, use: { ...whole.use, firstAt: undefined } }],
    ['a lease without a session', { ...whole, use: { ...whole.use, leases: [{ ...lease, session: '' }] } }],
    ['a lease that is a text', { ...whole, use: { ...whole.use, leases: ['s1'] } }],
    ['an ended token', { ...whole, ended: 'revoked' }],
    ['a token from the future', { ...whole, grant: { ...whole.grant, issuedAt: 3e12 } }],
    ['a use in the future', { ...whole, use: { ...whole.use, firstAt: 3e12 } }],
    ['a former grant without a target', { ...former, target: undefined }],
    ['a former grant with more than that', { ...former, use: whole.use }],
    ['null', 'null'],
    ['a list', '[]'],
    ['no JSON', 'token: host:5900'],
    ['bytes', Buffer.from([0xff, 0xfe, 0, 1])],
    ['a record that is too large', { ...whole, grant: { ...whole.grant, user: 'x'.repeat(300_000) } }],
  ])('removes a file of a hash name that holds %s', async (_what, content) => {
    const token = newToken();
    mkdirSync(stateFolder());
    const isText = typeof content === 'string' || Buffer.isBuffer(content);
    writeFileSync(stateFile(token), isText ? content : JSON.stringify(content));
    const store = await openStore();
    expect(await open(store, token)).toBe('unknown');
    await waitFor(() => readdirSync(stateFolder()).length === 0, { what: 'the end of the file' });
  });

  it('removes what was being written when the one before ended', async () => {
    mkdirSync(stateFolder());
    writeFileSync(join(stateFolder(), '.tmp-0123456789abcdef01234567'), '{"version":2,');
    await openStore();
    expect(readdirSync(stateFolder())).toEqual([]);
  });

  it("removes websockify's files of ours that no token stands for, and touches nobody else's", async () => {
    const first = await openStore();
    const token = await stored(first);
    await first.close();
    const others = ['one-7', 'vnctoken-7', 'vnctoken-7-0123456789AB', 'x-vnctoken-7-0123456789ab', 'README'];
    for (const name of [...others, 'vnctoken-7-0123456789ab'])
      writeFileSync(join(websockifyFolder(), name), `${name}: h:1\n`);
    mkdirSync(join(websockifyFolder(), 'folder'));
    mkdirSync(join(stateFolder(), 'folder'));
    writeFileSync(join(stateFolder(), 'README'), 'ours is what has a hash for its name');
    await openStore();
    const name = `vnctoken-7-${hashToken(token).slice(0, 12)}`;
    expect(readdirSync(websockifyFolder()).sort()).toEqual([...others, 'folder', name].sort());
    expect(readFileSync(join(websockifyFolder(), 'one-7'), 'utf8')).toBe('one-7: h:1\n');
    expect(readdirSync(stateFolder()).sort()).toEqual(['README', 'folder', hashToken(token)].sort());
  });

  it('does not serve what others put into the directory of websockify', async () => {
    mkdirSync(websockifyFolder());
    writeFileSync(join(websockifyFolder(), 'one-7'), 'abcdefghijklmnopqrstuvwxy: 192.0.2.1:22\n');
    const store = await openStore();
    expect(await open(store, 'abcdefghijklmnopqrstuvwxy' as Token)).toBe('unknown');
  });

  it('is not kept from by a folder of a hash name', async () => {
    const token = newToken();
    mkdirSync(stateFile(token), { recursive: true });
    const store = await openStore();
    expect(await open(store, token)).toBe('unknown');
  });

  it('closes the state folder to others', async () => {
    mkdirSync(stateFolder());
    await chmod(stateFolder(), 0o755);
    await openStore();
    expect(mode(stateFolder())).toBe('700');
    expect(mode(websockifyFolder())).toBe('700');
  });

  it('leaves no trial file behind', async () => {
    await openStore();
    expect(allFiles()).toEqual([]);
  });
});

describe('a process that is killed', () => {
  /** Somebody is on the console for so long, then the process is killed. */
  async function usedFor(ms: number, store: FileTokenStore): Promise<Token> {
    const token = await stored(store);
    await open(store, token);
    for (let passed = 0; passed < ms; passed += 20_000) {
      now += 20_000;
      await stay(store, token);
      vi.advanceTimersByTime(20_000);
    }
    await killed(store);
    return token;
  }

  it('leaves one small heartbeat, for us alone, and none where nobody is on a console', async () => {
    const store = await openStore();
    await stored(store);
    vi.advanceTimersByTime(60_000);
    await settled();
    expect(existsSync(heartbeatFile())).toBe(false);
    disk.calls.length = 0;
    await usedFor(2 * minute, store);
    expect(mode(heartbeatFile())).toBe('600');
    expect(statSync(heartbeatFile()).size).toBeLessThan(1000);
    expect(JSON.parse(readFileSync(heartbeatFile(), 'utf8'))).toEqual({
      version: 1,
      runs: [{ run: expect.stringMatching(/^[0-9a-f]{16}$/), at: now }],
    });
    expect(disk.calls.filter((call) => call === `rename ${heartbeatFile()}`)).toHaveLength(6);
  });

  const last = LEASE_MS + rules.graceMs;

  it.each([
    ['the first seconds', 0],
    ['three hours', 3 * hour],
  ])(
    'after %s of use leaves a token that opens until its last lease and the time of grace are over',
    async (_long, ms) => {
      const token = await usedFor(ms, await openStore());
      now += last - 1;
      const next = await openStore();
      // From another address as well: nobody is on the console any more.
      expect(await open(next, token, 's2', '192.0.2.77')).toEqual(
        grant({ issuedAt: expect.any(Number), expiresAt: expect.any(Number) }),
      );
    },
  );

  it.each([
    ['the first seconds', 0],
    ['three hours', 3 * hour],
  ])('after %s of use leaves no token that opens after that', async (_long, ms) => {
    const token = await usedFor(ms, await openStore());
    now += last;
    const next = await openStore();
    expect(await open(next, token)).toBe('unknown');
    await waitFor(() => !existsSync(stateFile(token)), { what: 'the end of its file' });
  });

  it('leaves nobody on the console: whoever comes to the next process at once is let in', async () => {
    const token = await usedFor(20_000, await openStore());
    const next = await openStore();
    expect(await open(next, token, 's2', '192.0.2.77')).toMatchObject({ vmId: 7 });
    expect(await open(next, token, 's3', '192.0.2.78')).toBe('in use');
  });

  it('does so too while the next process, and the one after it, is alive for others', async () => {
    const token = await usedFor(hour, await openStore());
    for (let crash = 0; crash < 2; crash++) {
      now += 20_000;
      await usedFor(20_000, await openStore());
    }
    const next = await openStore();
    expect(await knows(next, token)).toBe(true);
    now += last - 80_000;
    expect(await open(next, token)).toBe('unknown');
  });

  it('leaves a released token open for its time of grace alone, whatever the heartbeat says', async () => {
    const first = await openStore();
    const token = await stored(first);
    await open(first, token);
    now += minute;
    await stay(first, token);
    await leave(first, token);
    const releasedAt = now;
    await usedFor(40_000, first);
    now = releasedAt + rules.graceMs - 1;
    expect(await knows(await openStore(), token)).toBe(true);
    now += 1;
    expect(await knows(await openStore(), token)).toBe(false);
  });

  it('leaves a token that was released within its last second as open as if it had not been', async () => {
    const first = await openStore();
    const token = await stored(first);
    await open(first, token);
    tick();
    await leave(first, token);
    await killed(first);
    now += LEASE_MS + rules.graceMs - 1;
    expect(await knows(await openStore(), token)).toBe(true);
    now += 1;
    expect(await knows(await openStore(), token)).toBe(false);
  });

  it('whose clock was far ahead leaves nothing that stays open for long', async () => {
    const token = await usedFor(3 * hour, await openStore());
    now -= 2 * hour;
    const next = await openStore();
    now += last;
    expect(await open(next, token)).toBe('unknown');
  });

  it.each([
    ['no JSON', 'x'],
    ['another version', JSON.stringify({ version: 2, runs: [] })],
    [
      'a time beyond all dates',
      JSON.stringify({ version: 1, runs: [{ run: '0123456789abcdef', at: 1e300 }] }),
    ],
    ['too much', JSON.stringify({ version: 1, runs: [], more: 'x'.repeat(10_000) })],
  ])('is not believed where its heartbeat is %s, and the next one has its own', async (_what, content) => {
    const token = await usedFor(3 * hour, await openStore());
    writeFileSync(heartbeatFile(), content);
    const next = await openStore();
    expect(await open(next, token)).toBe('unknown');
    await usedFor(minute, next);
    expect(JSON.parse(readFileSync(heartbeatFile(), 'utf8')).runs).toHaveLength(1);
  });

  it('is remembered a bounded number of times', async () => {
    for (let crash = 0; crash < 20; crash++) await usedFor(20_000, await openStore());
    expect(JSON.parse(readFileSync(heartbeatFile(), 'utf8')).runs).toHaveLength(16);
  });
});

describe('many tokens', () => {
  it('cause as many system calls as few, and no look at a folder', async () => {
    const store = await openStore();
    const callsOfOne = async () => {
      disk.calls.length = 0;
      const token = await stored(store);
      await open(store, token);
      await leave(store, token);
      await settled();
      return disk.calls.length;
    };
    const first = await callsOfOne();
    for (let count = 0; count < 500; count++) await stored(store);
    expect(await callsOfOne()).toBe(first);
    expect(disk.calls.filter((call) => /^(read|readdir) /.test(call))).toEqual([]);
  });

  it('in the state folder, twenty thousand, are read once each, some at a time, and cost nothing later', async () => {
    const count = 20_000;
    mkdirSync(stateFolder());
    const run = '0123456789abcdef';
    for (let vmId = 0; vmId < count; vmId++) {
      const one = grant({ vmId, expiresAt: now + (vmId % 10 === 1 ? minute : hour) });
      const name = createHash('sha256').update(`${vmId}`).digest('hex');
      writeFileSync(join(stateFolder(), name), JSON.stringify({ version: 2, run, ...issued(one) }));
    }
    now += minute;
    const store = await openStore();
    expect(disk.mostUnderWay).toBeLessThanOrEqual(16 + 8);
    expect(disk.calls.filter((call) => call.startsWith('readdir '))).toHaveLength(2);
    for (const call of ['open', 'read']) {
      const times = disk.calls.filter((one) => one.startsWith(`${call} ${stateFolder()}/`)).length;
      expect(times - count).toBeLessThan(10);
    }
    expect(await store.list(count)).toHaveLength(0.9 * count);
    expect(await store.ofVm(40)).toHaveLength(1);
    expect(await store.ofVm(41)).toEqual([]);
    await settled();
    expect(readdirSync(stateFolder())).toHaveLength(0.9 * count);
    disk.calls.length = 0;
    const token = await stored(store);
    expect(await open(store, token)).toEqual(grant());
    await settled();
    // A file of four calls and one of three, then one gone and one anew.
    expect(disk.calls).toHaveLength(4 + 3 + 1 + 4);
  }, 120_000);

  it('may be stored at the same time, up to the bound', async () => {
    const store = await openStore({ maxTokens: 200 });
    const creations = await Promise.allSettled(Array.from({ length: 220 }, () => stored(store)));
    expect(creations.filter(({ status }) => status === 'fulfilled')).toHaveLength(200);
    expect([readdirSync(stateFolder()).length, readdirSync(websockifyFolder()).length]).toEqual([200, 200]);
    for (const one of creations) {
      if (one.status === 'fulfilled') expect(await open(store, one.value)).toEqual(grant());
      else expect(one.reason).toMatchObject({ code: 'over-limit', oneCode: 0x2000 });
    }
  });
});

describe('closing', () => {
  it('waits for what is being written and removed', async () => {
    const store = await openStore();
    const used = await stored(store);
    void open(store, used);
    const creation = stored(store);
    await store.close();
    expect(bothExist(await creation)).toEqual([true, true]);
    expect(bothExist(used)).toEqual([true, false]);
    expect(sessionsOnDisk(used)).toEqual(['s1']);
  });

  it('tries once more what has failed', async () => {
    const store = await openStore();
    const token = await stored(store);
    disk.failure = (call) => (call === 'unlink' ? 'EROFS' : undefined);
    await revoke(store, token);
    await settled();
    disk.failure = () => undefined;
    await store.close();
    expect(allFiles()).toEqual([]);
  });

  it('ends the work from time to time', async () => {
    const store = await openStore();
    const token = await stored(store);
    await store.close();
    now += hour;
    expect(vi.getTimerCount()).toBe(0);
    expect(existsSync(stateFile(token))).toBe(true);
  });
});
