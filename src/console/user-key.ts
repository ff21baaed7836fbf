// Which spellings of a user's name count as one, for limits and turns. What always holds: what a database of oned's may
// find by one another is one here; two users who are thrown together share limits, and nothing else.
import { remembered } from '../remembered.js';

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz', 'ae', 'oe', 'ss', 'th'];

/** Of Unicode's collation (UTS 10), which MySQL's collations are made from: what differs in more than accents and case. */
const { compare } = new Intl.Collator('und', { sensitivity: 'base' });

/** Marks, and what is not seen: format and control characters, those that `userOf` has written out among them. */
const UNSEEN = /[\p{M}\p{Cf}\p{Cc}]|\\u\{[\da-f]{1,6}\}/gu;
const NOT_ASCII = /[^\0-\x7f]/gu;

/** ø, ł, ß: letters that Unicode does not take apart, but a collation finds by plain ones. */
const plainLetter = remembered((letter) => LETTERS.find((plain) => compare(letter, plain) === 0) ?? letter);

/** MySQL's default collations compare so: capitals, accents, width and blanks at the ends make no new name there. */
export function userKey(name: string): string {
  const letters = name.normalize('NFKD').replace(UNSEEN, '').toUpperCase().toLowerCase();
  return letters.normalize('NFKD').replace(UNSEEN, '').replace(NOT_ASCII, plainLetter).trim();
}
