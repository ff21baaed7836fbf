// A VNC password at rest, and the key that it rests under. What always holds: a sealed password opens with its own key
// and for its own grant alone, whatever is wrong is one error, and no message holds a password or a key.
import { execFileSync } from 'node:child_process';
import { createSecretKey, randomBytes } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { GatewayError, StartError } from '../../src/errors.ts';
import { ownPasswordKey, readPasswordKey } from '../../src/tokens/password-key.ts';
import { openPassword, type PasswordKey, sealPassword } from '../../src/tokens/password-seal.ts';
import { temporaryFolder } from '../support/folder.ts';

const disk = vi.hoisted(() => ({
  /** Called before the call itself; what it throws is the call's own error. */
  before: (_call: 'write' | 'fsync' | 'link', _path?: unknown): void => undefined,
}));

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return {
    ...fs,
    writeFileSync: (...args: Parameters<typeof fs.writeFileSync>) => {
      if (typeof args[0] === 'number') disk.before('write');
      fs.writeFileSync(...args);
    },
    fsyncSync: (file: number) => {
      disk.before('fsync');
      fs.fsyncSync(file);
    },
    linkSync: (from: string, to: string) => {
      disk.before('link', from);
      fs.linkSync(from, to);
    },
  };
});

beforeEach(() => {
  disk.before = () => undefined;
});

const newKey = () => createSecretKey(randomBytes(32)) as PasswordKey;
const key = newKey();
const boundTo = 'a'.repeat(64);

function errorOf(act: () => unknown): Error {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it was accepted');
}

describe('a sealed password', () => {
  it.each([
    ['empty', ''],
    ['of eight characters', 'secret12'],
    ['with every kind of character', `ü€😀'"\\:\n\0 ${'ß'.repeat(40)}`],
    ['of the greatest length', 'x'.repeat(1024)],
  ])('opens to what it was, %s', (_what, password) => {
    expect(openPassword(key, sealPassword(key, password, boundTo), boundTo)).toBe(password);
  });

  it('is text of one spelling in which neither the password nor its length shows', () => {
    const sealed = ['', 'secret12', 'x'.repeat(62)].map((password) => sealPassword(key, password, boundTo));
    for (const text of sealed) expect(text).toMatch(/^v2\.[A-Za-z0-9_-]{123}$/);
    expect(sealed.join(' ')).not.toContain('secret12');
  });

  it('differs each time, its nonce as well', () => {
    const sealed = Array.from({ length: 1000 }, () => sealPassword(key, 'secret12', boundTo));
    expect(new Set(sealed.map((text) => text.slice(3, 19))).size).toBe(1000);
  });

  it('is refused where the password is too long, without quoting it', () => {
    const error = errorOf(() => sealPassword(key, 'y'.repeat(1025), boundTo));
    expect(error).toMatchObject({
      code: 'store-failed',
      detail: 'the VNC password has more than 1024 bytes',
    });
  });

  it('of the version before opens by what that bound it to, and by nothing else', () => {
    // Sealed as it was then: the same but for the prefix.
    const former = sealPassword(key, 'secret12', 'vm 7').replace('v2.', 'v1.');
    expect(openPassword(key, former, boundTo, 'vm 7')).toBe('secret12');
    expectRefused(former, key, boundTo, 'vm 8');
    expectRefused(former, key, 'vm 7', boundTo);
    expectRefused(sealPassword(key, 'secret12', 'vm 7'), key, boundTo, 'vm 7');
    expectRefused(sealPassword(key, 'secret12', boundTo).replace('v2.', 'v1.'), key, boundTo, 'vm 7');
  });

  const sealed = sealPassword(key, 'secret12', boundTo);
  const bytes = Buffer.from(sealed.slice(3), 'base64url');
  const again = (changed: Buffer) => `v2.${changed.toString('base64url')}`;

  function expectRefused(text: string, withKey = key, forGrant = boundTo, formerly = forGrant): void {
    const error = errorOf(() => openPassword(withKey, text, forGrant, formerly));
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toMatchObject({
      code: 'internal',
      message: 'the sealed VNC password cannot be opened',
      publicText: 'Internal error',
    });
    expect(error.cause).toBeUndefined();
  }

  it('with any one bit flipped does not open', () => {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expectRefused(again(changed));
    }
  });

  it('cut at any place does not open', () => {
    for (let length = 0; length < sealed.length; length++) expectRefused(sealed.slice(0, length));
    for (let length = 0; length < bytes.length; length++) expectRefused(again(bytes.subarray(0, length)));
  });

  it.each([
    ['more after it', `${sealed}A`],
    ['whole blocks more', again(Buffer.concat([bytes, Buffer.alloc(64)]))],
    ['padding', `${sealed}=`],
    ['white space', `${sealed}\n`],
    ['another prefix', sealed.replace('v2', 'v3')],
    ['no prefix', sealed.slice(3)],
    ['a second spelling of base64', sealed.replaceAll('-', '+').replaceAll('_', '/').concat('=')],
    ['nothing at all', ''],
    ['far too much', `v2.${'A'.repeat(1_000_000)}`],
  ])('with %s does not open', (_what, text) => {
    expectRefused(text);
  });

  it('opens neither with another key nor for another grant', () => {
    expectRefused(sealed, newKey());
    for (const other of ['', `${boundTo}a`, boundTo.slice(1), 'b'.repeat(64)])
      expectRefused(sealed, key, other);
  });
});

