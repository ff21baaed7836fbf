// Node reads what browsers send into 64 KiB that it allocates anew for every read. glibc gives the end of its heap back
// to the kernel as soon as 128 KiB of it are free, so that in a long paste every page is taken from the kernel, zeroed
// and given back again: more work than all the rest.
// What always holds: this changes how long freed memory is kept, at most 64 MiB of it, and nothing else.

/** glibc's DEFAULT_MMAP_THRESHOLD_MAX on 64 bits is 32 MiB: larger blocks do not count. Room is left for its header. */
const LARGEST_THAT_COUNTS = 32 * 1024 * 1024 - 64 * 1024;

/**
 * Lets glibc keep what is freed: when a block that has pages of its own is freed, its size becomes the new limit for
 * such blocks, and twice that the limit for free memory at the end of the heap (mallopt(3), M_MMAP_THRESHOLD). None of
 * the block's pages is ever touched. Other C libraries have no such rule, and nothing happens.
 */
export function keepFreedMemory(): void {
  new ArrayBuffer(LARGEST_THAT_COUNTS);
}
