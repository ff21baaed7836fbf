// The rules of `targets`: what may stand there, which rule a host takes, and which addresses it may be dialled at.
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { sortOut } from '../../src/transport/addresses.ts';
import { chooseRule, hopOf, portOf } from '../../src/transport/choose.ts';
import { parseTargetRules, TargetRulesError } from '../../src/transport/parse-rules.ts';
import { nameRule } from '../../src/transport/rules.ts';
import { fillIn } from '../../src/transport/vm-path.ts';

const never = new AbortController().signal;

/** As the configuration reads it: every scalar stays text. */
function read(yaml: string) {
  return parseTargetRules(parse(yaml, { schema: 'failsafe' }));
}

function problemsOf(value: unknown): readonly string[] {
  try {
    parseTargetRules(value);
  } catch (error) {
    if (error instanceof TargetRulesError) return error.problems;
    throw error;
  }
  return [];
}

describe('rules as written', () => {
  it('are none where nothing is written', () => {
    for (const nothing of [undefined, null, '', []]) expect(parseTargetRules(nothing)).toEqual([]);
  });

  it('may be long ones, one of each way', () => {
    const fingerprint = Array.from({ length: 32 }, () => 'AB').join(':');
    const rules = read(`
- match: 10.0.0.0/8
  source_address: 10.0.0.1
  connect_timeout: 2.5s
  require: [x509, VNC]
  vnc_user: one console
  vnc_tls:
    ca_file: /etc/one/vnc-ca.pem
    cert_file: /etc/one/vnc-cert.pem
    key_file: /etc/one/vnc-key.pem
- match: "*.example.com"
  via: tls
  port: +1000
  ca_file: /etc/one/ca.pem
  server_name: agent
  fingerprint: "${fingerprint}"
- :match: kvm3
  :via: unix
  :path: /run/consoles/%i.sock
- match: kvm4
  via: WSS
  address: gate.example.com
  port: 443
  path: /vm/%i?port=%p
- match: kvm5
  via: ws
  port: -200
- via: ssh
  user: oneadmin
  port: 2222
  key_file: /var/lib/one/.ssh/id
  known_hosts: /a, /b
  listen: 127.0.0.2
  address: 192.0.2.9
`);
    expect(rules.map(nameRule)).toEqual([
      'targets[0] (via tcp)',
      'targets[1] (via tls)',
      'targets[2] (via unix)',
      'targets[3] (via wss)',
      'targets[4] (via ws)',
      'targets[5] (via ssh)',
    ]);
    expect(rules[0]).toMatchObject({
      sourceAddress: '10.0.0.1',
      connectTimeoutMs: 2500,
      require: ['x509', 'vnc'],
      vncUser: 'one console',
      vncTls: { caFile: '/etc/one/vnc-ca.pem', keyFile: '/etc/one/vnc-key.pem' },
    });
    expect(rules[1]).toMatchObject({
      port: { shift: 1000 },
      tls: { caFile: '/etc/one/ca.pem', serverName: 'agent', fingerprint: 'ab'.repeat(32) },
    });
    expect(rules[2]).toMatchObject({ path: '/run/consoles/%i.sock' });
    expect(rules[3]).toMatchObject({ address: 'gate.example.com', port: { fixed: 443 } });
    expect(rules[4]).toMatchObject({ port: { shift: -200 }, path: '/' });
    expect(rules[5]).toMatchObject({
      ssh: {
        user: 'oneadmin',
        port: 2222,
        knownHosts: ['/a', '/b'],
        listen: '127.0.0.2',
        address: '192.0.2.9',
      },
    });
  });

  it.each([
    ['https://portal.example.com', 'https://portal.example.com'],
    ['HTTPS://Portal.Example.com:443', 'https://portal.example.com'],
    ['http://10.0.0.1:8080', 'http://10.0.0.1:8080'],
    ['https://portal.example.com/', 'https://portal.example.com'],
    ['http://[2001:DB8::1]:6080', 'http://[2001:db8::1]:6080'],
    ['https://münchen.example', 'https://xn--mnchen-3ya.example'],
    ['null', 'null'],
  ])('may name the origin %s', (origin, sent) => {
    expect(parseTargetRules([{ via: 'ws', origin }])[0]).toMatchObject({ origin: sent });
  });

  it('take numbers and booleans as YAML makes them, too', () => {
    expect(parseTargetRules([{ port: 5999, connect_timeout: 3 }])[0]).toMatchObject({
      port: { fixed: 5999 },
      connectTimeoutMs: 3000,
    });
  });

  const wrong: [what: string, value: unknown, problems: RegExp[]][] = [
    ['no list', { match: 'kvm1' }, [/^targets: expected a list/]],
    ['a list of words', ['tcp'], [/^targets\[0\]: expected lines of the form/]],
    ['an unknown way', [{ via: 'carrier-pigeon', ca_file: 'x' }], [/^targets\[0\]\.via: expected tcp, tls/]],
    ['an unknown member', [{ color: 'blue' }], [/^targets\[0\]\.color: unknown$/]],
    [
      'members of other ways',
      [{ via: 'tls', path: '/' }, { ca_file: '/x' }, { via: 'unix', path: '/x', port: 1 }],
      [
        /^targets\[0\]\.path: not with via: tls, only with unix, ws, wss$/,
        /^targets\[1\]\.ca_file: not with via: tcp, only with tls, wss$/,
        /^targets\[2\]\.port: not with via: unix/,
      ],
    ],
    ['a network that is none', [{ match: '10.0.0.0/33' }], [/^targets\[0\]\.match: expected a host name/]],
    ['a name with a space', [{ match: 'kvm 1' }], [/^targets\[0\]\.match/]],
    [
      'ports that are none',
      [{ port: 0 }, { port: 65536 }, { port: 'vnc' }],
      [/\[0\]\.port/, /\[1\]\.port/, /\[2\]\.port/],
    ],
    [
      'a timeout of nothing',
      [{ connect_timeout: '0' }],
      [/^targets\[0\]\.connect_timeout: expected seconds/],
    ],
    ['a source that is a name', [{ source_address: 'eth0' }], [/source_address: expected an IP address/]],
    [
      'half a pair',
      [{ via: 'tls', cert_file: '/c' }],
      [/^targets\[0\]\.key_file: missing: it goes with cert_file/],
    ],
    [
      'a short fingerprint',
      [{ via: 'tls', fingerprint: 'AB:CD' }],
      [/^targets\[0\]\.fingerprint: expected a SHA-256/],
    ],
    ['unix without a path', [{ via: 'unix' }], [/^targets\[0\]\.path: missing/]],
    [
      'unix with a relative path',
      [{ via: 'unix', path: 'x.sock' }],
      [/^targets\[0\]\.path: expected an absolute/],
    ],
    ['unix with an endless path', [{ via: 'unix', path: `/${'x'.repeat(107)}` }], [/at most 107 bytes/]],
    ['a URL for a path', [{ via: 'ws', path: 'ws://x/' }], [/^targets\[0\]\.path: expected a path/]],
    ['another host in a path', [{ via: 'ws', path: '//evil/' }], [/^targets\[0\]\.path: expected a path/]],
    ['a line break in a path', [{ via: 'ws', path: '/a\r\nX: y' }], [/^targets\[0\]\.path: expected a path/]],
    ...[
      '*',
      'portal.example.com',
      'ws://portal.example.com',
      'file:///x',
      'https://portal.example.com/vnc',
      'https://portal.example.com?x',
      'https://user@portal.example.com',
      'https://a.example, https://b.example',
      'https://a b',
      'https://a\r\nX: y',
      'https://a:70000',
      'https://[::1',
      'https://',
      'Null',
    ].map((origin): (typeof wrong)[number] => [
      `the origin ${JSON.stringify(origin)}`,
      [{ via: 'wss', origin }],
      [/^targets\[0\]\.origin: expected an origin such as/],
    ]),
    [
      'an origin where there is no WebSocket',
      [{ origin: 'https://a.example' }, { via: 'tls', origin: 'null' }],
      [
        /^targets\[0\]\.origin: not with via: tcp, only with ws, wss$/,
        /^targets\[1\]\.origin: not with via: tls/,
      ],
    ],
    ['a user name of two lines', [{ vnc_user: 'a\nb' }], [/^targets\[0\]\.vnc_user: expected a user name/]],
    ['a user name without end', [{ vnc_user: 'a'.repeat(257) }], [/^targets\[0\]\.vnc_user: .* 256 bytes/]],
    ['ssh without a way to log in', [{ via: 'ssh' }], [/^targets\[0\]\.key_file: missing/]],
    ['what nobody can require', [{ require: 'magic' }], [/^targets\[0\]\.require: expected tls, x509/]],
    ['a list where a value belongs', [{ match: ['a', 'b'] }], [/^targets\[0\]\.match: expected a value/]],
    ['an unknown member of a part', [{ vnc_tls: { pin: 'x' } }], [/^targets\[0\]\.vnc_tls\.pin: unknown$/]],
    ['a part that is a word', [{ vnc_tls: 'yes' }], [/^targets\[0\]\.vnc_tls: expected lines/]],
  ];

  it.each(wrong)('are refused with %s, and the place is named', (_what, value, expected) => {
    const problems = problemsOf(value);
    expect(problems).toHaveLength(expected.length);
    for (const [index, pattern] of expected.entries()) expect(problems[index]).toMatch(pattern);
  });

  it('are refused with all problems at once', () => {
    expect(problemsOf([{ via: 'tls', port: 'x', color: 1 }, {}, { via: 'no' }])).toHaveLength(3);
  });
});

