// Run by a test as a process of its own: a heap of some 25 MB, through which 1.3 GB of reads pass as they do in a paste.
// Prints how many full collections that took. The argument: the module that keeps freed memory.
import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';

const READS = 20_000;
const READ_BYTES = 64 * 1024;
/** perf_hooks.constants.NODE_PERFORMANCE_GC_MAJOR */
const MAJOR = 4;

const [, , allocator] = process.argv;
(await import(allocator)).keepFreedMemory();

let collections = 0;
new PerformanceObserver((list) => {
  collections += list.getEntries().filter(({ detail }) => detail.kind === MAJOR).length;
}).observe({ entryTypes: ['gc'] });

const alive = Array.from({ length: 160_000 }, (_none, index) => ({ index, pair: [index, index] }));
for (let i = 0; i < 3; i++) {
  globalThis.gc();
  await sleep(20);
}
collections = 0;
for (let i = 0; i < READS; i++) {
  new ArrayBuffer(READ_BYTES);
  if (i % 50 === 0) await turn();
}
await sleep(50);
process.stdout.write(JSON.stringify({ collections, alive: alive.length }));
