// What Node reads into is collected young: a stream of reads makes no full collections.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';

const dist = join(import.meta.dirname, '../../dist');
const script = join(import.meta.dirname, '../support/count-collections.mjs');

it('relays a long paste without full collections', () => {
  const allocator = pathToFileURL(join(dist, 'allocator.js')).href;
  // As slowly as V8 lets a heap grow at all, which it decides by speeds that it has measured; that makes about twenty.
  const flags = ['--expose-gc', '--heap-growing-percent=1'];
  const output = execFileSync(process.execPath, [...flags, script, allocator], { encoding: 'utf8' });
  expect(JSON.parse(output).collections).toBeLessThanOrEqual(1);
});
