// The option table: every key once, with type, default and help. `--help`, `check-config`, the README's table and
// the checks all come from it.
import type { z } from 'zod';
import * as type from './types.js';

export interface Option {
  /** Turns the text of the setting into its value. */
  readonly type: z.ZodType<unknown, string>;
  /** As one would write it in the file; undefined: not set. */
  readonly default: string | undefined;
  readonly help: string;
  /** May be read from OpenNebula's sunstone-server.conf as well. */
  readonly sunstone?: true;
  /** Not on the command line, where every user of the host could read it. */
  readonly secret?: true;
  /** A change takes effect at the next start, not at a reload. */
  readonly needsRestart?: true;
}

const DAY_SECONDS = 86_400;

export const options = {
  host: {
    type: type.host(),
    default: '127.0.0.1',
    help: 'address of the XML-RPC listener',
    needsRestart: true,
  },
  port: { type: type.port(), default: '2644', help: 'port of the XML-RPC listener', needsRestart: true },
  one_xmlrpc: {
    type: type.httpUrl(),
    default: 'http://localhost:2633/RPC2',
    help: "oned's XML-RPC address",
    sunstone: true,
  },
  zone_id: {
    type: type.integer(0, 2_147_483_647),
    default: undefined,
    help: "id of oned's zone, where services of several zones share Redis or sealed keys; not set: what oned says",
  },
  oned_timeout: {
    type: type.seconds(0.1, 600),
    default: '10',
    help: 'seconds for a call of oned, the wait for its turn included',
  },
  oned_connections: {
    type: type.integer(1, 1000),
    default: '8',
    help: 'calls of oned at a time; the rest wait, in turns by user',
  },
  max_body: {
    type: type.integer(1024, 16_777_216),
    default: '65536',
    help: 'bytes of an XML-RPC request at most',
    needsRestart: true,
  },
  debug_level: {
    type: type.integer(0, 3),
    default: '2',
    help: 'log: 0 error, 1 warning, 2 info, 3 debug',
    sunstone: true,
  },
  log_file: {
    type: type.text(),
    default: undefined,
    help: 'log file; not set: standard output',
    needsRestart: true,
  },
  token_ttl: {
    type: type.seconds(1, DAY_SECONDS),
    default: '600',
    help: 'seconds within which a token must be used',
  },
  reconnect_grace: {
    type: type.seconds(0, DAY_SECONDS),
    default: '60',
    help: 'seconds for which a used token opens its console again after the last session on it',
  },
  token_max_age: {
    type: type.seconds(0, 30 * DAY_SECONDS),
    default: '43200',
    help: 'seconds after its issue at which a token and its sessions end; 0: never',
  },
  token_sessions: {
    type: type.tokenSessions(),
    default: 'single',
    help: 'sessions at a time on one token: single (a second one takes over) or shared',
  },
  bind_client: {
    type: type.bindClient(),
    default: 'no',
    help: 'ip: only the address that used a token first may use it again (IPv6: its /64)',
  },
  token_store: {
    type: type.tokenStore(),
    default: 'file',
    help: 'where tokens are kept: file, memory, redis, or sealed (in themselves)',
    needsRestart: true,
  },
  redis_url: {
    type: type.text(),
    default: undefined,
    help: 'redis://, rediss://, redis+sentinel://, redis+cluster:// (and rediss+…) with user, password, hosts',
    secret: true,
    needsRestart: true,
  },
  redis_prefix: {
    type: type.redisPrefix(),
    default: 'vnctoken:',
    help: 'in front of every key and channel in Redis',
    needsRestart: true,
  },
  sealed_keys: {
    type: type.text(),
    default: undefined,
    help: 'file with the keys of sealed tokens, mode 0600; the first one seals, all of them open',
  },
  service_auth: {
    type: type.text(),
    default: undefined,
    help: "file like one_auth with a session of the service's own, mode 0600: VMs and their users are looked at again",
  },
  recheck_interval: {
    type: type.seconds(1, DAY_SECONDS),
    default: '60',
    help: 'seconds between looks at live sessions, their VMs and users; with service_auth',
  },
  targets: {
    type: type.targets(),
    default: '',
    help: 'rules for the ways to hypervisors (tcp, tls, ssh, unix, ws, wss); none: plain TCP. See docs/targets.md',
  },
  vnc_auth: {
    type: type.vncAuth(),
    default: 'pass',
    help: "who answers the VNC server's security: proxy (the service, the browser gets no password) or pass (the browser)",
  },
  password_key: {
    type: type.text(),
    default: undefined,
    help: 'file with the key that seals VNC passwords and signs what is in Redis; not set: one that the service makes, for one host',
    needsRestart: true,
  },
  view_only_without_manage: {
    type: type.yesNo(),
    default: 'no',
    help: 'callers whom the VM gives no MANAGE may only look; with vnc_auth proxy',
  },
  clipboard: {
    type: type.clipboard(),
    default: 'both',
    help: 'what text may pass: both, to_vm, from_vm or off; other than both with vnc_auth proxy',
  },
  server_users: {
    type: type.userNames(),
    default: '',
    help: 'accounts of portals that log in for others (serveradmin:alice:…): the second field is the user',
  },
  max_tokens_per_vm: {
    type: type.integer(1, 1_000_000),
    default: '256',
    help: 'live tokens of one VM; where it is full, who has most makes room for who has fewer',
  },
  max_tokens_per_user: {
    type: type.integer(1, 1_000_000),
    default: '1024',
    help: 'live tokens of one user',
  },
  max_sessions_per_vm: {
    type: type.integer(1, 256),
    default: '16',
    help: 'sessions on one VM; where it is full, who has most makes room for who has fewer',
  },
  max_sessions_per_user: {
    type: type.integer(1, 1_000_000),
    default: '64',
    help: 'sessions of one user',
  },
  max_sessions_per_address: {
    type: type.integer(1, 1_000_000),
    default: '64',
    help: 'sessions from one address (IPv6: one /64)',
  },
  max_sessions: { type: type.integer(1, 1_000_000), default: '10000', help: 'sessions on this host' },
  max_unknown_tokens: {
    type: type.integer(1, 1_000_000),
    default: '60',
    help: 'tokens that are not valid, from one address in a minute',
  },
  max_failed_logins: {
    type: type.integer(1, 1_000_000),
    default: '10',
    help: 'failed logins of one user name from one address in five minutes; not of addresses that stand for many',
  },
  max_failed_logins_per_address: {
    type: type.integer(1, 1_000_000),
    default: '1000',
    help: 'failed logins from one address in five minutes; a portal is one address',
  },
  max_calls_per_address: {
    type: type.integer(1, 1_000_000),
    default: '50',
    help: 'XML-RPC calls from one address in a second',
  },
  audit_file: {
    type: type.text(),
    default: undefined,
    help: 'who was given, opened and ended which console, a JSON line each; not set: in the log',
    needsRestart: true,
  },
  control_socket: {
    type: type.text(),
    default: undefined,
    help: 'Unix socket for sessions, tokens and revoke; not set: /run/vnctoken/control.sock, or under $ONE_LOCATION/var',
    needsRestart: true,
  },
  token_folder_name: {
    type: type.folderName(),
    default: 'sunstone_vnc_tokens',
    help: "websockify's token directory, under the state folder",
    needsRestart: true,
  },
  websockify_files: {
    type: type.yesNo(),
    default: 'yes',
    help: 'write tokens for websockify too; with token_store file',
    needsRestart: true,
  },
  vnc_proxy_port: {
    type: type.proxyListen(),
    default: '29876',
    help: 'the proxy: PORT (listens where host does), HOST:PORT, or off',
    sunstone: true,
    needsRestart: true,
  },
  vnc_proxy_support_wss: {
    type: type.wssSupport(),
    default: 'no',
    help: 'TLS on the proxy: no, yes (plain and TLS on one port) or only',
    sunstone: true,
    needsRestart: true,
  },
  vnc_proxy_cert: {
    type: type.text(),
    default: undefined,
    help: 'PEM file with the certificate chain of the proxy',
    sunstone: true,
  },
  vnc_proxy_key: {
    type: type.text(),
    default: undefined,
    help: 'PEM file with the private key of the proxy; not set: it is in vnc_proxy_cert',
    sunstone: true,
  },
  vnc_proxy_ipv6: {
    type: type.yesNo(),
    default: 'no',
    help: 'a bare PORT listens on ::1 or :: as well',
    sunstone: true,
    needsRestart: true,
  },
  public_url: {
    type: type.httpUrl(),
    default: undefined,
    help: 'how browsers reach the proxy: scheme, host, optional path prefix',
  },
  allowed_origins: {
    type: type.origins(),
    default: '',
    help: 'more origins that may open consoles and embed the page; https://*.example.com (one label), null, file:// and schemes of apps by name; * allowed',
  },
  allowed_hosts: {
    type: type.hostNames(),
    default: '',
    help: 'more names under which browsers may call XML-RPC; loopback, host and the name of public_url always',
  },
  trusted_proxies: {
    type: type.networks(),
    default: '127.0.0.0/8,::1',
    help: 'whose X-Forwarded-For counts',
  },
  proxy_ping: {
    type: type.seconds(0.1, 3600),
    default: '30',
    help: 'seconds between WebSocket pings; unanswered twice ends the session',
  },
  proxy_connect_timeout: {
    type: type.seconds(0.1, 600),
    default: '10',
    help: 'seconds to reach the target, its RFB greeting included',
  },
  console_ports: {
    type: type.portRanges(),
    default: '5900-65535',
    help: 'what GRAPHICS/PORT of a VM may be',
  },
  default_console_port: {
    type: type.integer(1, 65_535),
    default: undefined,
    help: "for VMs without GRAPHICS/PORT; not set: they have no console, for 5900 may be another VM's",
  },
  workers: {
    type: type.workers(),
    default: 'auto',
    help: 'processes that relay consoles: a number, or auto, one a core; 1: everything in one process',
    needsRestart: true,
  },
  stop_timeout: { type: type.seconds(0.1, 600), default: '10', help: 'seconds to end after SIGTERM' },
  auth: {
    type: type.text(),
    default: undefined,
    help: "accepted from Sunstone's file, unused",
    sunstone: true,
  },
  core_auth: {
    type: type.text(),
    default: undefined,
    help: "accepted from Sunstone's file, unused",
    sunstone: true,
  },
} as const satisfies Record<string, Option>;

export type OptionName = keyof typeof options;

/** The values of all settings, by key; undefined where not set and without default. */
export type Settings = {
  readonly [K in OptionName]:
    | z.output<(typeof options)[K]['type']>
    | ((typeof options)[K]['default'] extends undefined ? undefined : never);
};

/** Where keys of sunstone-server.conf begin that this service reads besides those marked in the table. */
export const optionNames = Object.keys(options) as OptionName[];

/** The same table, seen as a list of plain options. */
export function optionOf(name: OptionName): Option {
  return options[name];
}

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(options, name);
}
