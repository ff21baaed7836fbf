// Content-Encoding as portals and what stands before them write it: a table, so that the next one is a line.
import { expect, it } from 'vitest';
import { contentCoding } from '../../src/rpc/content-coding.ts';

it.each([
  [undefined, 'identity'],
  ['', 'identity'],
  [' ', 'identity'],
  [',', 'identity'],
  ['identity', 'identity'],
  ['utf-8', 'identity'],
  ['UTF-8', 'identity'],
  ['utf8', 'identity'],
  ['us-ascii', 'identity'],
  ['8bit', 'identity'],
  ['utf-8, identity', 'identity'],
  ['gzip', 'gzip'],
  ['GZIP', 'gzip'],
  ['x-gzip', 'gzip'],
  ['gzip, utf-8', 'gzip'],
  ['identity, deflate', 'deflate'],
  ['br', 'br'],
  ['gzip, gzip', 'gzip, gzip'],
  ['zstd', 'zstd'],
  ['compress', 'compress'],
  ['utf-16', 'utf-16'],
  ['iso-8859-1', 'iso-8859-1'],
  ['constructor', 'constructor'],
  ['aes128gcm', 'aes128gcm'],
])('%j is read as %s', (header, coding) => {
  expect(contentCoding(header)).toBe(coding);
});
