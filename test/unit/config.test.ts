// Where settings come from and what is wrong with them: files, environment and command line, later over earlier.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../src/config/command-line.ts';
import { ConfigError, findControlSocket, loadSettings } from '../../src/config/load.ts';
import { type OptionName, optionNames, optionOf, type Settings } from '../../src/config/options.ts';
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
      reconnect_grace: 60,
      token_max_age: 43200,
      token_sessions: 'single',
      bind_client: 'no',
      token_store: 'file',
      redis_url: undefined,
      redis_prefix: 'vnctoken:',
      sealed_keys: undefined,
      service_auth: undefined,
      recheck_interval: 60,
      ...{ targets: [], vnc_auth: 'pass', password_key: undefined },
      ...{ view_only_without_manage: false, clipboard: 'both' },
      server_users: [],
      max_tokens_per_vm: 256,
      max_tokens_per_user: 1024,
      max_sessions_per_vm: 16,
      max_sessions_per_user: 64,
      max_sessions_per_address: 64,
      max_sessions: 10_000,
      max_unknown_tokens: 60,
      max_failed_logins: 10,
      max_failed_logins_per_address: 1000,
      max_calls_per_address: 50,
      audit_file: undefined,
      control_socket: undefined,
      token_folder_name: 'sunstone_vnc_tokens',
      websockify_files: true,
      vnc_proxy_port: { kind: 'port', port: 29876 },
      vnc_proxy_support_wss: 'no',
      vnc_proxy_cert: undefined,
      vnc_proxy_key: undefined,
      vnc_proxy_ipv6: false,
      public_url: undefined,
      allowed_origins: [],
      allowed_hosts: [],
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
    ['allowed_origins', 'HTTPS://A.Example:443', ['https://a.example']],
    [
      'allowed_origins',
      'http://a.example:80/, http://a.example:443',
      ['http://a.example', 'http://a.example:443'],
    ],
    ['allowed_origins', 'https://a.example.', ['https://a.example']],
    ['allowed_origins', 'https://bücher.example', ['https://xn--bcher-kva.example']],
    ['allowed_origins', 'https://[2001:DB8:0::1]:8443', ['https://[2001:db8::1]:8443']],
    ['allowed_origins', 'https://*.Example.com', ['https://*.example.com']],
    [
      'allowed_origins',
      '"https://*.example.com:8443, http://*.lan"',
      ['https://*.example.com:8443', 'http://*.lan'],
    ],
    ['allowed_origins', 'https://*.bücher.example:443/', ['https://*.xn--bcher-kva.example']],
    ['allowed_origins', 'null', ['null']],
    ['allowed_origins', '[null, "file://", "file:///"]', ['null', 'file://', 'file://']],
    [
      'allowed_origins',
      'capacitor://localhost, ionic://localhost, tauri://localhost, app://obsidian.md, app://.',
      ['capacitor://localhost', 'ionic://localhost', 'tauri://localhost', 'app://obsidian.md', 'app://.'],
    ],
    ['allowed_origins', 'moz-extension://0A1b-2c/', ['moz-extension://0a1b-2c']],
    ['allowed_hosts', 'Console.Example, 192.0.2.1', ['console.example', '192.0.2.1']],
    [
      'allowed_hosts',
      '["::1", "[2001:DB8::0:1]", bücher.example, "a.example."]',
      ['[::1]', '[2001:db8::1]', 'xn--bcher-kva.example', 'a.example'],
    ],
    ['vnc_proxy_port', ':29876', { kind: 'port', port: 29876 }],
    ['vnc_proxy_port', '0.0.0.0:29876', { kind: 'address', host: '0.0.0.0', port: 29876 }],
    ['vnc_proxy_port', '"[::]:29876"', { kind: 'address', host: '::', port: 29876 }],
    ['vnc_proxy_port', '"localhost:29876"', { kind: 'address', host: 'localhost', port: 29876 }],
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
    ['token_sessions', 'Shared', 'shared'],
    ['bind_client', 'ip', 'ip'],
    ['bind_client', 'false', 'no'],
    ['token_store', 'memory', 'memory'],
    ['redis_prefix', '"cloud-1:"', 'cloud-1:'],
    ['token_max_age', '0', 0],
    ['server_users', '[serveradmin, portal]', ['serveradmin', 'portal']],
    ['control_socket', '/run/x/y.sock', '/run/x/y.sock'],
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

  it.each(['', ' ""', " ''", ' ~', ' null', ' Null', ' NULL'])(
    "have no key of its own where Sunstone's file says%s, but the one in the certificate's file",
    (nothing) => {
      const sunstone = `:vnc_proxy_support_wss: yes\n:vnc_proxy_cert: /c.pem\n:vnc_proxy_key:${nothing}\n`;
      const { settings, warnings } = load({ sunstone });
      expect([settings.vnc_proxy_cert, settings.vnc_proxy_key, warnings]).toEqual(['/c.pem', undefined, []]);
    },
  );

  it.each([
    ['no', 'no'],
    ['"no"', 'no'],
    ['yes', 'yes'],
    ['"yes"', 'yes'],
    ['true', 'yes'],
    ['only', 'only'],
    ["'only'", 'only'],
    ['false', 'no'],
    ['', 'no'],
    ['null', 'no'],
    // No TLS there either: a symbol is none of the words that Sunstone compares with.
    [':yes', 'no'],
  ])('have TLS as Sunstone has it with vnc_proxy_support_wss: %s', (text, meant) => {
    const { settings } = load({ sunstone: `:vnc_proxy_support_wss: ${text}\n:vnc_proxy_cert: /c.pem\n` });
    expect(settings.vnc_proxy_support_wss).toBe(meant);
  });

  it('tell of origins that open consoles and cannot embed the page', () => {
    const { warnings } = load({
      own: ':allowed_origins: [null, "https://[::1]", "https://a.example", "file://"]\n',
    });
    expect(warnings).toEqual([
      expect.stringContaining('null may open consoles'),
      expect.stringContaining('https://[::1] may open consoles'),
    ]);
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
    ...[
      ...['https://*', 'https://*.', 'https://*.*.example', 'https://a.*.example', 'https://*a.example'],
      ...['https://a*.example', '"*.example.com"', '"*://a.example"', 'app://*', 'app://*.localhost', '"**"'],
      ...[
        'https://*.0.0.1',
        'https://a.example?b',
        '"https://a.example#b"',
        'https://a@b.example',
        'https://a.example//',
      ],
      ...[
        '"https://a;b.example"',
        '"https://a\'b.example"',
        '"https://a b.example"',
        'https://a.example:99999',
      ],
      ...[
        '"app://x;default-src"',
        '"app://x y"',
        'app://',
        'app:x',
        'app://x/y',
        'app://a@b',
        'file://host',
        'file:///x',
      ],
      ...[
        'wss://a.example',
        'data://x',
        'https:a.example',
        'https:/a.example',
        'https:///a.example',
        'https://',
      ],
      ...['"https://a\\b.example"', '"https://a\tb.example"', 'nul'],
    ].map((text): [string, string] => ['allowed_origins', text]),
    ['allowed_hosts', 'console.example:2644'],
    ['allowed_hosts', '"[::1]:2644"'],
    ['allowed_hosts', 'https://console.example'],
    ['allowed_hosts', '"*"'],
    ['allowed_hosts', '"*.example"'],
    ['allowed_hosts', 'a/b'],
    ['trusted_proxies', '0.0.0.0/0'],
    ['trusted_proxies', '"::/0"'],
    ['trusted_proxies', '"fe80::1%eth0"'],
    ['trusted_proxies', '10.0.0.0/'],
    ['trusted_proxies', '10.0.0.0/33'],
    ['trusted_proxies', 'nginx.example'],
    ['console_ports', '0-10'],
    ['console_ports', '6000-5900'],
    ['console_ports', ''],
    ['token_folder_name', '../etc'],
    ['token_folder_name', '.hidden'],
    ['token_folder_name', 'vnctoken'],
    ['token_folder_name', 'vnctoken-run'],
    ['public_url', '"https://a;b.example"'],
    ['public_url', 'https://a.example:0'],
    ['public_url', 'https://u@a.example'],
    ['vnc_proxy_port', 'on'],
    ['vnc_proxy_port', '"host:"'],
    ['websockify_files', 'maybe'],
    ['vnc_proxy_support_wss', 'always'],
    ['token_ttl', '0'],
    ['workers', '0'],
    ['workers', 'many'],
    ['token_sessions', 'many'],
    ['bind_client', 'yes'],
    ['token_store', 'etcd'],
    ['redis_prefix', '"{x}"'],
    ['server_users', '"server:admin"'],
    ['max_sessions_per_vm', '257'],
    ['control_socket', 'control.sock'],
    ['control_socket', `/${'x'.repeat(100)}`],
    ['control_socket', '"/run/a\\0b"'],
    ['port', '{ a: b }'],
    ['vnc_proxy_port', '2644'],
  ])('in %s, %s, is an error that names the key', (name, text) => {
    const problems = problemsOf({ own: `:${name}: ${text}\n` });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(name);
  });

  it('is a rule of targets that cannot be, told with its place', () => {
    const [problem] = problemsOf({ own: ':targets:\n  - via: tcp\n  - via: carrier-pigeon\n' });
    expect(problem).toMatch(/targets\[1\]\.via: expected tcp, tls/);
  });

  it.each([
    [':clipboard: off\n', 'clipboard needs vnc_auth: proxy'],
    [':view_only_without_manage: yes\n', 'view_only_without_manage needs vnc_auth: proxy'],
    [':targets:\n  - require: x509\n', 'targets: require needs vnc_auth: proxy'],
    [
      ':vnc_auth: proxy\n:token_store: redis\n:redis_url: redis://localhost\n',
      'vnc_auth: proxy with token_store: redis needs password_key',
    ],
  ])('is to set %j alone', (own, problem) => {
    expect(problemsOf({ own })[0]).toContain(problem);
  });
  it.each([
    ['redis', [], ['token_store: redis needs redis_url']],
    ['redis', [':redis_url: redis://a'], []],
    [
      'sealed',
      [':bind_client: ip'],
      [
        'token_store: sealed needs sealed_keys',
        'token_store: sealed needs token_sessions: shared',
        'token_store: sealed needs bind_client: no',
      ],
    ],
    ['sealed', [':sealed_keys: /k', ':token_sessions: shared'], []],
    ['memory', [], []],
  ])('is a store, %s, without what it needs (%j)', (store, lines, problems) => {
    expect(problemsOf({ own: [`:token_store: ${store}`, ...lines, ''].join('\n') })).toEqual(problems);
  });

  it.each([
    ['redis_url', 'redis://:sesame@host'],
    ['sealed_keys', '/etc/one/sesame'],
  ])('is to set %s for another store: that is told, and not fatal', (name, value) => {
    const { warnings } = load({ own: `:${name}: ${value}\n` });
    expect(warnings).toEqual([`${name} has no effect with token_store: file`]);
  });

  it('is Redis without a key for what is written there: that is told, and not fatal', () => {
    const own = ':token_store: redis\n:redis_url: redis://a\n';
    expect(load({ own }).warnings).toEqual([
      expect.stringMatching(/^token_store: redis without password_key: /),
    ]);
    expect(load({ own: `${own}:password_key: /k\n` }).warnings).toEqual([]);
  });

  it.each<[lines: string, told: string | undefined]>([
    [':redis_prefix: "a:"', 'redis_prefix has no effect with token_store: file'],
    [':recheck_interval: 60\n:redis_prefix: "vnctoken:"', undefined],
    [
      ':websockify_files: no\n:token_folder_name: x',
      'token_folder_name has no effect with websockify_files: no',
    ],
    [':vnc_proxy_cert: /c', 'vnc_proxy_cert has no effect with vnc_proxy_support_wss: no'],
    [':vnc_proxy_port: off\n:vnc_proxy_key: /k', 'vnc_proxy_key has no effect with vnc_proxy_port: off'],
    [
      ':vnc_proxy_port: 127.0.0.1:1\n:vnc_proxy_ipv6: yes',
      'vnc_proxy_ipv6 has no effect where vnc_proxy_port',
    ],
    [':recheck_interval: 5', 'recheck_interval has no effect without service_auth'],
    [':vnc_proxy_key:\n:redis_prefix:', undefined],
  ])('is to set what changes nothing (%j): that is told, and not fatal', (own, told) => {
    const { warnings } = load({ own: `${own}\n` });
    expect(warnings).toEqual(told === undefined ? [] : [expect.stringContaining(told)]);
  });

  it("is not what Sunstone's file has for others", () => {
    expect(load({ sunstone: ':vnc_proxy_cert: /c\n:vnc_proxy_key: /k\n' }).warnings).toEqual([]);
  });

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
    for (const name of optionNames.filter((one) => optionOf(one).secret !== true)) {
      const line = parseCommandLine([`--${name}`, 'a', `--${name.replaceAll('_', '-')}=b`]);
      expect([line.problems, line.flags.get(name)]).toEqual([[], 'b']);
    }
  });

  it.each([
    [['--nosuch', '1'], 'unknown option --nosuch'],
    [['--port'], '--port needs a value'],
    [['--port', '--host', 'x'], '--port needs a value'],
    [['start'], 'unknown command start'],
    [['start'], 'known: serve, check-config, demo, sessions, tokens, revoke'],
    [['sessions', 'tokens'], 'one command at a time'],
    [['sessions', '--json=yes'], '--json takes no value'],
    [['serve', '--json'], '--json belongs to sessions and tokens'],
    [['--vm', '1'], '--vm belongs to revoke'],
    [['tokens', '--all'], '--all belongs to revoke'],
    [['revoke'], 'revoke needs FINGERPRINT, --vm ID, --user NAME'],
    [['revoke', '--all', '--vm', '1'], '--all goes with no other choice'],
    [['revoke', '--all', '0123456789ab'], '--all goes with no other choice'],
    [['revoke', '--vm'], '--vm needs a value'],
    [['revoke', '--vm', '-1'], '--vm: expected a number'],
    [['revoke', '--vm', '1e3'], '--vm: expected a number'],
    [['revoke', '--vm', '2147483648'], '--vm: expected a number'],
    [['revoke', '--vm', '1', '--vm', '2'], '--vm is there twice'],
    [['revoke', '--user', ''], '--user needs a value'],
    [['revoke', '--user='], '--user needs a value'],
    [['revoke', '--user', 'x'.repeat(513)], '--user: expected at most 512 bytes'],
    [['revoke', '--user', '--all'], '--user needs a value'],
    [['revoke', '0123456789ab', '0123456789ac'], 'one fingerprint at a time'],
    [['revoke', '0123456789'], 'a fingerprint has 12 hexadecimal digits'],
    [['revoke', 'sometokensometokensometok:pw@'], 'a fingerprint has 12 hexadecimal digits'],
    [['serve', 'demo'], 'one command at a time'],
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
    [['sessions'], 'sessions'],
    [['tokens', '--json'], 'tokens'],
    [['--json', 'sessions', '--config', '/x'], 'sessions'],
    [['revoke', '--all'], 'revoke'],
    [['revoke', '--help'], 'help'],
  ])('%j means %s', (argv, command) => {
    expect(parseCommandLine(argv)).toMatchObject({ command, problems: [] });
  });
});