describe('the rule that a host takes', () => {
  const rules = parseTargetRules([
    { match: 'KVM1' },
    { match: '*.Example.com' },
    { match: 'rack?-*' },
    { match: '192.0.2.7' },
    { match: '2001:db8::/32' },
    { match: '10.0.0.0/8' },
    { match: '127.0.0.0/8' },
  ]);
  const cases: [host: string, rule: number | undefined][] = [
    ['kvm1', 0],
    ['kvm10', undefined],
    ['kvm1.example.com', 1],
    ['a.b.EXAMPLE.com', 1],
    ['example.com', undefined],
    ['kvm1xexample.com', undefined],
    ['rack7-node12', 2],
    ['rack77-node12', undefined],
    ['192.0.2.7', 3],
    ['::ffff:192.0.2.7', 3],
    ['192.0.2.8', undefined],
    ['2001:db8:1::1', 4],
    ['10.255.255.255', 5],
    ['11.0.0.0', undefined],
    ['localhost', 6],
    ['nosuchname.invalid', undefined],
  ];
  it.each(cases)('%s takes number %s', async (host, index) => {
    const rule = await chooseRule(rules, { host, port: 5900 }, never);
    expect(rule).toBe(index === undefined ? undefined : rules[index]);
  });

  it('is the first that matches', async () => {
    const two = parseTargetRules([{ match: '*' }, { match: 'kvm1' }]);
    expect(await chooseRule(two, { host: 'kvm1', port: 5900 }, never)).toBe(two[0]);
  });

  it('needs no answer for a name where no rule by address comes first', async () => {
    const two = parseTargetRules([{ match: 'nosuchname.invalid' }, { match: '10.0.0.0/8' }]);
    const gone = new AbortController();
    const chosen = chooseRule(two, { host: 'nosuchname.invalid', port: 5900 }, gone.signal);
    gone.abort();
    expect(await chosen).toBe(two[0]);
  });
});

