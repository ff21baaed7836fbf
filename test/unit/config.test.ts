// Where settings come from and what is wrong with them: files, environment and command line, later over earlier.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../src/config/command-line.ts';
import { ConfigError, loadSettings } from '../../src/config/load.ts';
import { type OptionName, optionNames, type Settings } from '../../src/config/options.ts';
import { temporaryFolder } from '../support/folder.ts';

interface Given {
  own?: string;
  sunstone?: string;
  files?: Record<string, string>;
  argv?: string[];
  env?: Record<string, string>;
}

function load({ own, sunstone, files = {}, argv = [], env = {} }: Given) {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'etc'));
  if (own !== undefined) writeFileSync(join(folder, 'etc/vnctoken-server.conf'), own);
  if (sunstone !== undefined) writeFileSync(join(folder, 'etc/sunstone-server.conf'), sunstone);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const line = parseCommandLine(argv.map((word) => word.replace('FOLDER', folder)));
  expect(line.problems).toEqual([]);
  return { folder, ...loadSettings({ ...line, env: { ONE_LOCATION: folder, ...env } }) };
}

function problemsOf(given: Given): readonly string[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map((problem) => problem.replace(/\S*\/etc\//, ''));
    throw error;
  }
  return [];
}

describe('the settings', () => {
  it('have the defaults of the contract', () => {
    expect(load({}).settings).toEqual({
      host: '127.0.0.1',
      port: 2644,
      one_xmlrpc: 'http://localhost:2633/RPC2',
      oned_timeout: 10,
      oned_connections: 8,
      max_body: 65536,
      debug_level: 2,
      log_file: undefined,
      token_ttl: 600,
      token_folder_name: 'sunstone_vnc_tokens',
      websockify_files: true,
      vnc_proxy_port: { kind: 'port', port: 29876 },
      vnc_proxy_support_wss: 'no',
      vnc_proxy_cert: undefined,
      vnc_proxy_key: undefined,
      vnc_proxy_ipv6: false,
      public_url: undefined,
      allowed_origins: [],
      trusted_proxies: ['127.0.0.0/8', '::1'],
      proxy_ping: 30,
      proxy_connect_timeout: 10,
      console_ports: [{ first: 5900, last: 65535 }],
      workers: 'auto',
      stop_timeout: 10,
      auth: undefined,
      core_auth: undefined,
    });
  });

  it.each<[OptionName, string, unknown]>([
    ['vnc_proxy_port', 'off', { kind: 'off' }],
    ['vnc_proxy_port', '0.0.0.0:29877', { kind: 'address', host: '0.0.0.0', port: 29877 }],
    ['vnc_proxy_port', '"[::1]:29877"', { kind: 'address', host: '::1', port: 29877 }],
    ['vnc_proxy_port', '"29877"', { kind: 'port', port: 29877 }],
    ['vnc_proxy_ipv6', 'true', true],
    ['vnc_proxy_ipv6', 'no', false],
    ['websockify_files', 'false', false],
    ['host', '"::1"', '::1'],
    ['one_xmlrpc', 'https://one.example:2633/RPC2', 'https://one.example:2633/RPC2'],
    ['public_url', 'https://console.example/vnc/', 'https://console.example/vnc'],
    ['token_ttl', '0600', 600],
    ['proxy_ping', '0.5', 0.5],
    ['proxy_ping', '20 s', 20],
    [
      'allowed_origins',
      'https://a.example, http://b.example:8080',
      ['https://a.example', 'http://b.example:8080'],
    ],
    ['allowed_origins', '[https://a.example/, "*"]', ['https://a.example', '*']],
    ['allowed_origins', '', []],
    ['trusted_proxies', '', []],
    ['trusted_proxies', '\n  - 10.0.0.0/8\n  - "2001:db8::/32"', ['10.0.0.0/8', '2001:db8::/32']],
    [
      'console_ports',
      '5900-5999, 6100',
      [
        { first: 5900, last: 5999 },
        { first: 6100, last: 6100 },
      ],
    ],
    ['workers', 'auto', 'auto'],
    ['workers', '4', 4],
    ['log_file', '~', undefined],
    ['log_file', '', undefined],
  ])('%s: %s is understood', (name, text, value) => {
    expect(load({ own: `:${name}: ${text}\n` }).settings[name]).toEqual(value);
    expect(load({ own: `${name}: ${text}\n` }).settings[name]).toEqual(value);
  });

  it('of wss are no, yes and only, true and false too', () => {
    const files = ':vnc_proxy_cert: /c\n:vnc_proxy_key: /k\n';
    const values = ['no', 'yes', 'only', 'true', 'false'].map(
      (text) => load({ own: `${files}:vnc_proxy_support_wss: ${text}\n` }).settings.vnc_proxy_support_wss,
    );
    expect(values).toEqual(['no', 'yes', 'only', 'yes', 'no']);
  });

  it('come from Sunstone, then our file, then the environment, then the command line', () => {
    const sunstone = ':one_xmlrpc: http://sunstone:1/RPC2\n:debug_level: 0\n:vnc_proxy_port: 1111\n';
    const own = ':debug_level: 1\n:vnc_proxy_port: 2222\n:token_ttl: 22\n';
    const env = { VNCTOKEN_VNC_PROXY_PORT: '3333', VNCTOKEN_TOKEN_TTL: '33' };
    const { settings, sources } = load({
      sunstone,
      own,
      env,
      argv: ['--token-ttl', '44', '--max_body=2048'],
    });
    const { one_xmlrpc, debug_level, vnc_proxy_port, token_ttl, max_body } = settings;
    expect({ one_xmlrpc, debug_level, vnc_proxy_port, token_ttl, max_body }).toEqual({
      one_xmlrpc: 'http://sunstone:1/RPC2',
      debug_level: 1,
      vnc_proxy_port: { kind: 'port', port: 3333 },
      token_ttl: 44,
      max_body: 2048,
    });
    expect(sources.get('token_ttl')).toBe('--token_ttl');
  });

  it("take from Sunstone's file what is named there for us, and nothing else", () => {
    const sunstone = [
      ':host: 0.0.0.0',
      ':port: 9869',
      ':tmpdir: /var/tmp',
      ':env: prod',
      ':auth: sunstone',
      ':core_auth: cipher',
      ':vnc_proxy_port: 29877',
      ':vnc_proxy_support_wss: no',
      ':vnc_proxy_cert:',
      ':vnc_proxy_key:',
      ':vnc_proxy_ipv6: false',
      ':vnc_client_port: 29876',
      ':token_remote_support: "yes"',
      ':routes:',
      '  - oneflow',
    ].join('\n');
    const { settings } = load({ sunstone });
    expect(settings).toMatchObject({ host: '127.0.0.1', port: 2644, auth: 'sunstone', core_auth: 'cipher' });
    expect(settings).toMatchObject({
      vnc_proxy_port: { kind: 'port', port: 29877 },
      vnc_proxy_cert: undefined,
    });
  });

  it("warn of a bad value in Sunstone's file, and use the default", () => {
    const { settings, warnings } = load({ sunstone: ':debug_level: loud\n' });
    expect(settings.debug_level).toBe(2);
    expect(warnings.join()).toMatch(
      /sunstone-server\.conf: debug_level: expected a whole number from 0 to 3/,
    );
  });

  it('come from --config files instead of both default files, later over earlier', () => {
    const files = { 'one.conf': ':port: 1\n:max_body: 1111\n', 'two.conf': 'port: 2\n' };
    const argv = ['--config', 'FOLDER/one.conf', '--config=FOLDER/two.conf'];
    const { settings } = load({ own: ':token_ttl: 5\n', sunstone: ':debug_level: 0\n', files, argv });
    expect(settings).toMatchObject({ port: 2, max_body: 1111, token_ttl: 600, debug_level: 2 });
  });

  it('live below ONE_LOCATION, or in the places of the packages', () => {
    const { folder, stateFolder } = load({});
    expect(stateFolder).toBe(join(folder, 'var'));
    expect(loadSettings({ configFiles: ['/dev/null'], flags: new Map(), env: {} }).stateFolder).toBe(
      '/var/lib/one',
    );
  });
});

describe('a mistake', () => {
  it('is told together with all others', () => {
    const own = ':prot: 1\n:port: 70000\n:token_ttl: soon\n:vnc_proxy_support_wss: only\n';
    expect(problemsOf({ own, env: { VNCTOKEN_DEBUG_LEVEL: '9' }, argv: ['--host', 'a b'] })).toEqual([
      'vnctoken-server.conf: unknown key prot',
      '--host: host: expected a host name or an IP address',
      'vnctoken-server.conf: port: expected a whole number from 0 to 65535',
      'VNCTOKEN_DEBUG_LEVEL: debug_level: expected a whole number from 0 to 3',
      'vnctoken-server.conf: token_ttl: expected seconds from 1 to 86400',
      'vnc_proxy_support_wss: only needs vnc_proxy_cert',
      'vnc_proxy_support_wss: only needs vnc_proxy_key',
    ]);
  });

  it.each([
    ['port', '-1'],
    ['port', '1.5'],
    ['port', '0x50'],
    ['one_xmlrpc', 'localhost:2633'],
    ['one_xmlrpc', 'ftp://localhost/RPC2'],
    ['one_xmlrpc', 'http://user:secret@localhost/RPC2'],
    ['public_url', 'https://console.example/?a=b'],
    ['public_url', 'console.example'],
    ['allowed_origins', 'portal.example'],
    ['allowed_origins', 'https://portal.example/console'],
    ['trusted_proxies', '10.0.0.0/33'],
    ['trusted_proxies', 'nginx.example'],
    ['console_ports', '0-10'],
    ['console_ports', '6000-5900'],
    ['console_ports', ''],
    ['token_folder_name', '../etc'],
    ['token_folder_name', '.hidden'],
    ['vnc_proxy_port', 'on'],
    ['vnc_proxy_port', '"host:"'],
    ['websockify_files', 'maybe'],
    ['vnc_proxy_support_wss', 'always'],
    ['token_ttl', '0'],
    ['workers', '0'],
    ['workers', 'many'],
    ['port', '{ a: b }'],
    ['vnc_proxy_port', '2644'],
  ])('in %s, %s, is an error that names the key', (name, text) => {
    const problems = problemsOf({ own: `:${name}: ${text}\n` });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(name);
  });

  it.each(['redis_prefix', 'token_store', 'redis_url', 'targets', 'vnc_auth', 'service_auth'])(
    'is to set %s, which a later version takes',
    (name) => {
      expect(problemsOf({ own: `:${name}: x\n` })[0]).toContain(`${name} is reserved for a later version`);
    },
  );

  it.each([
    ['is no YAML', ':port: [1\n', 'not valid YAML'],
    ['is a list', '- port\n', 'expected lines of the form'],
    ['has a key twice', ':port: 1\n:port: 2\n', 'not valid YAML'],
  ])('is a file that %s', (_what, own, told) => {
    expect(problemsOf({ own }).join()).toContain(told);
  });

  it('is a --config file that is not there', () => {
    expect(problemsOf({ argv: ['--config', '/nonexistent/x.conf'] })[0]).toContain('ENOENT');
  });

  it('in the name of a variable is told, and not fatal', () => {
    expect(load({ env: { VNCTOKEN_TOKN_TTL: '5' } }).warnings.join()).toContain('VNCTOKEN_TOKN_TTL');
  });
});

describe('the command line', () => {
  it('knows every key with underscores and with hyphens', () => {
    for (const name of optionNames) {
      const line = parseCommandLine([`--${name}`, 'a', `--${name.replaceAll('_', '-')}=b`]);
      expect([line.problems, line.flags.get(name)]).toEqual([[], 'b']);
    }
  });

  it.each([
    [['--nosuch', '1'], 'unknown option --nosuch'],
    [['--port'], '--port needs a value'],
    [['--port', '--host', 'x'], '--port needs a value'],
    [['start'], 'unknown command start'],
    [['sessions'], 'sessions comes with a later version'],
    [['serve', 'demo'], 'one command at a time'],
    [['--targets', '2'], 'targets is reserved for a later version'],
    [['--redis_url', 'redis://:pw@host'], 'a secret does not belong on the command line'],
    [['--redis-url=redis://:pw@host'], 'a secret does not belong on the command line'],
    [['--check'], '--check belongs to demo'],
  ])('%j is refused', (argv, told) => {
    const { problems } = parseCommandLine(argv);
    expect(problems.join()).toContain(told);
    expect(problems.join()).not.toContain(':pw@');
  });

  it.each([
    [[], 'serve'],
    [['serve'], 'serve'],
    [['check-config'], 'check-config'],
    [['demo', '--check'], 'demo'],
    [['serve', '--help'], 'help'],
    [['--version'], 'version'],
  ])('%j means %s', (argv, command) => {
    expect(parseCommandLine(argv)).toMatchObject({ command, problems: [] });
  });
});

/** The type of the settings has every key of the table. */
const _complete: Record<OptionName, unknown> = {} as Settings;
void _complete;
