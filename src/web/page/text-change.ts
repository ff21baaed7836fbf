// What a phone's keyboard did to a text field, told as deletions at the end followed by new characters.

/** How to get from one text to the other at its end. Characters are code points. */
export interface TextChange {
  readonly deleted: number;
  readonly inserted: string;
}

/** Compares a field before and after an input event: all after the common beginning was replaced. */
export function textChange(before: string, after: string): TextChange {
  const old = [...before];
  const now = [...after];
  let same = 0;
  while (same < old.length && same < now.length && old[same] === now[same]) same += 1;
  return { deleted: old.length - same, inserted: now.slice(same).join('') };
}
