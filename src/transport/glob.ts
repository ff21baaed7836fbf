// Patterns of host names with `*` (any characters, also none) and `?` (one).
// What always holds: a match takes time in proportion to the length of the name, whatever stands in the pattern: nothing
// that has been matched before a star is ever tried again.

const STAR = 42;
const QUESTION_MARK = 63;

/** @param pattern @param name both in small letters */
export function matchesGlob(pattern: string, name: string): boolean {
  let [at, inPattern] = [0, 0];
  // Where to go on when what follows the last star does not fit.
  let [afterStar, retryAt] = [-1, 0];
  while (at < name.length) {
    const wanted = inPattern < pattern.length ? pattern.charCodeAt(inPattern) : undefined;
    if (wanted === STAR) {
      afterStar = ++inPattern;
      retryAt = at;
    } else if (wanted !== undefined && (wanted === QUESTION_MARK || wanted === name.charCodeAt(at))) {
      inPattern++;
      at++;
    } else if (afterStar >= 0) {
      inPattern = afterStar;
      at = ++retryAt;
    } else {
      return false;
    }
  }
  while (inPattern < pattern.length && pattern.charCodeAt(inPattern) === STAR) inPattern++;
  return inPattern === pattern.length;
}
