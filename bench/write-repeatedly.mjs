// @ts-check
// Sends the same block again and again, as fast as the other side takes it. What always holds: a few blocks are under
// way at most, and exactly so many bytes are sent as were asked for.

/** Enough that the kernel never waits for this process. */
const maxQueuedBytes = 1024 * 1024;

/**
 * @param {import('node:stream').Duplex} stream
 * @param {Buffer} block
 * @param {number} bytes in all; the last block may be cut
 */
export function writeRepeatedly(stream, block, bytes) {
  let left = bytes;
  const more = () => {
    while (left > 0 && stream.writable && stream.writableLength < maxQueuedBytes) {
      const part = left >= block.length ? block : block.subarray(0, left);
      left -= part.length;
      stream.write(part, more);
    }
  };
  more();
}