const line = () => `${randomBytes(32).toString('base64url')}\n`;
const opensWith = (one: PasswordKey, other: PasswordKey) =>
  openPassword(other, sealPassword(one, 'secret12', '7'), '7') === 'secret12';
const failure = (code: string) => Object.assign(new Error(code), { code });

describe("a host's own key", () => {
  it('is made at the first start, for us alone, and is the same at the next', () => {
    const folder = temporaryFolder();
    const first = ownPasswordKey(folder);
    expect(readdirSync(folder)).toEqual(['password-key']);
    expect(statSync(join(folder, 'password-key')).mode & 0o777).toBe(0o600);
    const content = readFileSync(join(folder, 'password-key'), 'utf8');
    expect(opensWith(first, ownPasswordKey(folder))).toBe(true);
    expect(readFileSync(join(folder, 'password-key'), 'utf8')).toBe(content);
    expect(inspect(first, { showHidden: true, depth: 9 })).not.toContain(content.slice(0, 20));
  });

  it('is another one on every host', () => {
    const content = () => {
      const folder = temporaryFolder();
      ownPasswordKey(folder);
      return readFileSync(join(folder, 'password-key'), 'utf8');
    };
    expect(content()).not.toBe(content());
  });

  it('is that of the process which was quicker, where two start at once', () => {
    const folder = temporaryFolder();
    const path = join(folder, 'password-key');
    let quicker: PasswordKey | undefined;
    disk.before = (call) => {
      if (call !== 'link' || quicker) return;
      // The other one does all of its start between our look and our own name for the file.
      disk.before = () => undefined;
      quicker = ownPasswordKey(folder);
    };
    const content = () => readFileSync(path, 'utf8');
    const slower = ownPasswordKey(folder);
    const after = content();
    expect(opensWith(quicker ?? newKey(), slower)).toBe(true);
    expect(readdirSync(folder)).toEqual(['password-key']);
    expect(opensWith(slower, ownPasswordKey(folder))).toBe(true);
    expect(content()).toBe(after);
  });

  it('is made at a second attempt where another start has swept the unfinished file away', () => {
    const folder = temporaryFolder();
    let sweeps = 0;
    disk.before = (call, path) => {
      if (call === 'link' && sweeps++ === 0) execFileSync('rm', [String(path)]);
    };
    expect(opensWith(ownPasswordKey(folder), ownPasswordKey(folder))).toBe(true);
    expect([sweeps, readdirSync(folder)]).toEqual([2, ['password-key']]);
  });

  it.each(['write', 'fsync', 'link'] as const)('on a full disk (%s) is not made, nor half made', (full) => {
    const folder = temporaryFolder();
    disk.before = (call) => {
      if (call === full) throw failure('ENOSPC');
    };
    const error = errorOf(() => ownPasswordKey(folder));
    expect(error).toBeInstanceOf(StartError);
    expect(error.message).toBe(`the password key: cannot write ${join(folder, 'password-key')}: ENOSPC`);
    expect(readdirSync(folder)).toEqual([]);
    disk.before = () => undefined;
    ownPasswordKey(folder);
  });

  it('in a folder that is not there, or under a name that leads nowhere, is an error and no endless loop', () => {
    const folder = temporaryFolder();
    expect(errorOf(() => ownPasswordKey(join(folder, 'none'))).message).toMatch(/cannot write \S+: ENOENT$/);
    symlinkSync(join(folder, 'nowhere'), join(folder, 'password-key'));
    expect(errorOf(() => ownPasswordKey(folder)).message).toMatch(/cannot write \S+: EEXIST$/);
  });

  it('that is damaged is refused, and stays as it is', () => {
    const folder = temporaryFolder();
    const path = join(folder, 'password-key');
    writeFileSync(path, line().slice(3), { mode: 0o600 });
    const before = readFileSync(path, 'utf8');
    expect(errorOf(() => ownPasswordKey(folder)).message).toBe(
      `the password key: ${path} does not hold a key: one line of 32 bytes in base64url`,
    );
    expect(readFileSync(path, 'utf8')).toBe(before);
  });
});

