// As much of a pixel format as the length of a rectangle depends on (RFC 6143 section 7.4).
// What always holds: only the three sizes that the protocol knows come out of it.
import { RfbViolation } from './client-violation.js';

export const PIXEL_FORMAT_BYTES = 16;

/** @param format 16 bytes @returns 1, 2 or 4 @throws RfbViolation */
export function bytesPerPixel(format: Buffer): number {
  const bits = format.readUInt8(0);
  if (bits !== 8 && bits !== 16 && bits !== 32) throw new RfbViolation(`a pixel format of ${bits} bits`);
  return bits / 8;
}
