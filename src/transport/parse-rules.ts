// From what the configuration holds under `targets` to rules.
// What always holds: all problems are told at once, each with its place; an unknown member is one of them.
import { isAbsolute } from 'node:path';
import { host, integer, seconds, text } from '../config/types.js';
import { parseHostMatch } from './host-match.js';
import { parser, RuleReader } from './rule-reader.js';
import {
  type PortRule,
  type SecurityRequirement,
  securityRequirements,
  type TargetRule,
  type TlsFiles,
  type Via,
} from './rules.js';
import type { SshRule } from './ssh-rule.js';
import { MAX_SOCKET_PATH_BYTES } from './unix.js';

/** `targets` is wrong; `problems` has every reason, one line each. */
export class TargetRulesError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** Which way knows which members; all know the others. */
const membersOf: Readonly<Record<string, readonly Via[]>> = {
  port: ['tcp', 'tls', 'ws', 'wss', 'ssh'],
  address: ['tcp', 'tls', 'ws', 'wss', 'ssh'],
  source_address: ['tcp', 'tls', 'ws', 'wss', 'ssh'],
  ca_file: ['tls', 'wss'],
  cert_file: ['tls', 'wss'],
  key_file: ['tls', 'wss', 'ssh'],
  server_name: ['tls', 'wss'],
  fingerprint: ['tls', 'wss'],
  path: ['unix', 'ws', 'wss'],
  origin: ['ws', 'wss'],
  user: ['ssh'],
  passphrase_file: ['ssh'],
  agent: ['ssh'],
  known_hosts: ['ssh'],
  listen: ['ssh'],
};

/** OpenNebula keeps the host keys of its hypervisors in oneadmin's home. */
const KNOWN_HOSTS = ['/etc/ssh/ssh_known_hosts', '/var/lib/one/.ssh/known_hosts'];
const MAX_PORT = 65_535;
/** A query or a path longer than this is none that anybody meant. */
const MAX_PATH_CHARS = 1_024;
/** No account has a longer name; Linux's have 32 characters at most. */
const MAX_USER_BYTES = 256;

const ways: readonly Via[] = ['tcp', 'tls', 'ssh', 'unix', 'ws', 'wss'];

const via = parser<Via>(`expected ${ways.slice(0, -1).join(', ')} or ${ways.at(-1)}`, (value) =>
  ways.find((way) => way === value.toLowerCase()),
);

const hostMatch = parser(
  'expected a host name, a pattern such as *.example.com, an IP address, or a network such as 10.0.0.0/8',
  parseHostMatch,
);

const ipAddress = parser('expected an IP address', (value) => {
  const match = parseHostMatch(value);
  return match?.kind === 'network' && !value.includes('/') ? value : undefined;
});

const portRule = parser<PortRule>(
  "expected a port, or how far it is from the VM's own, such as +100 or -200",
  (value) => {
    const match = /^([+-]?)(\d{1,5})$/.exec(value);
    const number = Number(match?.[2]);
    if (match === null || number > MAX_PORT) return undefined;
    if (match[1] === '') return number > 0 ? { fixed: number } : undefined;
    return { shift: match[1] === '-' ? -number : number };
  },
);

const fingerprint = parser('expected a SHA-256 of 64 hexadecimal digits, with or without colons', (value) =>
  /^([0-9a-f]{2}:?){31}[0-9a-f]{2}$/i.test(value) ? value.replaceAll(':', '').toLowerCase() : undefined,
);

const requirement = parser<SecurityRequirement>(
  `expected ${securityRequirements.slice(0, -1).join(', ')} or ${securityRequirements.at(-1)}`,
  (value) => securityRequirements.find((one) => one === value.toLowerCase()),
);

const vncUser = parser(
  `expected a user name of at most ${MAX_USER_BYTES} bytes, without control characters`,
  (value) => (Buffer.byteLength(value) <= MAX_USER_BYTES && !/\p{Cc}/u.test(value) ? value : undefined),
);

const socketPath = parser(
  `expected an absolute path of at most ${MAX_SOCKET_PATH_BYTES} bytes, with %i for the VM's id`,
  (value) => (isAbsolute(value) && Buffer.byteLength(value) <= MAX_SOCKET_PATH_BYTES ? value : undefined),
);

const urlPath = parser(
  "expected a path that begins with a slash, with %i for the VM's id and %p for its port",
  (value) =>
    value.length <= MAX_PATH_CHARS && /^\/(?!\/)[\x21-\x7e]*$/.test(value) && !value.includes('#')
      ? value
      : undefined,
);

/** Written as a browser would: what is compared with it elsewhere is the text. */
const originHeader = parser(
  'expected an origin such as https://portal.example.com or http://10.0.0.1:8080, without a path, or null',
  (value) => {
    if (value === 'null') return value;
    if (value.length > MAX_PATH_CHARS || !/^https?:\/\/\S+$/i.test(value) || !URL.canParse(value)) {
      return undefined;
    }
    const { origin, href } = new URL(value);
    return href === `${origin}/` ? origin : undefined;
  },
);