describe('a key in a file of the configuration', () => {
  function keyFile(content: string | Buffer, mode = 0o600): string {
    const path = join(temporaryFolder(), 'key');
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }
  const read = (path: string) => readPasswordKey(path, 'password_key');
  const refusalOf = (path: string) => {
    const error = errorOf(() => read(path));
    expect(error).toBeInstanceOf(StartError);
    expect(error.message).toMatch(/^password_key: /);
    return error.message;
  };

  it('opens on one host what was sealed on another', () => {
    const text = line();
    expect(opensWith(read(keyFile(text)), read(keyFile(text.trimEnd(), 0o400)))).toBe(true);
    expect(opensWith(read(keyFile(text)), read(keyFile(text.replace('\n', '\r\n'))))).toBe(true);
  });

  it('may be copied from the one that a host has made for itself', () => {
    const folder = temporaryFolder();
    const own = ownPasswordKey(folder);
    linkSync(join(folder, 'password-key'), join(folder, 'copy'));
    expect(opensWith(own, read(join(folder, 'copy')))).toBe(true);
  });

  it('can be made with the documented command', () => {
    const command = 'openssl rand 32 | basenc --base64url | tr -d =';
    read(keyFile(execFileSync('sh', ['-c', command], { encoding: 'utf8' })));
  });

  const text = line().trimEnd();
  it.each([
    ['nothing', ''],
    ['a short key', text.slice(1)],
    ['a long key', `${text}A`],
    ['a padded key', `${text}=`],
    ['a key in hexadecimal', randomBytes(32).toString('hex')],
    ['two lines', `${text}\n${text}\n`],
    ['white space', ` ${text}`],
    ['bare bytes', randomBytes(32)],
    ['more than a key', 'A'.repeat(4_096)],
  ])('with %s is refused, and not quoted', (_what, content) => {
    const message = refusalOf(keyFile(content));
    expect(message).toMatch(/ does not hold a key: one line of 32 bytes in base64url$/);
    expect(message).not.toContain(text.slice(2, 12));
  });

  it('with bits left over in its last character is refused', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const other = alphabet.charAt(alphabet.indexOf(text.at(-1) ?? '') + 1);
    expect(refusalOf(keyFile(text.slice(0, -1) + other))).toContain('does not hold a key');
  });

  it.each([0o640, 0o604, 0o620, 0o644, 0o777])('of mode %o is refused', (mode) => {
    expect(refusalOf(keyFile(line(), mode))).toMatch(
      new RegExp(`has mode 0${mode.toString(8)}; group and others must not have access \\(chmod 600\\)$`),
    );
  });

  it.runIf(process.geteuid?.() === 0)('of another user is refused', () => {
    const path = keyFile(line());
    execFileSync('chown', ['12345', path]);
    expect(refusalOf(path)).toMatch(/ belongs to user 12345; it must be ours or root's$/);
  });

  it('that is missing, a folder, a pipe or far too long is refused at once', () => {
    const folder = temporaryFolder();
    expect(refusalOf(join(folder, 'none'))).toBe(`password_key: cannot read ${join(folder, 'none')}: ENOENT`);
    mkdirSync(join(folder, 'sub'), { mode: 0o700 });
    expect(refusalOf(join(folder, 'sub'))).toMatch(/ is not a file$/);
    execFileSync('mkfifo', ['-m', '0600', join(folder, 'pipe')]);
    expect(refusalOf(join(folder, 'pipe'))).toMatch(/ is not a file$/);
    expect(refusalOf(keyFile('A'.repeat(4_097)))).toMatch(/ is larger than 4096 bytes$/);
  });
});
