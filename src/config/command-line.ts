// argv: a command and what belongs to it, `--config FILE` any number of times, `--KEY VALUE` with underscores or
// hyphens, --help, --version. What always holds: what might be a secret is not repeated in a message.
import { unknownKey } from './file.js';
import { isOptionName, type OptionName, optionOf } from './options.js';
import type { RevokeSelection } from './types.js';

const COMMANDS = ['serve', 'check-config', 'demo', 'sessions', 'tokens', 'revoke'] as const;

export type Command = (typeof COMMANDS)[number] | 'help' | 'version';

/** Options that are no settings, with the commands that know them. */
const commandOptions = {
  check: { of: ['demo'], takesValue: false },
  json: { of: ['sessions', 'tokens'], takesValue: false },
  vm: { of: ['revoke', 'check-config'], takesValue: true },
  user: { of: ['revoke'], takesValue: true },
  all: { of: ['revoke'], takesValue: false },
} as const satisfies Record<string, { of: readonly Command[]; takesValue: boolean }>;

type CommandOption = keyof typeof commandOptions;

/** As many as XML-RPC's `i4` has. */
const MAX_VM_ID = 2_147_483_647;
/** With the longest name a request still fits its line. */
const MAX_USER_BYTES = 512;

export interface CommandLine {
  readonly command: Command;
  readonly configFiles: readonly string[];
  readonly flags: ReadonlyMap<OptionName, string>;
  /** `demo --check`. */
  readonly check: boolean;
  /** `sessions --json`, `tokens --json`. */
  readonly json: boolean;
  /** What `revoke` means; of `check-config` the VM alone. */
  readonly selection: RevokeSelection;
  readonly problems: readonly string[];
}

/** Takes argv apart, without node and script; every problem is told at once. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const configFiles: string[] = [];
  const flags = new Map<OptionName, string>();
  const own = new Map<CommandOption, string>();
  const words: string[] = [];
  const problems: string[] = [];
  let special: 'help' | 'version' | undefined;

  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (!word.startsWith('--')) {
      words.push(word);
      continue;
    }
    const [dashed = '', inline] = splitOnce(word.slice(2), '=');
    const name = dashed.replaceAll('-', '_');
    if (name === 'help' || name === 'version') {
      special ??= name;
      continue;
    }
    const takesValue = !isCommandOption(name) || commandOptions[name].takesValue;
    const value = inline ?? (takesValue ? rest.shift() : undefined);
    const problem = isCommandOption(name)
      ? commandOptionProblem(name, value, own.has(name))
      : flagProblem(name, value);
    if (problem !== undefined) problems.push(problem);
    else if (isCommandOption(name)) own.set(name, value ?? '');
    else if (name === 'config') configFiles.push(value ?? '');
    else if (isOptionName(name)) flags.set(name, value ?? '');
  }

  const [first, ...operands] = words;
  const command = first === undefined || !isCommand(first) ? 'serve' : first;
  if (first !== undefined && !isCommand(first)) problems.push(unknownCommand(first));
  else problems.push(...misplaced(command, operands, own));
  const selection = { ...selectionOf(own), fingerprint: operands[0]?.toLowerCase() };
  if (command === 'revoke' && special === undefined && problems.length === 0) {
    problems.push(...selectionProblems(selection));
  }
  if (command === 'check-config') problems.push(...vmProblems(selection));
  return {
    command: special ?? command,
    configFiles,
    flags,
    check: own.has('check'),
    json: own.has('json'),
    selection,
    problems,
  };
}

function flagProblem(name: string, value: string | undefined): string | undefined {
  if (isOptionName(name) && optionOf(name).secret === true) {
    return `--${name}: a secret does not belong on the command line, where everybody can read it; use the file or the environment`;
  }
  if (name !== 'config' && !isOptionName(name))
    return `--${unknownKey(name)}`.replace('--unknown key ', 'unknown option --');
  return value === undefined || value.startsWith('--') ? `--${name} needs a value` : undefined;
}

function commandOptionProblem(
  name: CommandOption,
  value: string | undefined,
  again: boolean,
): string | undefined {
  if (again) return `--${name} is there twice`;
  if (!commandOptions[name].takesValue) return value === undefined ? undefined : `--${name} takes no value`;
  return value === undefined || value === '' || value.startsWith('--')
    ? `--${name} needs a value`
    : undefined;
}

/** What does not belong to the command. */
function misplaced(
  command: Command,
  operands: readonly string[],
  own: ReadonlyMap<CommandOption, string>,
): string[] {
  const problems = [...own.keys()]
    .filter((name) => !(commandOptions[name].of as readonly Command[]).includes(command))
    .map((name) => `--${name} belongs to ${commandOptions[name].of.join(' and ')}`);
  const [extra] = operands.slice(command === 'revoke' ? 1 : 0);
  if (extra !== undefined) {
    problems.push(
      command === 'revoke'
        ? 'revoke takes one fingerprint at a time'
        : `one command at a time: ${extra.slice(0, 40)} is too many`,
    );
  }
  return problems;
}

function selectionOf(own: ReadonlyMap<CommandOption, string>): RevokeSelection {
  const vm = own.get('vm');
  return {
    vm: vm === undefined ? undefined : /^\d{1,10}$/.test(vm) ? Number(vm) : Number.NaN,
    user: own.get('user'),
    all: own.has('all') ? true : undefined,
  };
}

function vmProblems({ vm }: Pick<RevokeSelection, 'vm'>): string[] {
  return vm === undefined || vm <= MAX_VM_ID ? [] : [`--vm: expected a number from 0 to ${MAX_VM_ID}`];
}

function selectionProblems({ fingerprint, vm, user, all }: RevokeSelection): string[] {
  const problems: string[] = [];
  // Not repeated: it may be a token.
  if (fingerprint !== undefined && !/^[0-9a-f]{12}$/.test(fingerprint))
    problems.push('revoke: a fingerprint has 12 hexadecimal digits, as `tokens` and the log show it');
  problems.push(...vmProblems({ vm }));
  if (user !== undefined && Buffer.byteLength(user) > MAX_USER_BYTES)
    problems.push(`--user: expected at most ${MAX_USER_BYTES} bytes`);
  const some = fingerprint !== undefined || vm !== undefined || user !== undefined;
  if (!some && all !== true)
    problems.push('revoke needs FINGERPRINT, --vm ID, --user NAME (those that fit all of them), or --all');
  if (some && all === true) problems.push('--all goes with no other choice');
  return problems;
}

function isCommand(word: string): word is (typeof COMMANDS)[number] {
  return (COMMANDS as readonly string[]).includes(word);
}

function isCommandOption(name: string): name is CommandOption {
  return Object.hasOwn(commandOptions, name);
}

function unknownCommand(word: string): string {
  return `unknown command ${word.slice(0, 40)}; known: ${COMMANDS.join(', ')}`;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
