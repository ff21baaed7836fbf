// What `redis_url` says: which servers, how they belong together, and who we are to them.
// What always holds: a message about it never quotes it, for a password stands in it.
import { StartError } from '../../errors.js';

export interface RedisServer {
  readonly host: string;
  readonly port: number;
}

export interface RedisLogin {
  /** Undefined: Redis's user `default`. */
  readonly user: string | undefined;
  /** A secret. */
  readonly password: string;
}

/** Files in PEM. */
export interface RedisTls {
  /** Authorities that the servers' certificates come from; undefined: the system's. */
  readonly caFile: string | undefined;
  /** Our own certificate and its key, where the servers want one. */
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
}

interface Common {
  /** One at least. */
  readonly servers: readonly [RedisServer, ...RedisServer[]];
  readonly login: RedisLogin | undefined;
  /** Undefined: plain TCP. */
  readonly tls: RedisTls | undefined;
}

export type RedisAddress =
  | (Common & { readonly kind: 'single'; readonly database: number })
  | (Common & {
      /** `servers` are the Sentinels. */
      readonly kind: 'sentinel';
      readonly masterName: string;
      readonly database: number;
      /** What the Sentinels themselves want to know; they have users of their own. */
      readonly sentinelLogin: RedisLogin | undefined;
    })
  | (Common & { /** `servers` are some of the cluster. */ readonly kind: 'cluster' });

const FORM =
  /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const HOST = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/;
const MASTER_NAME = /^[A-Za-z0-9._-]{1,100}$/;

const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;
const MAX_SERVERS = 32;
const MAX_DATABASE = 9999;

const PARAMETERS = ['ca', 'cert', 'key', 'sentinel_user', 'sentinel_password'];

/**
 * `redis://[user:password@]host[:port][/database]`, `redis+sentinel://…host,host/master-name[/database]`,
 * `redis+cluster://…host,host`; with `rediss` over TLS. User, password and parameters are percent-encoded.
 * @throws StartError naming `redis_url`
 */
export function parseRedisUrl(text: string): RedisAddress {
  const match = FORM.exec(text.trim());
  if (match === null) {
    throw wrong(
      'expected redis://[user:password@]host:port; in a password, write @ / ? # % : as %40 and so on',
    );
  }
  const [, scheme, kind, login, hosts = '', path = '', query = ''] = match;
  const parameters = parametersOf(query);
  const servers = serversOf(hosts, kind === 'sentinel' ? SENTINEL_PORT : REDIS_PORT);
  const common = { servers, login: loginOf(login), tls: tlsOf(scheme === 'rediss', parameters) };
  const sentinelLogin = sentinelLoginOf(parameters);
  if (sentinelLogin !== undefined && kind !== 'sentinel')
    throw wrong('sentinel_password is for redis+sentinel');
  if (kind === 'cluster') {
    if (path !== '') throw wrong('a cluster has no databases');
    return { kind: 'cluster', ...common };
  }
  if (kind === 'sentinel') {
    const [masterName = '', database, ...more] = path.split('/');
    if (!MASTER_NAME.test(masterName) || more.length > 0)
      throw wrong('expected /master-name after the Sentinels');
    return { kind: 'sentinel', ...common, masterName, database: databaseOf(database), sentinelLogin };
  }
  if (servers.length > 1) throw wrong('several hosts need redis+sentinel:// or redis+cluster://');
  return { kind: 'single', ...common, database: databaseOf(path) };
}

/** As it is written in messages. */
export function serverName({ host, port }: RedisServer): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function serversOf(hosts: string, defaultPort: number): Common['servers'] {
  const [first, ...more] = hosts.split(',').map((one) => {
    const [, ipv6, name, port] = HOST.exec(one) ?? [];
    const host = ipv6 ?? name;
    const number = port === undefined ? defaultPort : Number(port);
    if (host === undefined || number < 1 || number > 65_535) throw wrong('expected host:port');
    return { host, port: number };
  });
  if (first === undefined || more.length >= MAX_SERVERS) throw wrong(`more than ${MAX_SERVERS} hosts`);
  return [first, ...more];
}

function loginOf(text: string | undefined): RedisLogin | undefined {
  if (text === undefined || text === '') return undefined;
  const colon = text.indexOf(':');
  const password = decoded(text.slice(colon + 1));
  if (colon < 0 || password === '') throw wrong('a user needs a password: user:password@');
  const user = decoded(text.slice(0, colon));
  return { user: user === '' ? undefined : user, password };
}

function databaseOf(text = ''): number {
  if (text === '') return 0;
  if (!/^\d{1,4}$/.test(text) || Number(text) > MAX_DATABASE) throw wrong('the database is a number');
  return Number(text);
}

function parametersOf(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const part of query.split('&').filter((one) => one !== '')) {
    const equals = part.indexOf('=');
    const name = part.slice(0, Math.max(0, equals));
    // Its text may be a part of a password that was not encoded.
    if (!PARAMETERS.includes(name)) throw wrong(`the parameters are ${PARAMETERS.join(', ')}`);
    const value = decoded(part.slice(equals + 1));
    if (value === '' || parameters.has(name)) throw wrong(`${name} needs one value`);
    parameters.set(name, value);
  }
  return parameters;
}

function tlsOf(isTls: boolean, parameters: ReadonlyMap<string, string>): RedisTls | undefined {
  const [caFile, certFile, keyFile] = ['ca', 'cert', 'key'].map((name) => parameters.get(name));
  if (!isTls && (caFile ?? certFile ?? keyFile) !== undefined)
    throw wrong('ca, cert and key are for rediss://');
  if ((certFile === undefined) !== (keyFile === undefined)) throw wrong('cert and key belong together');
  return isTls ? { caFile, certFile, keyFile } : undefined;
}

function sentinelLoginOf(parameters: ReadonlyMap<string, string>): RedisLogin | undefined {
  const user = parameters.get('sentinel_user');
  const password = parameters.get('sentinel_password');
  if (password !== undefined) return { user, password };
  if (user !== undefined) throw wrong('sentinel_user needs sentinel_password');
  return undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong('a % that begins no %XX; write % itself as %25');
  }
}

function wrong(problem: string): StartError {
  return new StartError(`redis_url: ${problem}`);
}
