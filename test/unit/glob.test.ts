// Patterns of host names: what they match, and that no name and no pattern makes a match take long.
import { describe, expect, it } from 'vitest';
import { matchesGlob } from '../../src/transport/glob.ts';
import { matchesName, parseHostMatch } from '../../src/transport/host-match.ts';

describe('a pattern', () => {
  it.each([
    ['*', '', true],
    ['**', 'anything', true],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'a.b.example.com', true],
    ['*.example.com', '.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'a.example.com.evil', false],
    ['*.example.com', 'axexample.com', false],
    ['node?', 'node1', true],
    ['node?', 'node', false],
    ['node?', 'node12', false],
    ['?*', '', false],
    ['?*', 'a', true],
    ['*?', 'a', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'abbbc', true],
    ['a*b*c', 'acb', false],
    ['*ab', 'aab', true],
    ['*aab*', 'aaaab', true],
    ['*a?b*', 'aaxab', false],
    ['*a?b*', 'aaxb', true],
    ['*abc*abd*', 'abcabcabd', true],
    ['rack?-*-kvm*', 'rack7-a-b-kvm', true],
    ['fe80*', 'fe80::1', true],
    // Neither of a pattern's characters means more than itself.
    ['a.c*', 'abc', false],
    ['a-z*', 'b', false],
    ['node*', 'node\n', true],
    ['n?de', 'n\nde', true],
  ])('%j of %j: %s', (pattern, name, matches) => {
    expect(matchesGlob(pattern, name)).toBe(matches);
  });

  it('takes no account of case', () => {
    const match = parseHostMatch('Node*.Example.COM');
    if (match === undefined) throw new Error('no pattern');
    expect(matchesName(match, 'nODE7.eXAMPLE.com')).toBe(true);
  });
});

/** How many characters of a name are looked at. */
function looksAt(pattern: string, text: string): number {
  let looks = 0;
  class Watched extends String {
    override charCodeAt(index: number): number {
      looks++;
      return super.charCodeAt(index);
    }
  }
  expect(matchesGlob(pattern, new Watched(text) as string)).toBe(false);
  return looks;
}

describe('a name that is twice as long', () => {
  const stars = `${'*a'.repeat(120)}*b`;
  it.each([
    ['*a*a*a*a*a*a*a*a*b', 'a'],
    [stars, 'a'],
    ['*?*?*?*?*?*?*?*b', 'a'],
    ['**********************************b', 'a'],
    [`*${'a'.repeat(200)}b`, 'a'],
    [`*${'?'.repeat(200)}b*`, 'a'],
    ['*ab*ab*ab*ab*abc', 'ab'],
    ['*.*.*.*.*.*.*.example.com', 'a.'],
  ])('takes twice as long with %s, and no more', (pattern, part) => {
    const [short, long] = [2_000, 4_000].map((length) => looksAt(pattern, part.repeat(length / part.length)));
    if (short === undefined || long === undefined) throw new Error('not counted');
    expect(long / short).toBeLessThan(2.3);
    // And for each character at most once for each of the pattern's.
    expect(long).toBeLessThanOrEqual(4_001 * (pattern.length + 1));
  });
});
