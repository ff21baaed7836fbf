// Answers that are given again. What always holds: the same answer as without, and a bounded number of them.
import { expect, it } from 'vitest';
import { remembered } from '../../src/remembered.ts';

it('asks once for each text, whatever the answer, and anew when it has forgotten', () => {
  const asked: string[] = [];
  const isLong = remembered<boolean | undefined>((text) => {
    asked.push(text);
    return text === '' ? undefined : text.length > 2;
  }, 3);
  for (let i = 0; i < 3; i++) expect(['', 'a', 'abc'].map(isLong)).toEqual([undefined, false, true]);
  expect(asked).toEqual(['', 'a', 'abc']);
  expect(isLong('abcd')).toBe(true);
  expect(['', 'a', 'abc'].map(isLong)).toEqual([undefined, false, true]);
  // The fourth made room for itself by forgetting all, and so did the third of the old ones.
  expect(asked).toHaveLength(7);
});
