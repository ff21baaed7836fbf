// Files that operators install (etc/, logrotate/, nginx/), as they are, but for a list of replacements: paths,
// ports and users that belong to the host where they will run. What a replacement names must be there.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Text of the file, and what stands there in its place. */
export type Replacements = Readonly<Record<string, string>>;

const root = join(import.meta.dirname, '../..');

/** The absolute path of a file of the project. */
export function shippedPath(path: string): string {
  return join(root, path);
}

/** A shipped file with replacements; one that replaces nothing is an error, for then the file has changed. */
export function readShipped(path: string, replacements: Replacements = {}): string {
  return Object.entries(replacements).reduce(
    (text, [from, to]) => {
      if (!text.includes(from)) throw new Error(`${path} has no "${from}" any more`);
      return text.replaceAll(from, to);
    },
    readFileSync(shippedPath(path), 'utf8'),
  );
}
