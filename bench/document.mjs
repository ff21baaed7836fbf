// @ts-check
// docs/benchmark.md: what a run measured stands between two marks. What always holds: everything outside of them was
// written by people and stays as it is.
import { readFileSync, writeFileSync } from 'node:fs';

const marks = { begin: '<!-- measured: begin -->', end: '<!-- measured: end -->' };

/**
 * @param {string} text of the whole document
 * @param {string} measured
 * @returns {string}
 */
export function replaceMeasured(text, measured) {
  const begin = text.indexOf(marks.begin);
  const end = text.indexOf(marks.end);
  if (begin === -1 || end < begin)
    throw new Error(`no place for what was measured: ${marks.begin} … ${marks.end}`);
  return `${text.slice(0, begin)}${marks.begin}\n${measured}\n${text.slice(end)}`;
}

/**
 * @param {URL} file
 * @param {string} measured
 */
export function updateDocument(file, measured) {
  writeFileSync(file, replaceMeasured(readFileSync(file, 'utf8'), measured));
}
