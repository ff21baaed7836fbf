// The audit file: one JSON line an event, opened anew on request, and never in the way of anything.
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openAudit } from '../../src/audit.ts';
import { openLog } from '../../src/log.ts';
import { temporaryFolder } from '../support/folder.ts';
import { waitFor } from '../support/wait.ts';

const lines = (file: string) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

const about = { vm: 7, user: 'alice', client: '192.0.2.1', fingerprint: 'abcdefabcdef', ref: 'REF234' };

it('goes into a file of its own, a line an event, with the time and what is known', async () => {
  const folder = temporaryFolder();
  const [file, logFile] = [join(folder, 'audit.log'), join(folder, 'x.log')];
  const log = openLog(logFile, 2);
  const audit = openAudit(file, log.logger);
  audit.audit('redeemed', about);
  audit.audit('refused', { ...about, vm: undefined, user: undefined, reason: 'token: unknown' });
  await audit.close();
  await log.close();
  const { vm, user, ...unknown } = about;
  expect(lines(file)).toEqual([
    { level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/), audit: 'redeemed', ...about },
    { level: 'info', time: expect.any(String), audit: 'refused', ...unknown, reason: 'token: unknown' },
  ]);
  expect([vm, user]).toEqual([7, 'alice']);
  // The log tells of what was opened and closed, and leaves the rest to the audit.
  expect(lines(logFile)).toEqual([
    { level: 'info', time: expect.any(String), msg: 'console opened', ...about },
  ]);
});

it('goes into the log where it has no file, one line an event', async () => {
  const logFile = join(temporaryFolder(), 'x.log');
  const log = openLog(logFile, 2);
  const audit = openAudit(undefined, log.logger);
  audit.audit('ended', { ...about, reason: 'over', bytesToBrowser: 1, bytesToTarget: 2, seconds: 3 });
  audit.audit('ended', { ...about, reason: 'no answer' }, 'warn');
  audit.reopen();
  await audit.close();
  log.logger.info('the log is still open');
  await log.close();
  expect(lines(logFile)).toMatchObject([
    { level: 'info', audit: 'ended', reason: 'over', msg: 'console closed' },
    { level: 'warn', audit: 'ended', reason: 'no answer', msg: 'console closed' },
    { msg: 'the log is still open' },
  ]);
});

it('is opened anew, and no line is lost', async () => {
  const file = join(temporaryFolder(), 'audit.log');
  const log = openLog(join(temporaryFolder(), 'x.log'), 2);
  const audit = openAudit(file, log.logger);
  audit.audit('issued', { ...about, reason: 'before' });
  await waitFor(() => lines(file).length === 1, { what: 'the first line' });
  renameSync(file, `${file}.1`);
  audit.audit('issued', { ...about, reason: 'between' });
  audit.reopen();
  audit.audit('issued', { ...about, reason: 'after' });
  await waitFor(() => existsSync(file) && lines(file).some(({ reason }) => reason === 'after'), {
    what: 'the new file',
  });
  await audit.close();
  await log.close();
  expect([...lines(`${file}.1`), ...lines(file)].map(({ reason }) => reason)).toEqual([
    'before',
    'between',
    'after',
  ]);
});

it('on a full disk is dropped, without an error and without a bound being passed', async () => {
  const log = openLog(join(temporaryFolder(), 'x.log'), 2);
  const audit = openAudit('/dev/full', log.logger);
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 50_000; i++) {
    audit.audit('refused', about);
    if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  await audit.close();
  await log.close();
});

it('a file that cannot be written is told with the name of the setting', () => {
  const log = openLog(join(temporaryFolder(), 'x.log'), 2);
  const file = join(temporaryFolder(), 'no', 'such', 'folder');
  expect(() => openAudit(file, log.logger)).toThrow(/^audit_file: cannot write .*ENOENT/);
});
