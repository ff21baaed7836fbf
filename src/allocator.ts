// How glibc and V8 keep memory, where their own way is dear for a relay: Node reads what browsers send, and what comes by
// TLS, into 64 KiB that it allocates anew for every read, and consoles come and go.
// What always holds: this changes how long freed memory is kept, and nothing else.
import { setFlagsFromString } from 'node:v8';

/** glibc's DEFAULT_MMAP_THRESHOLD_MAX on 64 bits is 32 MiB: larger blocks do not count. Room is left for its header. */
const LARGEST_THAT_COUNTS = 32 * 1024 * 1024 - 64 * 1024;

/** Per cent of what lives after a full collection that may be allocated before the next. */
const HEAP_GROWTH = 200;

/** 23 days, about the longest that V8's number holds. */
const NEVER_MS = 2_000_000_000;

/**
 * V8's names, as of Node 20 to 26; one that a later V8 does not know is told on standard error, and no harm. In Node 24 a
 * paste makes full collections all the same.
 */
const HEAP_FLAGS = [
  `--heap-growing-percent=${HEAP_GROWTH}`,
  `--gc-memory-reducer-start-delay-ms=${NEVER_MS}`,
];

/** To be called once in a process, before anything large is loaded: at its first full collection V8 plans ahead. */
export function keepFreedMemory(): void {
  keepFreedPages();
  keepHeap();
}

/**
 * glibc gives the end of its heap back to the kernel as soon as 128 KiB of it are free, so that in a long paste every
 * page is taken from the kernel, zeroed and given back again: more work than all the rest. When a block that has pages
 * of its own is freed, its size becomes the new limit for such blocks, and twice that, 64 MiB, the limit for free memory
 * at the end of the heap (mallopt(3), M_MMAP_THRESHOLD). None of the block's pages is ever touched. Other C libraries
 * have no such rule, and nothing happens.
 */
function keepFreedPages(): void {
  new ArrayBuffer(LARGEST_THAT_COUNTS);
}

/**
 * V8 counts the memory of a read as its heap's until the next scavenge, which comes with every 32 MiB of it. The limit
 * for a full collection is what lived after the last one and as little as 24 MiB (8 MiB and the young generation), where
 * few objects are allocated in a second. With 22 MiB alive it is reached before every scavenge: a full collection for
 * every 32 MiB relayed, which costs as much again as relaying them.
 *
 * When nothing happens for some seconds, V8's memory reducer makes a heap as small as it can. While no console is open
 * that takes the shapes of all their objects with it, and compiled code that relies on them: the next thousands of
 * consoles cost twice as much to open. Whether there is a reducer is settled before any script runs, but when it starts
 * only at the first full collection. For that an idle process keeps its garbage, some 40 MB, until it is busy again.
 */
function keepHeap(): void {
  for (const flag of HEAP_FLAGS) setFlagsFromString(flag);
}
