// The token itself. What always holds: 25 characters of 36, each as likely as the others, so a little over 128 bits;
// its names are parts of its SHA-256.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  fingerprint,
  hashToken,
  hasTokenForm,
  isSealedForm,
  newToken,
  type Token,
} from '../../src/tokens/token.ts';

describe('a new token', () => {
  const tokens = Array.from({ length: 20_000 }, newToken);

  it('has the promised form, and 128 bits', () => {
    for (const token of tokens) expect(token).toMatch(/^[a-z0-9]{25}$/);
    expect(25 * Math.log2(36)).toBeGreaterThan(128);
    expect(tokens.every(hasTokenForm)).toBe(true);
  });

  it('is never the same', () => {
    expect(new Set(tokens).size).toBe(tokens.length);
  });

  it('has every character as often as the others, at every place', () => {
    const counts = Array.from({ length: 25 }, () => new Map<string, number>());
    for (const token of tokens)
      [...token].forEach((character, place) => {
        counts[place]?.set(character, (counts[place]?.get(character) ?? 0) + 1);
      });
    const expected = tokens.length / 36;
    for (const atPlace of counts) {
      expect(atPlace.size).toBe(36);
      // Eight standard deviations: once in some 10^12 runs by chance. A byte modulo 36 would be off by 14 %.
      for (const count of atPlace.values())
        expect(Math.abs(count - expected)).toBeLessThan(8 * Math.sqrt(expected));
    }
    const overall = new Map<string, number>();
    for (const atPlace of counts)
      for (const [character, count] of atPlace) overall.set(character, (overall.get(character) ?? 0) + count);
    for (const count of overall.values()) expect(Math.abs(count / (expected * 25) - 1)).toBeLessThan(0.07);
  });
});

describe('the form of a token', () => {
  it.each([
    ['a'.repeat(25), true],
    ['0'.repeat(128), true],
    ['a'.repeat(24), false],
    ['a'.repeat(129), false],
    ['A'.repeat(25), false],
    [`${'a'.repeat(25)}\n`, false],
    [`${'a'.repeat(25)}.`, false],
    [`../${'a'.repeat(25)}`, false],
    ['', false],
  ])('%j: %s', (text, has) => {
    expect(hasTokenForm(text)).toBe(has);
  });
});

describe('the form of a sealed token', () => {
  const header = 'eyJhbGciOiJkaXIifQ';
  const [iv, tag] = ['i'.repeat(16), 't'.repeat(22)];

  it.each([
    ['of five parts, the second one empty', `${header}..${iv}.c.${tag}`, true],
    ['of 2,048 characters', `${header}..${iv}.${'c'.repeat(1988)}.${tag}`, true],
    ['of 2,049 characters', `${header}..${iv}.${'c'.repeat(1989)}.${tag}`, false],
    ['with an encrypted key', `${header}.k.${iv}.c.${tag}`, false],
    ['of three parts', `${header}.c.${tag}`, false],
    ['of six parts', `${header}..${iv}.c.${tag}.`, false],
    ['without a header', `..${iv}.c.${tag}`, false],
    ['without a ciphertext', `${header}..${iv}..${tag}`, false],
    ['with a short IV', `${header}..${iv.slice(1)}.c.${tag}`, false],
    ['with a short tag', `${header}..${iv}.c.${tag.slice(1)}`, false],
    ['with padding', `${header}=..${iv}.c.${tag}`, false],
    ['with a character of plain base64', `${header}..${iv}.+.${tag}`, false],
    ['with a line feed', `${header}..${iv}.c.${tag}\n`, false],
    ['of a plain token', 'a'.repeat(25), false],
    ['of nothing', '', false],
  ])('%s', (_what, text, has) => {
    expect(isSealedForm(text)).toBe(has);
    expect(hasTokenForm(text)).toBe(has || /^[a-z0-9]{25}$/.test(text));
  });

  it('is told in no time, however long a text is', () => {
    const start = performance.now();
    for (const text of ['a'.repeat(1_000_000), '.'.repeat(1_000_000), `${'a.'.repeat(1000)}`]) {
      expect(isSealedForm(text)).toBe(false);
    }
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('the names of a token', () => {
  it('are its SHA-256 and the first twelve digits of that', () => {
    const token = 'abcdefghijklmnopqrstuvwxy' as Token;
    const hash = createHash('sha256').update(token).digest('hex');
    expect(hashToken(token)).toBe(hash);
    expect(fingerprint(hashToken(token))).toBe(hash.slice(0, 12));
  });
});