describe('the choice of revoke', () => {
  it.each([
    [['revoke', '0123456789AB'], { fingerprint: '0123456789ab' }],
    [['revoke', '--vm', '0'], { vm: 0 }],
    [
      ['--vm=7', 'revoke', '--user=alice', '0123456789ab'],
      { fingerprint: '0123456789ab', vm: 7, user: 'alice' },
    ],
    [['--port', '1', '--user', 'a b', 'revoke'], { user: 'a b' }],
    [['revoke', '--all'], { all: true }],
  ])('%j is %j', (argv, selection) => {
    const line = parseCommandLine(argv);
    expect([line.problems, line.command, line.selection]).toEqual([[], 'revoke', selection]);
  });
});

describe('the control socket', () => {
  const find = (own: string, argv: string[] = [], env: Record<string, string> = {}) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'etc'));
    writeFileSync(join(folder, 'etc/vnctoken-server.conf'), own);
    const sources = { ...parseCommandLine(['sessions', ...argv]), env: { ONE_LOCATION: folder, ...env } };
    return findControlSocket(sources).replace(folder, '');
  };

  it('is below ONE_LOCATION, or in the place of the packages, the same for the service and for who asks it', () => {
    const { folder, controlSocket } = load({});
    expect(controlSocket).toBe(join(folder, 'var/vnctoken-run/control.sock'));
    expect(find('')).toBe('/var/vnctoken-run/control.sock');
    expect(find(':control_socket:\n')).toBe('/var/vnctoken-run/control.sock');
    const nowhere = { configFiles: ['/dev/null'], flags: new Map(), env: {} };
    expect(loadSettings(nowhere).controlSocket).toBe('/run/vnctoken/control.sock');
    expect(findControlSocket(nowhere)).toBe('/run/vnctoken/control.sock');
  });

  it('is where control_socket says, from wherever that comes', () => {
    expect(load({ own: ':control_socket: /run/a.sock\n' }).controlSocket).toBe('/run/a.sock');
    expect(find(':control_socket: /run/a.sock\n')).toBe('/run/a.sock');
    expect(find(':control_socket: /run/a.sock\n', ['--control-socket', '/run/b.sock'])).toBe('/run/b.sock');
    expect(find('', [], { VNCTOKEN_CONTROL_SOCKET: '/run/c.sock' })).toBe('/run/c.sock');
  });

  it("is found without the service's other settings, whose secrets may be in the service's environment", () => {
    expect(find(':token_store: redis\n')).toBe('/var/vnctoken-run/control.sock');
    expect(() => find(':control_socket: here\n')).toThrow('control_socket: expected an absolute path');
    expect(() => find('[')).toThrow('not valid YAML');
  });
});

/** The type of the settings has every key of the table. */
const _complete: Record<OptionName, unknown> = {} as Settings;
void _complete;
