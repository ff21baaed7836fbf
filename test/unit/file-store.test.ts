// The store on a real file system, with a clock that the test turns and system calls that the test can make fail.
// What always holds: map and disk agree, whatever the disk does; no work depends on how many tokens there are.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StartError } from '../../src/errors.ts';
import { FileTokenStore, type FileTokenStoreOptions } from '../../src/tokens/file-store.ts';
import type { Grant } from '../../src/tokens/grant.ts';
import { hashToken, newToken, type Token, type TokenHash } from '../../src/tokens/token.ts';
import { TokenFiles } from '../../src/tokens/token-files.ts';
import { temporaryFolder } from '../support/folder.ts';
import { waitFor } from '../support/wait.ts';

/** Every call of the file system, and what makes one fail. */
const disk = vi.hoisted(() => ({
  calls: [] as string[],
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
    return run();
  };
  /** A function with a callback that `promisify` takes for what this one is. */
  const replace = <A extends unknown[], T>(work: (...all: A) => Promise<T>) =>
    Object.assign(() => {}, { [promisify.custom]: work });
  const open = promisify(original.open);
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
      await close(file);
      await attempt('close', paths.get(file), () => Promise.resolve());
    }),
    rename: replace((from: string, to: string) => attempt('rename', to, () => rename(from, to))),
    unlink: replace((path: string) => attempt('unlink', path, () => unlink(path))),
    promises: {
      ...promises,
      readFile: (path: string) => attempt('read', path, () => promises.readFile(path)),
      readdir: (path: string) => attempt('readdir', path, () => promises.readdir(path)),
      mkdir: (path: string, options: object) => attempt('mkdir', path, () => promises.mkdir(path, options)),
    },
  };
});

const hour = 3_600_000;
const user = 'alice';
const quiet = pino({ level: 'silent' });

let root: string;
let now: number;
const warnings: object[] = [];

beforeEach(() => {
  root = temporaryFolder();
  now = 1_800_000_000_000;
  warnings.length = 0;
  // Only the sweep: waiting for files takes real time.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});

afterEach(() => {
  disk.failure = () => undefined;
  disk.calls.length = 0;
  vi.useRealTimers();
});

const stateFolder = () => join(root, 'vnctoken');
const websockifyFolder = () => join(root, 'sunstone_vnc_tokens');
const stateFile = (token: Token) => join(stateFolder(), hashToken(token));
const websockifyFile = (token: Token, vmId = 7) =>
  join(websockifyFolder(), `vnctoken-${vmId}-${hashToken(token).slice(0, 12)}`);
const allFiles = () => [...readdirSync(stateFolder()), ...readdirSync(websockifyFolder())];

function grant(over: Partial<Grant> = {}): Grant {
  return {
    ...{ vmId: 7, target: { host: 'node1', port: 5907 }, user, issuedAt: now, expiresAt: now + hour },
    ...over,
  };
}

async function openStore(options: Partial<FileTokenStoreOptions> & { websockify?: boolean } = {}) {
  const { websockify = true, ...rest } = options;
  const logger = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line)) });
  const store = new FileTokenStore({
    files: new TokenFiles({
      stateFolder: root,
      websockifyFolderName: websockify ? 'sunstone_vnc_tokens' : undefined,
    }),
    logger,
    now: () => now,
    ...rest,
  });
  await store.open();
  return store;
}

async function stored(store: FileTokenStore, over: Partial<Grant> = {}): Promise<Token> {
  const token = newToken();
  await store.put(token, grant(over));
  return token;
}

/** What the proxy asks with. */
const claim = (store: FileTokenStore, token: Token) => store.claim(hashToken(token));

const sweep = () => vi.advanceTimersByTime(1000);
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

