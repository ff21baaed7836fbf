// A stranger's words on their way into a log or a message. What always holds: nothing in them moves a cursor, turns the
// direction of writing, or looks like another letter, and they are short.

/** ASCII that can be seen, everything else as `?`. */
export function printable(text: string, maxLength: number): string {
  return text.slice(0, maxLength).replace(/[^\x20-\x7e]/g, '?');
}
