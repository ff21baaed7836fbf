// The settings of this process: files, then the environment, then the command line, later over earlier.
// The only place that reads process.env.
import { join } from 'node:path';
import { readConfigFile, unknownKey } from './file.js';
import { isOptionName, type OptionName, optionNames, type Settings } from './options.js';
import { type SettingText, validate } from './validate.js';

const ENV_PREFIX = 'VNCTOKEN_';

export interface SettingSources {
  /** Values of `--config`; none: the two default files. */
  readonly configFiles: readonly string[];
  /** Values of `--KEY`. */
  readonly flags: ReadonlyMap<OptionName, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Loaded {
  readonly settings: Settings;
  /** Where each setting that is not a default was written. */
  readonly sources: ReadonlyMap<OptionName, string>;
  /** Text of each setting that is not a default, for `check-config`. */
  readonly texts: ReadonlyMap<OptionName, string>;
  readonly warnings: readonly string[];
  /** Absolute path of the folder for state: `/var/lib/one`, or below `ONE_LOCATION`. */
  readonly stateFolder: string;
}

/** The configuration is wrong; `problems` has every reason, one line each. Exit code 2. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** The environment of this process. */
export function processEnvironment(): SettingSources['env'] {
  return process.env;
}

/**
 * Reads and checks all sources.
 * @throws ConfigError with every problem
 */
export function loadSettings({ configFiles, flags, env }: SettingSources): Loaded {
  const oneLocation = env['ONE_LOCATION'] ?? '';
  const etc = oneLocation === '' ? '/etc/one' : join(oneLocation, 'etc');
  const files =
    configFiles.length > 0
      ? configFiles
      : [join(etc, 'sunstone-server.conf'), join(etc, 'vnctoken-server.conf')];
  const texts = new Map<OptionName, SettingText>();
  const problems: string[] = [];
  const warnings: string[] = [];

  for (const path of files) {
    const file = readConfigFile(path, configFiles.length > 0);
    problems.push(...file.problems);
    for (const [name, text] of file.values) texts.set(name, { text, source: path, foreign: file.foreign });
  }
  for (const name of optionNames) {
    const text = env[ENV_PREFIX + name.toUpperCase()];
    if (text !== undefined)
      texts.set(name, { text, source: ENV_PREFIX + name.toUpperCase(), foreign: false });
  }
  warnings.push(...unknownVariables(env));
  for (const [name, text] of flags) texts.set(name, { text, source: `--${name}`, foreign: false });

  const checked = validate(texts);
  problems.push(...checked.problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    settings: checked.settings,
    sources: new Map([...texts].map(([name, { source }]) => [name, source])),
    texts: new Map([...texts].map(([name, { text }]) => [name, text])),
    warnings: [...warnings, ...checked.warnings],
    stateFolder: oneLocation === '' ? '/var/lib/one' : join(oneLocation, 'var'),
  };
}

/** A typing mistake is told, but not an error: other programs put names into the environment too. */
function unknownVariables(env: SettingSources['env']): string[] {
  return Object.keys(env)
    .filter((key) => key.startsWith(ENV_PREFIX))
    .map((key) => ({ key, name: key.slice(ENV_PREFIX.length).toLowerCase() }))
    .filter(({ name }) => !isOptionName(name))
    .map(({ key, name }) => `${key} in the environment: ${unknownKey(name)}`);
}