describe('a token that was stored', () => {
  it('is a file of ours, named by its hash, for us alone, with neither token nor password in it', async () => {
    const store = await openStore();
    const token = await stored(store);
    expect(readdirSync(stateFolder())).toEqual([createHash('sha256').update(token).digest('hex')]);
    expect([mode(stateFolder()), mode(stateFile(token))]).toEqual(['700', '600']);
    const text = readFileSync(stateFile(token), 'utf8');
    expect(JSON.parse(text)).toEqual({ version: 1, ...grant() });
    expect(text).not.toContain(token);
  });

  it('is a file of two lines for websockify', async () => {
    const store = await openStore();
    const token = await stored(store);
    expect(readdirSync(websockifyFolder())).toEqual([`vnctoken-7-${hashToken(token).slice(0, 12)}`]);
    expect(mode(websockifyFile(token))).toBe('600');
    const [comment = '', line, end, ...more] = readFileSync(websockifyFile(token), 'utf8').split('\n');
    expect(JSON.parse(comment.replace(/^# /, ''))).toEqual({
      vm: 7,
      expires: new Date(now + hour).toISOString(),
    });
    expect([line, end, more]).toEqual([`${token}: node1:5907`, '', []]);
  });

  it('is none for websockify where websockify_files is no', async () => {
    const store = await openStore({ websockify: false });
    const token = await stored(store);
    expect(existsSync(websockifyFolder())).toBe(false);
    expect(await claim(store, token)).toEqual(grant());
  });

  it('appears by rename: what is being written lies in our own folder, which websockify does not read', async () => {
    const store = await openStore();
    disk.calls.length = 0;
    const token = await stored(store);
    const own = expect.stringMatching(new RegExp(`^\\w+ ${stateFolder()}/\\.tmp-[0-9a-f]{24}-\\d+$`));
    expect(disk.calls).toEqual([
      ...[own, own, own, `rename ${stateFile(token)}`],
      ...[own, own, own, `rename ${websockifyFile(token)}`],
    ]);
  });

  it('gives its grant, and any other text gives none', async () => {
    const store = await openStore();
    const token = await stored(store);
    expect(await claim(store, token)).toEqual(grant());
    const others = ['', 'x', `${token}x`, token.slice(1), token.toUpperCase(), hashToken(token)];
    for (const other of others) expect(await claim(store, other as Token)).toBeUndefined();
    for (const other of ['__proto__', '', hashToken(token).slice(0, 12), hashToken(token).toUpperCase()])
      expect(await store.claim(other as TokenHash)).toBeUndefined();
  });

  it("loses websockify's file when it is first used, and ours stays", async () => {
    const store = await openStore();
    const token = await stored(store);
    await claim(store, token);
    await waitFor(() => !existsSync(websockifyFile(token)), { what: "the end of websockify's file" });
    expect(existsSync(stateFile(token))).toBe(true);
  });

  it('is used although the disk keeps the file, which goes at the next use', async () => {
    const store = await openStore();
    const token = await stored(store);
    disk.failure = (call) => (call === 'unlink' ? 'EROFS' : undefined);
    expect(await claim(store, token)).toEqual(grant());
    await waitFor(() => warnings.length > 0, { what: 'the warning' });
    expect(warnings).toEqual([expect.objectContaining({ cause: 'EROFS' })]);
    disk.failure = () => undefined;
    await claim(store, token);
    await waitFor(() => !existsSync(websockifyFile(token)), { what: "the end of websockify's file" });
  });
});

describe('a token that expires', () => {
  it('is refused from that millisecond on, its files still there', async () => {
    const store = await openStore();
    const token = await stored(store);
    now += hour - 1;
    expect(await claim(store, token)).toEqual(grant({ issuedAt: now - hour + 1, expiresAt: now + 1 }));
    now += 1;
    expect(await claim(store, token)).toBeUndefined();
    expect(existsSync(stateFile(token))).toBe(true);
  });

  it('loses its files within a second, and the others keep theirs', async () => {
    const store = await openStore();
    const short = await stored(store, { expiresAt: now + 1000 });
    const long = await stored(store);
    now += 1000;
    sweep();
    await waitFor(() => !existsSync(stateFile(short)), { what: 'the end of the state file' });
    expect(existsSync(websockifyFile(short))).toBe(false);
    expect([existsSync(stateFile(long)), existsSync(websockifyFile(long))]).toEqual([true, true]);
  });

  it('keeps its files while they cannot be removed, and the log tells it once', async () => {
    const store = await openStore();
    const token = await stored(store);
    now += hour;
    disk.failure = (call) => (call === 'unlink' ? 'EROFS' : undefined);
    const attempts = () => disk.calls.filter((call) => call.startsWith('unlink ')).length;
    disk.calls.length = 0;
    await waitFor(
      () => {
        sweep();
        return attempts() >= 3;
      },
      { what: 'three attempts' },
    );
    expect(await claim(store, token)).toBeUndefined();
    expect(existsSync(stateFile(token))).toBe(true);
    expect(warnings).toEqual([expect.objectContaining({ cause: 'EROFS' })]);
    disk.failure = () => undefined;
    await waitFor(
      () => {
        sweep();
        return allFiles().length === 0;
      },
      { what: 'the end of its files' },
    );
  });

  it('does not hold up the others where its files can never be removed', async () => {
    const store = await openStore();
    const stuck = await stored(store);
    const others = [await stored(store), await stored(store)];
    now += hour;
    disk.failure = (call, path) => (call === 'unlink' && path === stateFile(stuck) ? 'EPERM' : undefined);
    await waitFor(
      () => {
        sweep();
        return others.every((token) => !existsSync(stateFile(token)) && !existsSync(websockifyFile(token)));
      },
      { what: 'the end of the other files' },
    );
    expect(existsSync(stateFile(stuck))).toBe(true);
  });
});

describe('a disk that fails', () => {
  const steps = ['open', 'write', 'close', 'rename'];
  const failures = steps.flatMap((step) => [
    [step, 'first'],
    [step, 'second'],
  ]);

  it.each(failures)(
    'at the %s of the %s file leaves nothing, neither there nor in the map',
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
      const token = newToken();
      await expect(store.put(token, grant())).rejects.toMatchObject({
        code: 'store-failed',
        oneCode: 0x4000,
        detail: "the token's file cannot be written: ENOSPC",
      });
      disk.failure = () => undefined;
      expect(allFiles()).toEqual(filesBefore);
      expect(await claim(store, token)).toBeUndefined();
      expect(await claim(store, before)).toEqual(grant());
      expect(await claim(store, await stored(store))).toEqual(grant());
    },
  );

  it.each(['EACCES', 'EROFS', 'EIO', 'EDQUOT'])('with %s is one that cannot store', async (code) => {
    const store = await openStore();
    disk.failure = (call) => (call === 'open' ? code : undefined);
    await expect(store.put(newToken(), grant())).rejects.toMatchObject({
      code: 'store-failed',
      detail: expect.stringContaining(code),
    });
    expect(allFiles()).toEqual([]);
  });

  it('whose folders are gone cannot store, and can again when they are back', async () => {
    const store = await openStore();
    await rm(stateFolder(), { recursive: true });
    await expect(store.put(newToken(), grant())).rejects.toMatchObject({ code: 'store-failed' });
    mkdirSync(stateFolder());
    await rm(websockifyFolder(), { recursive: true });
    await expect(store.put(newToken(), grant())).rejects.toMatchObject({ code: 'store-failed' });
    expect(readdirSync(stateFolder())).toEqual([]);
    mkdirSync(websockifyFolder());
    expect(await claim(store, await stored(store))).toEqual(grant());
  });

  it.each([
    ['vnctoken', 'the state folder'],
    ['sunstone_vnc_tokens', 'token_folder_name'],
  ])('where %s is a file keeps the store from opening, and %s is named', async (name, setting) => {
    writeFileSync(join(root, name), '');
    const opened = openStore();
    await expect(opened).rejects.toBeInstanceOf(StartError);
    await expect(opened).rejects.toThrow(`${setting}: cannot write ${join(root, name)}: `);
  });

  it.each([
    ['open', 'the state folder'],
    ['rename', 'the state folder'],
  ])(
    'that refuses the trial (%s) keeps the store from opening, and leaves no trace',
    async (step, setting) => {
      disk.failure = (call) => (call === step ? 'EACCES' : undefined);
      await expect(openStore()).rejects.toThrow(new RegExp(`^${setting}: cannot write .*: EACCES$`));
      expect(readdirSync(stateFolder())).toEqual([]);
    },
  );

  it.each(['EACCES', 'EIO', 'EMFILE'])(
    'that cannot read a token (%s) keeps the store from opening',
    async (code) => {
      const first = await openStore();
      const token = await stored(first);
      await first.close();
      disk.failure = (call) => (call === 'read' ? code : undefined);
      const opened = openStore();
      await expect(opened).rejects.toBeInstanceOf(StartError);
      await expect(opened).rejects.toThrow(`the state folder: cannot read ${stateFile(token)}: ${code}`);
      expect(existsSync(stateFile(token))).toBe(true);
    },
  );
});