/**
 * @param value the list in the configuration; nothing is an empty one
 * @throws TargetRulesError with all problems
 */
export function parseTargetRules(value: unknown): TargetRule[] {
  if (value === undefined || value === null || value === '') return [];
  if (!Array.isArray(value)) throw new TargetRulesError(['targets: expected a list of rules']);
  const problems: string[] = [];
  const rules = value.flatMap((one, index) => readRule(`targets[${index}]`, one, problems) ?? []);
  if (problems.length > 0) throw new TargetRulesError(problems);
  return rules;
}

function readRule(setting: string, value: unknown, problems: string[]): TargetRule | undefined {
  const before = problems.length;
  const reader = new RuleReader(setting, value, problems);
  if (problems.length > before) return undefined;
  const way = reader.take('via', via) ?? 'tcp';
  // Whether the rest fits cannot be said of a way that is none.
  if (problems.length > before) return undefined;
  // Members of other ways stay where they are, to be told as such.
  const own = (name: string): boolean => membersOf[name]?.includes(way) ?? true;
  const take = <T>(name: string, parse: Parameters<typeof reader.take<T>>[1]): T | undefined =>
    own(name) ? reader.take(name, parse) : undefined;
  const connectTimeoutSeconds = reader.take('connect_timeout', seconds(0.1, 600));
  const common = {
    setting,
    match: reader.take('match', hostMatch) ?? ({ kind: 'any' } as const),
    address: take('address', host()),
    connectTimeoutMs: connectTimeoutSeconds === undefined ? undefined : connectTimeoutSeconds * 1000,
    sourceAddress: take('source_address', ipAddress),
    require: reader.takeList('require', requirement) ?? [],
    vncTls: reader.takePart('vnc_tls', readTlsFiles),
    vncUser: reader.take('vnc_user', vncUser),
  };
  const rule = readWay(way, common, reader);
  reader.finish((name) => {
    const known = membersOf[name];
    return known === undefined ? 'unknown' : `not with via: ${way}, only with ${known.join(', ')}`;
  });
  return rule;
}

type Common = Pick<
  TargetRule,
  'setting' | 'match' | 'address' | 'connectTimeoutMs' | 'sourceAddress' | 'require' | 'vncTls' | 'vncUser'
>;

function readWay(way: Via, common: Common, reader: RuleReader): TargetRule | undefined {
  switch (way) {
    case 'tcp':
      return { ...common, via: way, port: reader.take('port', portRule) };
    case 'tls':
      return { ...common, via: way, port: reader.take('port', portRule), tls: readTlsFiles(reader) };
    case 'unix': {
      if (!reader.has('path')) reader.problem('path', 'missing: the path of the socket');
      const path = reader.take('path', socketPath);
      return path === undefined ? undefined : { ...common, via: way, path };
    }
    case 'ws':
    case 'wss': {
      const port = reader.take('port', portRule);
      const path = reader.take('path', urlPath) ?? '/';
      const origin = reader.take('origin', originHeader);
      return { ...common, via: way, port, path, origin, tls: way === 'wss' ? readTlsFiles(reader) : {} };
    }
    case 'ssh':
      return { ...common, via: way, ssh: readSsh(common, reader) };
  }
}

/** Members that `tls`, `wss` and `vnc_tls` share. */
function readTlsFiles(reader: RuleReader): TlsFiles {
  for (const [one, other] of [
    ['cert_file', 'key_file'],
    ['key_file', 'cert_file'],
  ] as const) {
    if (reader.has(one) && !reader.has(other)) reader.problem(other, `missing: it goes with ${one}`);
  }
  return {
    caFile: reader.take('ca_file', text()),
    certFile: reader.take('cert_file', text()),
    keyFile: reader.take('key_file', text()),
    serverName: reader.take('server_name', host()),
    fingerprint: reader.take('fingerprint', fingerprint),
  };
}

function readSsh(common: Common, reader: RuleReader): SshRule {
  if (!reader.has('key_file') && !reader.has('agent')) {
    reader.problem('key_file', 'missing: how to log in, unless agent says it');
  }
  return {
    user: reader.take('user', text()),
    port: reader.take('port', integer(1, MAX_PORT)),
    keyFile: reader.take('key_file', text()),
    passphraseFile: reader.take('passphrase_file', text()),
    agent: reader.take('agent', text()),
    knownHosts: reader.takeList('known_hosts', text()) ?? KNOWN_HOSTS,
    listen: reader.take('listen', host()),
    address: common.address,
    connectTimeoutMs: common.connectTimeoutMs,
  };
}