describe('an address', () => {
  /** @returns what it is refused as; undefined where it is allowed */
  function refusal(host: string, address: string, rule?: object): string | undefined {
    const [one] = rule === undefined ? [] : parseTargetRules([rule]);
    const { host: dialled, permission = { named: false } } = hopOf(one, { host, port: 5900 }, 5900);
    const family = address.includes(':') ? 6 : 4;
    return sortOut(dialled, [{ address, family }], permission).refused[0];
  }

  it.each([
    ['node1', '10.0.0.1'],
    ['node1', '2001:db8::1'],
    ['node1', '100.100.100.201'],
    ['node1', '168.63.129.17'],
    ['node1', 'fd00:ec3::254'],
    ['node1', 'fd12:3456:789a::5efe:a00:1'],
    ['node1', '2001:db8::5eff:a9fe:a9fe'],
    ['node1', '2002:a00:1::1'],
    ['node1', '2002:c000:204:a9fe:a9fe::'],
    ['node1', '2001:0:a00:1:0:0:f5ff:fffe'],
    ['node1', '::10.0.0.1'],
    ['node1', '::ffff:0:10.0.0.1'],
    ['node1', '::ffff:10.0.0.1'],
    ['10.0.0.1', '10.0.0.1'],
    ['localhost', '127.0.0.1'],
    ['LOCALHOST', '::1'],
    ['127.0.0.1', '127.0.0.1'],
    ['127.3.2.1', '127.3.2.1'],
    ['::1', '::1'],
    ['::ffff:127.0.0.1', '::ffff:127.0.0.1'],
  ])('of %s, %s, is dialled', (host, address) => {
    expect(refusal(host, address)).toBeUndefined();
  });

  it.each([
    ['node1', '127.0.1.1', 'loopback'],
    ['node1', '::1', 'loopback'],
    ['node1', '::ffff:127.0.0.1', 'loopback'],
    ['node1', '::ffff:7f00:1', 'loopback'],
    ['localhost.example.com', '127.0.0.1', 'loopback'],
    ['127.1', '127.0.0.1', 'loopback'],
    ['node1', '169.254.169.254', 'link-local'],
    ['169.254.169.254', '169.254.169.254', 'link-local'],
    ['::ffff:169.254.169.254', '::ffff:169.254.169.254', 'link-local'],
    ['::ffff:a9fe:a9fe', '::ffff:a9fe:a9fe', 'link-local'],
    ['fe80::1', 'fe80::1', 'link-local'],
    ['node1', 'fe80::1%eth0', 'link-local'],
    ['0.0.0.0', '0.0.0.0', 'unspecified'],
    ['localhost', '0.0.0.0', 'unspecified'],
    ['::', '::', 'unspecified'],
    ['::ffff:0.0.0.0', '::ffff:0.0.0.0', 'unspecified'],
    ['224.0.0.1', '224.0.0.1', 'multicast'],
    ['239.255.255.250', '239.255.255.250', 'multicast'],
    ['255.255.255.255', '255.255.255.255', 'multicast'],
    ['ff02::1', 'ff02::1', 'multicast'],
    ['node1', '100.100.100.200', 'cloud metadata'],
    ['100.100.100.200', '100.100.100.200', 'cloud metadata'],
    ['node1', '::ffff:100.100.100.200', 'cloud metadata'],
    ['node1', '168.63.129.16', 'cloud metadata'],
    ['node1', '192.0.0.192', 'cloud metadata'],
    ['node1', 'fd00:ec2::254', 'cloud metadata'],
    ['fd00:0ec2:0:0:0:0:0:254', 'fd00:0ec2:0:0:0:0:0:254', 'cloud metadata'],
    ['node1', 'fd20:ce::254', 'cloud metadata'],
    ['node1', 'fe80::a9fe:a9fe', 'link-local'],
    ['node1', 'febf::1', 'link-local'],
    ['node1', '64:ff9b::a9fe:a9fe', 'NAT64'],
    ['node1', '64:ff9b::10.0.0.1', 'NAT64'],
    ['64:ff9b::7f00:1', '64:ff9b::7f00:1', 'NAT64'],
    ['localhost', '64:ff9b::7f00:1', 'NAT64'],
    ['node1', '64:ff9b:1::10.0.0.1', 'NAT64'],
    ['node1', '64:ff9b:1:a9fe:a9:fe00::', 'NAT64'],
    ['node1', '2002:a9fe:a9fe::1', 'link-local 169.254.169.254 inside'],
    ['2002:7f00:1::', '2002:7f00:1::', 'loopback 127.0.0.1 inside'],
    ['node1', '2002:6464:64c8::1', 'cloud metadata 100.100.100.200 inside'],
    ['node1', '2002:a83f:8110:1::1', 'cloud metadata 168.63.129.16 inside'],
    ['node1', '2002:e000:1::1', 'multicast 224.0.0.1 inside'],
    ['node1', '2001:db8::5efe:169.254.169.254', 'link-local 169.254.169.254 inside'],
    ['node1', '2001:db8::200:5efe:a9fe:a9fe', 'link-local 169.254.169.254 inside'],
    ['node1', 'fd00::200:5efe:127.0.0.1', 'loopback 127.0.0.1 inside'],
    ['node1', '::169.254.169.254', 'link-local 169.254.169.254 inside'],
    ['::127.0.0.1', '::127.0.0.1', 'loopback 127.0.0.1 inside'],
    ['node1', '::ffff:0:169.254.169.254', 'link-local 169.254.169.254 inside'],
    ['node1', '::ffff:0:127.0.0.1', 'loopback 127.0.0.1 inside'],
    ['node1', '2001:0:a9fe:a9fe::f5ff:fffe', 'link-local 169.254.169.254 inside'],
    ['node1', '2001:0:a00:1::5601:5601', 'link-local 169.254.169.254 inside'],
  ])('of %s, %s, is not dialled: %s', (host, address, what) => {
    expect(refusal(host, address)).toBe(`${address} (${what})`);
  });

  const spokenFor: [what: string, host: string, address: string, rule: object, allowed: boolean][] = [
    ['the host by its name', 'node1', '127.0.1.1', { match: 'node1' }, true],
    ['the host by a pattern', 'node1', '127.0.1.1', { match: 'node*' }, false],
    ['every host', 'node1', '169.254.1.1', {}, false],
    ['the address', '169.254.1.1', '169.254.1.1', { match: '169.254.1.1' }, true],
    ['the address of a name', 'node1', '169.254.1.1', { match: '169.254.1.1' }, true],
    ['a network of such addresses', 'node1', '169.254.1.1', { match: '169.254.0.0/16' }, true],
    ['a network far around', 'node1', '169.254.1.1', { match: '0.0.0.0/0' }, false],
    ['loopback', 'node1', '127.0.1.1', { match: '127.0.0.0/8' }, true],
    ['link-local of IPv6', 'node1', 'fe80::1', { match: 'fe80::/10' }, true],
    ['everything of IPv6', 'node1', 'fe80::1', { match: '::/0' }, false],
    ['the host, which is metadata', 'node1', '100.100.100.200', { match: 'node1' }, true],
    ['metadata', 'node1', '100.100.100.200', { match: '100.100.100.200' }, true],
    ['a network around metadata', 'node1', '100.100.100.200', { match: '100.64.0.0/10' }, false],
    ['NAT64', 'node1', '64:ff9b::10.0.0.1', { match: '64:ff9b::/96' }, true],
    ['a part of NAT64', 'node1', '64:ff9b::10.0.0.1', { match: '64:ff9b::a00:0/104' }, true],
    ['NAT64, for link-local', 'node1', '64:ff9b::169.254.1.1', { match: '64:ff9b::/96' }, false],
    ['NAT64, for loopback', '64:ff9b::7f00:1', '64:ff9b::7f00:1', { match: '64:ff9b::/96' }, false],
    ['NAT64, for metadata', 'node1', '64:ff9b::100.100.100.200', { match: '64:ff9b::/96' }, false],
    ['link-local in NAT64', 'node1', '64:ff9b::169.254.1.1', { match: '64:ff9b::a9fe:0/112' }, true],
    ['NAT64 of its own, /96', 'node1', '64:ff9b:1::10.0.0.1', { match: '64:ff9b:1::/48' }, true],
    ['NAT64 of its own, /48', 'node1', '64:ff9b:1:a00:0:100::', { match: '64:ff9b:1::/48' }, true],
    ['the same, /96, metadata', 'node1', '64:ff9b:1::a9fe:a9fe', { match: '64:ff9b:1::/48' }, false],
    ['the same, /64, metadata', 'node1', '64:ff9b:1:7:a9:fea9:fe00::', { match: '64:ff9b:1::/48' }, false],
    ['the same, /56, metadata', 'node1', '64:ff9b:1:1a9:fe:a9fe::', { match: '64:ff9b:1::/48' }, false],
    ['the same, /48, metadata', 'node1', '64:ff9b:1:a9fe:a9:fe00::', { match: '64:ff9b:1::/48' }, false],
    ['6to4', 'node1', '2002:a9fe:101::1', { match: '2002::/16' }, false],
    ['link-local in 6to4', 'node1', '2002:a9fe:101::1', { match: '2002:a9fe::/32' }, true],
    ['ISATAP here', 'node1', '2001:db8::5efe:7f00:1', { match: '2001:db8::/96' }, false],
    ['loopback in ISATAP', 'node1', '2001:db8::5efe:7f00:1', { match: '2001:db8::5efe:7f00:0/104' }, true],
    ['another address in its place', 'node1', '127.0.0.1', { match: '*', address: '127.0.0.1' }, true],
    ['another name in its place', 'node1', '127.0.0.1', { match: 'node1', address: 'agent' }, false],
    ['localhost in its place', 'node1', '127.0.0.1', { match: '*', address: 'localhost' }, true],
  ];
  it.each(spokenFor)('is a matter of rules: one that names %s', (_what, host, address, rule, allowed) => {
    expect(refusal(host, address, rule) === undefined).toBe(allowed);
  });

  it('that is refused leaves the others of its host', () => {
    const all = ['127.0.1.1', '10.0.0.1'].map((address) => ({ address, family: 4 }));
    expect(sortOut('node1', all, { named: false })).toEqual({
      allowed: [{ address: '10.0.0.1', family: 4 }],
      refused: ['127.0.1.1 (loopback)'],
    });
  });
});

describe('ports and paths', () => {
  const target = { host: 'node1', port: 5907, vmId: 42 };

  it('follow the VM', () => {
    expect(portOf(undefined, target)).toBe(5907);
    expect(portOf({ fixed: 443 }, target)).toBe(443);
    expect(portOf({ shift: -200 }, target)).toBe(5707);
    expect(fillIn('/run/%i/%i-%p', target)).toBe('/run/42/42-5907');
  });

  it('are errors where there is no such port, or no id', () => {
    expect(() => portOf({ shift: 65_000 }, target)).toThrow('target node1:5907: port 70907 is none');
    expect(() => portOf({ shift: -5907 }, target)).toThrow('port 0 is none');
    expect(() => fillIn('/run/%i', { host: 'node1', port: 5907 })).toThrow("needs the VM's id");
    expect(fillIn('/run/%p', { host: 'node1', port: 5907 })).toBe('/run/5907');
  });
});
