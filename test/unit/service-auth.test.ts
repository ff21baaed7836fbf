// The file with the service's own session. What always holds: whoever else could read it is a reason not to start, and
// no message quotes what stands in it.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { StartError } from '../../src/errors.ts';
import { readServiceAuth } from '../../src/oned/service-auth.ts';
import { temporaryFolder } from '../support/folder.ts';

const secret = 'Zoo7ahsh9u';

function fileOf(content: string | Buffer, mode = 0o600): string {
  const path = join(temporaryFolder(), 'service_auth');
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

function problemOf(path: string): string {
  let thrown: unknown;
  try {
    readServiceAuth(path);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(StartError);
  const { message } = thrown as StartError;
  expect(message).toMatch(/^service_auth: /);
  expect(message).not.toContain(secret);
  return message.replace(path, 'FILE');
}

describe('the session', () => {
  it.each([
    [`console:${secret}\n`, `console:${secret}`],
    [`console:${secret}`, `console:${secret}`],
    [`console:${secret}\r\n`, `console:${secret}`],
    ['console:a:b::c:\n', 'console:a:b::c:'],
    [' console : x \n', ' console : x '],
    ['Größe:世界 <&>]]>\n', 'Größe:世界 <&>]]>'],
  ])('in %j is %j', (content, session) => {
    expect(readServiceAuth(fileOf(content))).toBe(session);
  });

  it('is read anew every time', () => {
    const path = fileOf('console:old\n');
    expect(readServiceAuth(path)).toBe('console:old');
    writeFileSync(path, 'console:new\n');
    expect(readServiceAuth(path)).toBe('console:new');
  });

  it('may stand behind a link', () => {
    const link = join(temporaryFolder(), 'link');
    symlinkSync(fileOf('console:x\n'), link);
    expect(readServiceAuth(link)).toBe('console:x');
  });
});

describe('refused is', () => {
  it.each([
    ['nothing', ''],
    ['an empty line', '\n'],
    ['no colon', secret],
    ['no user', `:${secret}`],
    ['no password', 'console:\n'],
  ])('%s', (_what, content) => {
    expect(problemOf(fileOf(content))).toBe('service_auth: FILE does not have the form user:password');
  });

  it.each([
    ['two lines', `console:${secret}\nadmin:${secret}\n`],
    ['an empty line at the end', `console:${secret}\n\n`],
    ['a control character', `console:${secret}\0`],
    ['a carriage return inside', `console:${secret}\rx`],
  ])('%s', (_what, content) => {
    expect(problemOf(fileOf(content))).toBe(
      'service_auth: FILE has more than one line, or control characters',
    );
  });

  it('what is no UTF-8', () => {
    const content = Buffer.from([...Buffer.from(`console:${secret}`), 0xff, 0xfe]);
    expect(problemOf(fileOf(content))).toBe('service_auth: FILE is not UTF-8');
  });

  it('a file without an end', () => {
    expect(problemOf(fileOf(`console:${secret.repeat(1000)}`))).toBe(
      'service_auth: FILE is larger than 4096 bytes',
    );
  });

  it.each([0o640, 0o604, 0o660, 0o620, 0o644, 0o610, 0o601])('a file of mode %o', (mode) => {
    expect(problemOf(fileOf(`console:${secret}\n`, mode))).toBe(
      `service_auth: FILE has mode 0${mode.toString(8)}; group and others must not have access (chmod 600)`,
    );
  });

  it.each([0o600, 0o400, 0o700])('no file of mode %o', (mode) => {
    expect(readServiceAuth(fileOf('console:x\n', mode))).toBe('console:x');
  });

  it.runIf(process.geteuid?.() === 0)("somebody else's file", () => {
    const path = fileOf(`console:${secret}\n`);
    chownSync(path, 12_345, 0);
    expect(problemOf(path)).toBe("service_auth: FILE belongs to user 12345; it must be ours or root's");
  });

  it('a file that is not there', () => {
    const path = join(temporaryFolder(), 'missing');
    expect(problemOf(path)).toBe('service_auth: cannot read FILE: ENOENT');
  });

  it('a folder', () => {
    const path = join(temporaryFolder(), 'folder');
    mkdirSync(path, { mode: 0o700 });
    expect(problemOf(path)).toBe('service_auth: FILE is not a file');
  });

  it('a pipe, at once and without waiting for a writer', () => {
    const path = join(temporaryFolder(), 'pipe');
    execFileSync('mkfifo', ['-m', '600', path]);
    expect(problemOf(path)).toBe('service_auth: FILE is not a file');
  });
});
