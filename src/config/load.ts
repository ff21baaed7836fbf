// The settings of this process: files, then the environment, then the command line, later over earlier.
// The only place that reads process.env.
import { join } from 'node:path';
import { readConfigFile, unknownKey } from './file.js';
import { environmentForWorkers, nodeEnvironmentProblems } from './node-environment.js';
import { isOptionName, type OptionName, optionNames, type Settings } from './options.js';
import { controlSocketProblems, type SettingText, validate } from './validate.js';

const ENV_PREFIX = 'VNCTOKEN_';

const WITHOUT_SERVICE_AUTH =
  'service_auth is not set: tokens and open consoles outlive a loss of rights, a disabled or deleted user and the VM itself; consoles do not follow a migration; VNC passwords that OpenNebula encrypts cannot be read';

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
  /** What is as it should be, and has its price: told at a start and by check-config. */
  readonly notes: readonly string[];
  /** Absolute path of the folder for state: `/var/lib/one`, or below `ONE_LOCATION`. */
  readonly stateFolder: string;
  /** Absolute path of OpenNebula's configuration: `/etc/one`, or below `ONE_LOCATION`. */
  readonly etcFolder: string;
  /** Absolute path of the Unix socket for commands: `control_socket`, or its default. */
  readonly controlSocket: string;
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

/** What of it workers do not inherit: see environmentForWorkers(). */
export function workerEnvironment(): Record<string, undefined> {
  return environmentForWorkers(process.env);
}

/**
 * Reads and checks all sources.
 * @throws ConfigError with every problem
 */
export function loadSettings(sources: SettingSources): Loaded {
  const { texts, problems } = gather(sources);
  const checked = validate(texts);
  problems.push(...checked.problems, ...nodeEnvironmentProblems(sources.env));
  if (problems.length > 0) throw new ConfigError(problems);
  const oneLocation = oneLocationOf(sources.env);
  return {
    settings: checked.settings,
    sources: new Map([...texts].map(([name, { source }]) => [name, source])),
    texts: new Map([...texts].map(([name, { text }]) => [name, text])),
    warnings: [...unknownVariables(sources.env), ...checked.warnings],
    notes: checked.settings.service_auth === undefined ? [WITHOUT_SERVICE_AUTH] : [],
    stateFolder: oneLocation === '' ? '/var/lib/one' : join(oneLocation, 'var'),
    etcFolder: etcFolderOf(oneLocation),
    controlSocket: controlSocketPath(checked.settings.control_socket, oneLocation),
  };
}

/**
 * Where a running service takes commands. No other setting is checked: the service may have some of them, secrets
 * above all, from an environment that whoever gives a command does not have.
 * @throws ConfigError where the sources cannot be read, or the setting is wrong
 */
export function findControlSocket(sources: SettingSources): string {
  const { texts, problems } = gather(sources);
  const given = texts.get('control_socket')?.text.trim();
  const set = given === '' ? undefined : given;
  problems.push(...controlSocketProblems(set));
  if (problems.length > 0) throw new ConfigError(problems);
  return controlSocketPath(set, oneLocationOf(sources.env));
}

/** The text of every setting that is made somewhere; the last source counts. */
function gather({ configFiles, flags, env }: SettingSources) {
  const oneLocation = oneLocationOf(env);
  const etc = etcFolderOf(oneLocation);
  const files =
    configFiles.length > 0
      ? configFiles
      : [join(etc, 'sunstone-server.conf'), join(etc, 'vnctoken-server.conf')];
  const texts = new Map<OptionName, SettingText>();
  const problems: string[] = [];
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
  for (const [name, text] of flags) texts.set(name, { text, source: `--${name}`, foreign: false });
  return { texts, problems };
}

function oneLocationOf(env: SettingSources['env']): string {
  return env['ONE_LOCATION'] ?? '';
}

function etcFolderOf(oneLocation: string): string {
  return oneLocation === '' ? '/etc/one' : join(oneLocation, 'etc');
}

/** A folder of its own, for nothing else is to be in there. */
function controlSocketPath(set: string | undefined, oneLocation: string): string {
  if (set !== undefined) return set;
  return oneLocation === ''
    ? '/run/vnctoken/control.sock'
    : join(oneLocation, 'var/vnctoken-run/control.sock');
}

/** A typing mistake is told, but not an error: other programs put names into the environment too. */
function unknownVariables(env: SettingSources['env']): string[] {
  return Object.keys(env)
    .filter((key) => key.startsWith(ENV_PREFIX))
    .map((key) => ({ key, name: key.slice(ENV_PREFIX.length).toLowerCase() }))
    .filter(({ name }) => !isOptionName(name))
    .map(({ key, name }) => `${key} in the environment: ${unknownKey(name)}`);
}
