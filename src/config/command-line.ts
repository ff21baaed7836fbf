// argv: a command, `--config FILE` any number of times, `--KEY VALUE` with underscores or hyphens, --help, --version.
import { unknownKey } from './file.js';
import { isOptionName, type OptionName, optionOf, reservedSecretNames } from './options.js';

const COMMANDS = ['serve', 'check-config', 'demo'] as const;
/** Names of commands that later versions bring. */
const RESERVED_COMMANDS = ['sessions', 'tokens', 'revoke'];

export type Command = (typeof COMMANDS)[number] | 'help' | 'version';

export interface CommandLine {
  readonly command: Command;
  readonly configFiles: readonly string[];
  readonly flags: ReadonlyMap<OptionName, string>;
  /** `demo --check`. */
  readonly check: boolean;
  readonly problems: readonly string[];
}

/** Takes argv apart, without node and script; every problem is told at once. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const configFiles: string[] = [];
  const flags = new Map<OptionName, string>();
  const problems: string[] = [];
  let command: Command | undefined;
  let special: 'help' | 'version' | undefined;
  let check = false;

  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (!word.startsWith('--')) {
      if (command !== undefined) problems.push(`one command at a time: ${word.slice(0, 40)} is too many`);
      else if (isCommand(word)) command = word;
      else problems.push(unknownCommand(word));
      continue;
    }
    const [dashed = '', inline] = splitOnce(word.slice(2), '=');
    const name = dashed.replaceAll('-', '_');
    if (name === 'help' || name === 'version') {
      special ??= name;
      continue;
    }
    if (name === 'check') {
      check = true;
      continue;
    }
    const value = inline ?? rest.shift();
    const problem = flagProblem(name, value);
    if (problem !== undefined) problems.push(problem);
    else if (name === 'config') configFiles.push(value ?? '');
    else if (isOptionName(name)) flags.set(name, value ?? '');
  }
  if (check && command !== 'demo') problems.push('--check belongs to demo');
  return { command: special ?? command ?? 'serve', configFiles, flags, check, problems };
}

function flagProblem(name: string, value: string | undefined): string | undefined {
  if (reservedSecretNames.has(name) || (isOptionName(name) && optionOf(name).secret === true)) {
    return `--${name}: a secret does not belong on the command line, where everybody can read it; use the file or the environment`;
  }
  if (name !== 'config' && !isOptionName(name))
    return `--${unknownKey(name)}`.replace('--unknown key ', 'unknown option --');
  return value === undefined || value.startsWith('--') ? `--${name} needs a value` : undefined;
}

function isCommand(word: string): word is (typeof COMMANDS)[number] {
  return (COMMANDS as readonly string[]).includes(word);
}

function unknownCommand(word: string): string {
  return RESERVED_COMMANDS.includes(word)
    ? `${word} comes with a later version`
    : `unknown command ${word.slice(0, 40)}; known: ${COMMANDS.join(', ')}`;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
