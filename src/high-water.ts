// How much may wait, in one place. A session that is stuck on either side holds about this and no more.

/** One read from a target at most; it waits where it is while its browser is slow. */
export const LARGE_READ_BYTES = 256 * 1024;

/** What a silent session keeps to read into: the echo of a key fits, a picture begins. */
export const SMALL_READ_BYTES = 1024;

/** What may wait for a slow target before its browser is no longer read; one read of the browser comes on top. */
export const TARGET_QUEUE_BYTES = 256 * 1024;

/** The same in pieces, each of which costs a little: small ones weigh more than their bytes. */
export const QUEUED_PIECES = 1024;

/** What a browser may send before its target is there; noVNC sends nothing before the greeting. */
export const EARLY_BYTES = 64 * 1024;
