// Spellings of a user's name. What always holds: what MySQL finds by one another has one key.
import { describe, expect, it } from 'vitest';
import { userKey } from '../../src/console/user-key.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import { userOf } from '../../src/oned/session-string.ts';

describe('the key of a name', () => {
  it.each([
    ['capitals', 'ALICE', 'alice'],
    ['blanks at the ends', '  alice ', 'alice'],
    ['an accent', 'Zoé', 'zoe'],
    ['an accent of its own', 'Zoe\u0301', 'zoe'],
    ['two accents', 'ǖber', 'uber'],
    ['a stroke', 'Sørensen', 'sorensen'],
    ['another stroke', 'Łukasz', 'lukasz'],
    ['a sharp s', 'Strauß', 'strauss'],
    ['a long s', 'ſimon', 'simon'],
    ['a ligature', 'ﬁona', 'fiona'],
    ['two letters in one', 'Ærø', 'aero'],
    ['full width', 'ａｌｉｃｅ', 'alice'],
    ['letters in circles', 'ⓐlice', 'alice'],
    ['the Turkish capital i', 'İpek', 'ipek'],
    ['Greek accents', 'Ἀλέξανδρος', 'αλεξανδρος'],
    ['a final sigma', 'ΝΊΚΟΣ', 'νικος'],
    ['Cyrillic', 'Фёдор', 'федор'],
    ['a soft hyphen', 'ali\u00adce', 'alice'],
    ['nothing of width', 'ali\u200bce', 'alice'],
    ['a control character', 'ali\u0001ce', 'alice'],
    ['a direction', 'ali\u202ece', 'alice'],
  ])('does not know %s', (_what, one, other) => {
    expect(userKey(one)).toBe(userKey(other));
    expect(userKey(userOf(`${one}:password` as SessionString, new Set()))).toBe(userKey(other));
  });

  it.each([
    ['alice', 'alicia'],
    ['alice', 'al ice'],
    ['alice', 'аlice'],
    ['oneadmin', 'oneadm1n'],
    ['李', '季'],
    ['', 'alice'],
  ])('tells %s from %s', (one, other) => {
    expect(userKey(one)).not.toBe(userKey(other));
  });

  it('is the same for a key', () => {
    for (const name of ['Zoé', 'Strauß', 'Ærø', 'İpek', 'ｆｕｌｌ']) {
      expect(userKey(userKey(name))).toBe(userKey(name));
    }
  });
});
