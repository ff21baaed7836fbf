// What the option table looks like to people: `--help`, the README's table, `check-config`.
import type { Loaded } from './load.js';
import { type OptionName, optionNames, optionOf } from './options.js';

const COLUMN_WIDTH = 24;

export function helpText(): string {
  const lines = optionNames.map((name) => {
    const { help } = optionOf(name);
    return `  --${name.padEnd(COLUMN_WIDTH - 2)} ${help} (${defaultText(name)})`;
  });
  return [
    'vnctoken-server [serve|check-config|demo|sessions|tokens|revoke] [--config FILE]… [--KEY VALUE]…',
    '',
    '  serve          run the service (the default)',
    '  check-config   read and check the configuration, show what holds, end; --vm ID tries the way to its console',
    '  demo           try everything with an embedded oned and VNC server; demo --check tests it once and ends',
    '',
    'asked of the running service, through control_socket:',
    '  sessions       who is on which console (--json: a JSON object a line)',
    '  tokens         which tokens open a console (--json: a JSON object a line)',
    '  revoke         end tokens and their sessions, of all that is said: FINGERPRINT, --vm ID, --user NAME; or --all',
    '',
    '  --config FILE  read this file instead of /etc/one/sunstone-server.conf and',
    '                 /etc/one/vnctoken-server.conf; several: later over earlier',
    '  --help         this text',
    '  --version      the version',
    '',
    'Every key can stand in the file (:key: value), in the environment (VNCTOKEN_KEY) or here',
    '(--key value, hyphens for underscores accepted, lists comma-separated). Keys and their defaults:',
    '',
    ...lines,
    '',
    'Exit status: 0 fine, 1 could not start or run, 2 bad usage or configuration.',
  ].join('\n');
}

/** The README's table, in Markdown. */
export function optionTable(): string {
  const rows = optionNames.map((name) => {
    const { help, needsRestart } = optionOf(name);
    const value = optionOf(name).default;
    const shown = value === undefined || value === '' ? '–' : `\`${value}\``;
    return `| \`${name}\` | ${shown} | ${help}${needsRestart === true ? ' (takes a restart)' : ''} |`;
  });
  return ['| key | default | meaning |', '|---|---|---|', ...rows].join('\n');
}

/** What `check-config` prints: every key, its value and where it was set. */
export function effectiveText({ texts, sources }: Loaded): string {
  return optionNames
    .map((name) => {
      const source = sources.get(name);
      const text = texts.get(name) ?? '';
      const value = optionOf(name).secret === true && text.trim() !== '' ? '[secret]' : text;
      return `${name.padEnd(COLUMN_WIDTH)} ${source === undefined ? defaultText(name) : `${value}  (${source})`}`;
    })
    .join('\n');
}

function defaultText(name: OptionName): string {
  const value = optionOf(name).default;
  return value === undefined || value === '' ? 'default: not set' : `default: ${value}`;
}