describe('a start', () => {
  it('finds the tokens of the one before', async () => {
    const first = await openStore();
    const token = await stored(first);
    await first.close();
    const second = await openStore();
    expect(await claim(second, token)).toEqual(grant());
    expect(existsSync(stateFile(token))).toBe(true);
  });

  it('removes what has expired meanwhile, with its file for websockify', async () => {
    const first = await openStore();
    const token = await stored(first);
    await first.close();
    now += hour;
    const second = await openStore();
    expect(allFiles()).toEqual([]);
    expect(await claim(second, token)).toBeUndefined();
  });

  const half = JSON.stringify({ version: 1, ...{ vmId: 7, user, issuedAt: 0, expiresAt: 4e12 } });
  const whole = {
    version: 1,
    vmId: 7,
    target: { host: 'h', port: 5900 },
    user,
    issuedAt: 0,
    expiresAt: 4e12,
  };

  it.each([
    ['nothing', ''],
    ['half a grant', JSON.stringify(whole).slice(0, 40)],
    ['a grant without a target', half],
    ['another version', JSON.stringify({ ...whole, version: 2 })],
    ['a VM id that is a text', JSON.stringify({ ...whole, vmId: '7' })],
    ['an expiry that is no number', JSON.stringify({ ...whole, expiresAt: null })],
    ['a port that is a text', JSON.stringify({ ...whole, target: { host: 'h', port: '5900' } })],
    ['null', 'null'],
    ['a list', '[]'],
    ['no JSON', 'token: host:5900'],
    ['bytes', Buffer.from([0xff, 0xfe, 0, 1])],
    ['a grant that is too large', JSON.stringify({ ...whole, user: 'x'.repeat(70_000) })],
  ])('removes a file of a hash name that holds %s', async (_what, content) => {
    const token = newToken();
    mkdirSync(stateFolder());
    writeFileSync(stateFile(token), content);
    const store = await openStore();
    expect(readdirSync(stateFolder())).toEqual([]);
    expect(await claim(store, token)).toBeUndefined();
  });

  it('removes what was being written when the one before ended', async () => {
    mkdirSync(stateFolder());
    writeFileSync(join(stateFolder(), '.tmp-0123456789abcdef01234567'), '{"version":1,');
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
    expect(await claim(store, 'abcdefghijklmnopqrstuvwxy' as Token)).toBeUndefined();
  });

  it('is not kept from by a folder of a hash name', async () => {
    const token = newToken();
    mkdirSync(stateFile(token), { recursive: true });
    const store = await openStore();
    expect(await claim(store, token)).toBeUndefined();
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

describe('many tokens', () => {
  /** Files that cost nothing, so that what is left is the store itself. */
  class NoFiles extends TokenFiles {
    readonly loaded: Map<TokenHash, Grant>;

    constructor(loaded: Map<TokenHash, Grant>) {
      super({ stateFolder: '/nonexistent', websockifyFolderName: undefined });
      this.loaded = loaded;
    }

    override prepare = () => Promise.resolve();
    override load = () => Promise.resolve(this.loaded);
    override removeStrays = () => Promise.resolve();
    override write = () => Promise.resolve();
    override remove = () => Promise.resolve();
    override removeForWebsockify = () => Promise.resolve();
  }

  async function timeOf(alreadyThere: number): Promise<number> {
    const loaded = new Map<TokenHash, Grant>();
    for (let count = 0; count < alreadyThere; count++) loaded.set(hashToken(newToken()), grant());
    const store = await openStore({ files: new NoFiles(loaded), logger: quiet });
    const runs: number[] = [];
    for (let run = 0; run < 5; run++) {
      const startedAt = performance.now();
      for (let count = 0; count < 1000; count++) await claim(store, await stored(store));
      runs.push(performance.now() - startedAt);
    }
    return Math.min(...runs);
  }

  it('cost as much as few: a hundred thousand make issuing and redeeming no slower', async () => {
    // The first run warms the engine up.
    await timeOf(0);
    const empty = await timeOf(0);
    const full = await timeOf(100_000);
    expect(full / empty).toBeLessThan(5);
  });

  it('cause as many system calls as few', async () => {
    const store = await openStore();
    const callsOfOne = async () => {
      disk.calls.length = 0;
      const token = await stored(store);
      await claim(store, token);
      await waitFor(() => !existsSync(websockifyFile(token)), { what: "the end of websockify's file" });
      return disk.calls.length;
    };
    const first = await callsOfOne();
    for (let count = 0; count < 500; count++) await stored(store);
    expect(await callsOfOne()).toBe(first);
    expect(disk.calls.filter((call) => /^(read|readdir) /.test(call))).toEqual([]);
  });

  it('have a bound, over which none is stored, and which holds for those being stored as well', async () => {
    const store = await openStore({ maxTokens: 5 });
    const puts = Array.from({ length: 12 }, () => stored(store));
    const ends = await Promise.allSettled(puts);
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    for (const end of ends)
      if (end.status === 'rejected')
        expect(end.reason).toMatchObject({ code: 'over-limit', oneCode: 0x2000 });
    expect(readdirSync(stateFolder())).toHaveLength(5);
    now += hour;
    sweep();
    await waitFor(() => allFiles().length === 0, { what: 'the end of the expired' });
    await stored(store);
  });

  it('may be stored at the same time', async () => {
    const store = await openStore();
    const tokens = await Promise.all(Array.from({ length: 200 }, () => stored(store)));
    expect(readdirSync(stateFolder())).toHaveLength(200);
    expect(readdirSync(websockifyFolder())).toHaveLength(200);
    for (const token of tokens) expect(await claim(store, token)).toEqual(grant());
  });
});

describe('closing', () => {
  it('waits for what is being written and removed', async () => {
    const store = await openStore();
    const used = await stored(store);
    void claim(store, used);
    const token = newToken();
    void store.put(token, grant());
    await store.close();
    expect([existsSync(stateFile(token)), existsSync(websockifyFile(token))]).toEqual([true, true]);
    expect(existsSync(websockifyFile(used))).toBe(false);
  });

  it('ends the sweeping', async () => {
    const store = await openStore();
    const token = await stored(store);
    await store.close();
    now += hour;
    expect(vi.getTimerCount()).toBe(0);
    expect(existsSync(stateFile(token))).toBe(true);
  });
});
