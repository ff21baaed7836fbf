// From the texts of all sources to typed settings. What always holds: every problem is found and told at once.
import { isAbsolute } from 'node:path';
import { frameAncestor } from '../origin.js';
import { parseTargetRules } from '../transport/parse-rules.js';
import { type OptionName, optionNames, optionOf, type Settings } from './options.js';
import { MAX_SOCKET_PATH_BYTES } from './types.js';

/** The text of a setting and where it was written, for messages. */
export interface SettingText {
  readonly text: string;
  readonly source: string;
  /** From another program's file: a bad value is a warning and the default holds. */
  readonly foreign: boolean;
}

export interface Validated {
  readonly settings: Settings;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** Turns texts into settings; where there are problems, the settings are not to be used. */
export function validate(texts: ReadonlyMap<OptionName, SettingText>): Validated {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  const warnings: string[] = [];
  for (const name of optionNames) {
    const given = texts.get(name);
    const result = given === undefined ? undefined : parseOption(name, given.text);
    if (given !== undefined && result !== undefined && 'problem' in result) {
      const problem = `${given.source}: ${name}: ${result.problem}`;
      if (given.foreign) warnings.push(`${problem}; the default is used`);
      else problems.push(problem);
    }
    values[name] = result !== undefined && 'value' in result ? result.value : defaultOf(name);
  }
  const settings = values as Settings;
  const isSet = (name: OptionName) => {
    const given = texts.get(name);
    if (given === undefined || given.foreign || given.text.trim() === '') return false;
    return given.text.trim() !== optionOf(name).default;
  };
  return {
    settings,
    problems: [...problems, ...contradictions(settings)],
    warnings: [
      ...warnings,
      ...withoutWord(settings),
      ...withoutEffect(settings, isSet),
      ...unproven(settings),
    ],
  };
}

function parseOption(name: OptionName, text: string): { value: unknown } | { problem: string } {
  const result = optionOf(name).type.safeParse(text);
  if (result.success) return { value: result.data };
  // An empty value says "as if the line were not there", except for lists, which may be empty.
  if (text.trim() === '') return { value: defaultOf(name) };
  return { problem: result.error.issues[0]?.message ?? 'bad value' };
}

function defaultOf(name: OptionName): unknown {
  const option = optionOf(name);
  return option.default === undefined ? undefined : option.type.parse(option.default);
}

/** What no setting shows alone. */
function contradictions(settings: Settings): string[] {
  const problems: string[] = [];
  const { vnc_proxy_support_wss: wss, vnc_proxy_port: proxy } = settings;
  if (wss !== 'no' && proxy.kind !== 'off') {
    if (settings.vnc_proxy_cert === undefined)
      problems.push(`vnc_proxy_support_wss: ${wss} needs vnc_proxy_cert`);
  }
  const samePort = proxy.kind !== 'off' && proxy.port !== 0 && proxy.port === settings.port;
  if (samePort && (proxy.kind === 'port' || proxy.host === settings.host)) {
    problems.push(`vnc_proxy_port and port are both ${settings.port}`);
  }
  if (settings.console_ports.length === 0) problems.push('console_ports: no port is allowed');
  const { default_console_port: missing, console_ports: allowed } = settings;
  if (missing !== undefined && !allowed.some(({ first, last }) => missing >= first && missing <= last)) {
    problems.push(`default_console_port: ${missing} is not in console_ports`);
  }
  return [
    ...problems,
    ...storeContradictions(settings),
    ...vncContradictions(settings),
    ...controlSocketProblems(settings.control_socket),
  ];
}

/** What a store needs, and what it cannot do. */
function storeContradictions(settings: Settings): string[] {
  const problems: string[] = [];
  const { token_store: store, redis_url, sealed_keys, token_sessions, bind_client } = settings;
  if (store === 'redis' && redis_url === undefined) problems.push('token_store: redis needs redis_url');
  if (store === 'sealed') {
    if (sealed_keys === undefined) problems.push('token_store: sealed needs sealed_keys');
    // No other host remembers a sealed token's use.
    if (token_sessions !== 'shared') problems.push('token_store: sealed needs token_sessions: shared');
    if (bind_client !== 'no') problems.push('token_store: sealed needs bind_client: no');
  }
  return problems;
}

/** What the service can do only where it answers the VNC server, and what it needs for that. */
function vncContradictions(settings: Settings): string[] {
  const problems: string[] = [];
  const { vnc_auth: auth, password_key: passwordKey, token_store: store } = settings;
  if (auth === 'proxy' && (store === 'redis' || store === 'sealed') && passwordKey === undefined) {
    problems.push(`vnc_auth: proxy with token_store: ${store} needs password_key, the same on all hosts`);
  }
  if (auth === 'pass' && settings.clipboard !== 'both') problems.push('clipboard needs vnc_auth: proxy');
  if (auth === 'pass' && settings.view_only_without_manage) {
    problems.push('view_only_without_manage needs vnc_auth: proxy');
  }
  if (auth === 'pass' && parseTargetRules(settings.targets).some(({ require }) => require.length > 0)) {
    problems.push('targets: require needs vnc_auth: proxy');
  }
  return problems;
}

/** @param path undefined: the default. @returns what is wrong with it */
export function controlSocketProblems(path: string | undefined): string[] {
  if (path === undefined) return [];
  const fits = isAbsolute(path) && !path.includes('\0') && Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES;
  return fits ? [] : [`control_socket: expected an absolute path of at most ${MAX_SOCKET_PATH_BYTES} bytes`];
}

/**
 * Settings that somebody made and that change nothing: with Redis forgotten, hosts would not know each other's tokens.
 * @param isSet whether somebody made it, other than for Sunstone, and not as it is anyway
 */
function withoutEffect(settings: Settings, isSet: (name: OptionName) => boolean): string[] {
  const { token_store: store, vnc_proxy_port: proxy, vnc_proxy_support_wss: wss } = settings;
  const withStore = `with token_store: ${store}`;
  const noTls = proxy.kind === 'off' ? 'with vnc_proxy_port: off' : 'with vnc_proxy_support_wss: no';
  const isPlain = wss === 'no' || proxy.kind === 'off';
  const idle: [name: OptionName, isIdle: boolean, because: string][] = [
    ['redis_url', store !== 'redis', withStore],
    ['redis_prefix', store !== 'redis', withStore],
    ['sealed_keys', store !== 'sealed', withStore],
    ['token_folder_name', store !== 'file', withStore],
    ['token_folder_name', store === 'file' && !settings.websockify_files, 'with websockify_files: no'],
    ['vnc_proxy_cert', isPlain, noTls],
    ['vnc_proxy_key', isPlain, noTls],
    [
      'vnc_proxy_ipv6',
      settings.vnc_proxy_ipv6 && proxy.kind !== 'port',
      'where vnc_proxy_port is no bare PORT',
    ],
    ['recheck_interval', settings.service_auth === undefined, 'without service_auth'],
  ];
  return idle
    .filter(([name, isIdle]) => isIdle && isSet(name))
    .map(([name, , because]) => `${name} has no effect ${because}`);
}

/** Browsers read this list at the page in the words of CSP, which has none for some origins. */
function withoutWord({ allowed_origins: origins }: Settings): string[] {
  return origins
    .filter((origin) => frameAncestor(origin) === undefined)
    .map(
      (origin) =>
        `allowed_origins: ${origin} may open consoles, but no frame-ancestors can name it: its pages cannot embed the console page`,
    );
}

/** Redis may be others' as well, and tokens say where a console is. */
function unproven({ token_store: store, password_key: passwordKey }: Settings): string[] {
  if (store !== 'redis' || passwordKey !== undefined) return [];
  return [
    'token_store: redis without password_key: whoever knows the password in redis_url, or reaches a Redis without one, can forge tokens',
  ];
}
