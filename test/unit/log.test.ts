// The log's second fence: fields that have a secret's name are not written, wherever they stand.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openLog } from '../../src/log.ts';
import { temporaryFolder } from '../support/folder.ts';

it('writes no field with the name of a secret, and everything else as it is', async () => {
  const file = join(temporaryFolder(), 'x.log');
  const { logger, close } = openLog(file, 2);
  const fields = {
    ref: 'ABC',
    token: 'secret1',
    target: { host: 'h', port: 1, passwd: 'secret2' },
    list: ['a'],
  };
  logger.info(fields, 'a line');
  logger.debug('not at this level');
  await close();
  const line = JSON.parse(readFileSync(file, 'utf8'));
  expect(line).toMatchObject({ level: 'info', ref: 'ABC', list: ['a'], msg: 'a line', token: '[secret]' });
  expect(line.target).toEqual({ host: 'h', port: 1, passwd: '[secret]' });
  expect(fields.token).toBe('secret1');
});

it('writes every line of a burst, whole and in order, also one that is longer than what is written at a time', async () => {
  const file = join(temporaryFolder(), 'x.log');
  const { logger, close } = openLog(file, 2);
  for (let number = 0; number < 2_000; number++) logger.info({ number, text: 'ä'.repeat(100) }, 'a line');
  logger.info({ number: 2_000, text: 'x'.repeat(100_000) }, 'a long line');
  logger.info({ number: 2_001 }, 'the last line');
  await close();
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line).number)).toEqual(Array.from({ length: 2_002 }, (_, i) => i));
});

it('drops what is logged after its end, and throws nothing at anybody', async () => {
  const file = join(temporaryFolder(), 'x.log');
  const { logger, close } = openLog(file, 2);
  logger.info('in time');
  await close();
  logger.info('too late');
  // Vitest fails the run for what is thrown with nobody there to catch it.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(readFileSync(file, 'utf8').match(/in time|too late/g)).toEqual(['in time']);
});
