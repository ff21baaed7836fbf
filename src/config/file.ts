// One configuration file: YAML with keys as `:port:` (Ruby symbols, as OpenNebula writes them) or `port:`.
// What always holds: scalars stay the text that was written; nothing is converted by YAML's own rules.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseDocument } from 'yaml';
import { causeOf } from '../errors.js';
import { isOptionName, type OptionName, optionOf } from './options.js';

/** Sunstone's own file has keys of many programs; only those marked in the option table are taken from it. */
const SUNSTONE_FILE = 'sunstone-server.conf';

export interface FileSettings {
  readonly values: ReadonlyMap<OptionName, string>;
  readonly problems: readonly string[];
  /** A bad value here is told as a warning, for the file is another program's. */
  readonly foreign: boolean;
}

/**
 * Reads a file.
 * @param mustExist a missing file is a problem; else it is an empty one
 */
export function readConfigFile(path: string, mustExist: boolean): FileSettings {
  const foreign = basename(path) === SUNSTONE_FILE;
  const values = new Map<OptionName, string>();
  const problems: string[] = [];
  let content: unknown;
  try {
    const document = parseDocument(readFileSync(path, 'utf8'), { schema: 'failsafe', uniqueKeys: !foreign });
    for (const error of document.errors)
      problems.push(`${path}: not valid YAML: ${firstLine(error.message)}`);
    if (problems.length === 0) content = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    if (mustExist || causeOf(error) !== 'ENOENT') problems.push(`${path}: cannot be read: ${causeOf(error)}`);
  }
  if (content === null || content === undefined || content === '') return { values, problems, foreign };
  if (typeof content !== 'object' || Array.isArray(content)) {
    return { values, problems: [`${path}: expected lines of the form "key: value"`], foreign };
  }
  for (const [key, value] of Object.entries(content)) {
    const name = key.replace(/^:/, '');
    if (!isOptionName(name)) {
      if (!foreign) problems.push(`${path}: ${unknownKey(name)}`);
    } else if (!foreign || optionOf(name).sunstone === true) {
      const text = foreign && isRubyNil(value) ? '' : textOf(value);
      if (text === undefined) problems.push(`${path}: ${name}: expected a value or a list of values`);
      else values.set(name, text);
    }
  }
  return { values, problems, foreign };
}

/** What to say of a name that cannot be set. */
export function unknownKey(name: string): string {
  return `unknown key ${name.slice(0, 60)}`;
}

/** Sunstone reads YAML by YAML's own rules; a list of names may well have one that is called null. */
function isRubyNil(value: unknown): boolean {
  return typeof value === 'string' && /^(null|Null|NULL)$/.test(value);
}

function textOf(value: unknown): string | undefined {
  if (value === null || value === undefined || value === '~') return '';
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(',');
  // Rules: lists of settings of their own.
  if (Array.isArray(value)) return JSON.stringify(value);
  return undefined;
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}
