// What a server says that has no security types for a browser (RFC 6143 section 7.1.2).
import { expect } from 'vitest';
import { rfbGreeting } from './vnc-target.ts';

/**
 * The reason.
 * @param data all that came from the server: its version, and no security types
 * @param typeBytes how wide the number of types is: 1, or 4 up to version 3.6
 */
export function toldInRfb(data: Buffer, typeBytes = 1): string {
  expect(data.subarray(0, 12).toString()).toBe(rfbGreeting);
  const told = data.subarray(12);
  expect([...told.subarray(0, typeBytes)]).toEqual(Array(typeBytes).fill(0));
  expect(told.readUInt32BE(typeBytes)).toBe(told.length - typeBytes - 4);
  return told.subarray(typeBytes + 4).toString();
}
