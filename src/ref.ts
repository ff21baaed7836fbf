// The short reference that ties what a user was told to the line in the log.
import { randomInt } from 'node:crypto';

/** No 0/O, 1/I/L: it is read out on the telephone. */
const ALPHABET = '23456789ABCDEFGHJKMNPQRSTUVWXYZ';
const LENGTH = 6;

/** Six characters, random; unique enough for the log of a day, and no secret. */
export function newRef(): string {
  let ref = '';
  for (let i = 0; i < LENGTH; i++) ref += ALPHABET.charAt(randomInt(ALPHABET.length));
  return ref;
}
