// The file of keys for sealed tokens. What always holds: a file that others could read, or a line that is no key, is
// refused with the setting, the line and the reason, and never with a byte of a key.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { StartError } from '../../src/errors.ts';
import { importKeys, readSealedKeys } from '../../src/tokens/sealed/keys.ts';
import { temporaryFolder } from '../support/folder.ts';

const newKey = () => randomBytes(32).toString('base64url');

function keysFile(content: string | Uint8Array, mode = 0o600): string {
  const path = join(temporaryFolder(), 'keys');
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function refusalOf(path: string): string {
  try {
    readSealedKeys(path);
  } catch (error) {
    expect(error).toBeInstanceOf(StartError);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

describe('a file of keys', () => {
  it('is read with its comments, blank lines and line ends, the first key first', async () => {
    const [first, second] = [newKey(), newKey()];
    const file = keysFile(`# ours\r\n\r\n 2026-11\t${first}  # since November\r\n2026.10_a   ${second}`);
    const read = readSealedKeys(file);
    expect([...read].map(([id, bytes]) => [id, Buffer.from(bytes).toString('base64url')])).toEqual([
      ['2026-11', first],
      ['2026.10_a', second],
    ]);
    const keys = await importKeys(read);
    expect(keys.sealing.id).toBe('2026-11');
    expect([...keys.opening.keys()]).toEqual(['2026-11', '2026.10_a']);
    expect(keys.sealing.key.extractable).toBe(false);
    expect(keys.decoy).not.toBe(keys.sealing.key);
  });

  it('takes a line that the documented command has made', () => {
    const command = `printf '%s %s\\n' 2026-11 "$(openssl rand 32 | basenc --base64url | tr -d =)"`;
    const line = execFileSync('sh', ['-c', command], { encoding: 'utf8' });
    expect([...readSealedKeys(keysFile(line)).keys()]).toEqual(['2026-11']);
  });

  it('takes sixteen keys, and not seventeen', () => {
    const lines = Array.from({ length: 17 }, (_, index) => `k${index} ${newKey()}`);
    expect(readSealedKeys(keysFile(lines.slice(0, 16).join('\n'))).size).toBe(16);
    expect(refusalOf(keysFile(lines.join('\n')))).toMatch(/^sealed_keys: \S+ line 17: more than 16 keys$/);
  });

  const key = newKey();
  // 43 characters hold two bits more than 32 bytes; the last character of a canonical text has them at zero.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const otherEnd = alphabet.charAt(alphabet.indexOf(key.at(-1) ?? '') + 1);

  it.each([
    ['a key without id', key],
    ['an id without key', 'one'],
    ['a short key', `one ${randomBytes(31).toString('base64url')}`],
    ['a long key', `one ${randomBytes(33).toString('base64url')}`],
    ['a padded key', `one ${key}=`],
    ['a key with bits left over', `one ${key.slice(0, -1)}${otherEnd}`],
    ['a key in hexadecimal', `one ${randomBytes(32).toString('hex')}`],
    ['a key in plain base64', `one ${Buffer.alloc(32, 0xfb).toString('base64').slice(0, 43)}`],
    ['a third word', `one ${key} more`],
    ['an id with a quote', `o"e ${key}`],
    ['an id with a backslash', `o\\ne ${key}`],
    ['an id of 33 characters', `${'i'.repeat(33)} ${key}`],
    ['an id that is there already', `zero ${key}`],
    ['a key that is there already', `one ${newKey()}\n# and again\ntwo KEY`],
  ])('with %s is refused by its line', (_what, content) => {
    const zero = newKey();
    const text = `zero ${zero}\n${content.replace('KEY', zero)}\n`;
    const line = text.trimEnd().split('\n').length;
    const path = keysFile(text);
    const message = refusalOf(path);
    expect(message).toMatch(new RegExp(`^sealed_keys: ${path} line ${line}: `));
    for (const word of text.split(/\s+/).filter((one) => one.length > 20)) {
      expect(message).not.toContain(word.slice(0, 8));
    }
  });

  it.each([
    ['nothing', ''],
    ['comments alone', '# no key yet\n\n'],
  ])('with %s is refused', (_what, content) => {
    expect(refusalOf(keysFile(content))).toMatch(/^sealed_keys: \S+ holds no key$/);
  });

  it('of bytes that are no text is refused by its line, without them', () => {
    expect(refusalOf(keysFile(randomBytes(300)))).toMatch(/^sealed_keys: \S+ line \d+: expected a key id /);
  });

  it.each([0o640, 0o604, 0o620, 0o644, 0o777, 0o610])('of mode %o is refused', (mode) => {
    expect(refusalOf(keysFile(`one ${newKey()}`, mode))).toMatch(
      new RegExp(
        `^sealed_keys: \\S+ has mode 0${mode.toString(8)}; group and others must not have access \\(chmod 600\\)$`,
      ),
    );
  });

  it.each([0o600, 0o400, 0o700])('of mode %o is taken', (mode) => {
    expect(readSealedKeys(keysFile(`one ${newKey()}`, mode)).size).toBe(1);
  });

  it.runIf(process.geteuid?.() === 0)('of another user is refused, of root is taken', () => {
    const path = keysFile(`one ${newKey()}`);
    expect(readSealedKeys(path).size).toBe(1);
    execFileSync('chown', ['12345', path]);
    expect(refusalOf(path)).toMatch(/^sealed_keys: \S+ belongs to user 12345; it must be ours or root's$/);
  });

  it('that is missing, a folder, a pipe or far too long is refused, at once', () => {
    const folder = temporaryFolder();
    expect(refusalOf(join(folder, 'none'))).toBe(`sealed_keys: cannot read ${join(folder, 'none')}: ENOENT`);
    mkdirSync(join(folder, 'sub'), { mode: 0o700 });
    expect(refusalOf(join(folder, 'sub'))).toBe(`sealed_keys: ${join(folder, 'sub')} is not a file`);
    execFileSync('mkfifo', ['-m', '0600', join(folder, 'pipe')]);
    expect(refusalOf(join(folder, 'pipe'))).toBe(`sealed_keys: ${join(folder, 'pipe')} is not a file`);
    expect(refusalOf(keysFile('#'.repeat(65_537)))).toMatch(/is larger than 65536 bytes$/);
  });
});
