// The real service as a child process, through its real command line: `node dist/main.js serve`, with
// everything that it reads and writes below a temporary ONE_LOCATION.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';
import { type Child, type Exit, run, startChild } from './child.ts';
import { temporaryFolder } from './folder.ts';
import { atEnd } from './lifetime.ts';
import { freePort } from './ports.ts';
import { findNoSecret, watchCall } from './secret-watch.ts';
import { canConnect, waitFor, within } from './wait.ts';
import { decodeReply, encodeCall, type XmlRpcValue } from './xmlrpc.ts';

/** The built entry, as operators run it. */
export const mainFile = join(import.meta.dirname, '../../dist/main.js');

export type Flags = Record<string, string | number | boolean | readonly string[]>;

export interface ServiceOptions {
  /** Where oned is; a port where nothing listens without. */
  oned?: { url: string };
  /** Configuration keys as on the command line, over the defaults: free ports, `one_xmlrpc`. */
  flags?: Flags;
  /** Defaults that are not to be on the command line, since a file or the environment gives them. */
  without?: readonly string[];
  env?: Record<string, string>;
  /** To start again on the state of an earlier one. */
  oneLocation?: string;
  /** Another installation's entry. */
  main?: string;
  /** Texts for etc/sunstone-server.conf and etc/vnctoken-server.conf. */
  sunstoneConfig?: string;
  ownConfig?: string;
  /** Where the log goes when a configuration file (and no flag) says so. */
  logFile?: string;
}

export type LogLine = Record<string, unknown> & { msg?: string; level?: number | string };

/** `[true, value, 0]` or `[false, message, code]`. */
export type OneReply = [ok: boolean, value: XmlRpcValue, code: number];

export interface HttpReply {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface RawCallOptions {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
}

export interface Service {
  host: string;
  rpcPort: number;
  /** 0 where the proxy is off. */
  proxyPort: number;
  rpcUrl: string;
  /** ws:// or wss://, without a path. */
  proxyUrl: string;
  oneLocation: string;
  /** `var/vnctoken`: grants at rest. */
  stateFolder: string;
  /** `var/sunstone_vnc_tokens`: websockify's files. */
  tokenFolder: string;
  child: Child;
  /** Everything logged so far; a line that is no JSON object is an error. */
  logLines(): LogLine[];
  waitForLog(matches: (line: LogLine) => boolean, what: string): Promise<LogLine>;
  /** Calls a method as a portal does; HTTP errors and faults are errors here. */
  call(method: string, params: readonly XmlRpcValue[], options?: RawCallOptions): Promise<OneReply>;
  /** Sends any body and gives the plain HTTP answer. */
  rawCall(body: string | Buffer, options?: RawCallOptions): Promise<HttpReply>;
  /** A fresh token for a VM, by one.vm.vnctokenonly. */
  issueToken(vmId: number, session?: string): Promise<string>;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and how it ended. */
  stop(): Promise<Exit>;
}

export async function startService(options: ServiceOptions = {}): Promise<Service> {
  const oneLocation = options.oneLocation ?? temporaryFolder();
  writeConfiguration(oneLocation, options);
  const defaults: Flags = {
    port: await freePort(),
    vnc_proxy_port: await freePort(),
    // One process, unless a test is about several: it starts faster, and its pid is the one that does the work.
    workers: 1,
    one_xmlrpc: options.oned?.url ?? `http://127.0.0.1:${await freePort()}/RPC2`,
  };
  for (const key of options.without ?? []) delete defaults[key];
  const flags: Flags = { ...defaults, ...options.flags };
  const host = bracketed(String(flags['host'] ?? '127.0.0.1'));
  const rpcPort = Number(flags['port'] ?? 2644);
  const proxy = proxyAddress(String(flags['vnc_proxy_port'] ?? 29876), host);
  const logFile =
    options.logFile ?? (flags['log_file'] === undefined ? undefined : String(flags['log_file']));
  const logText = (child: Child) => {
    if (logFile === undefined) return child.stdout();
    return existsSync(logFile) ? readFileSync(logFile, 'utf8') : '';
  };
  const ports = proxy.port === 0 ? [rpcPort] : [rpcPort, proxy.port];
  const auditFile = String(flags['audit_file'] ?? '');
  const folder = String(flags['token_folder_name'] ?? 'sunstone_vnc_tokens');
  // Before the start, so that it comes after the end.
  let started: Child | undefined;
  atEnd(() => {
    if (started === undefined) return;
    const audit =
      auditFile.startsWith(oneLocation) && existsSync(auditFile) ? readFileSync(auditFile, 'utf8') : '';
    const texts = [started.stdout(), started.stderr(), logText(started), audit];
    findNoSecret({ texts, folder: join(oneLocation, 'var'), except: folder });
  });
  const child = await startChild(
    process.execPath,
    [options.main ?? mainFile, 'serve', ...commandLine(flags)],
    {
      env: { ONE_LOCATION: oneLocation, ...options.env },
      stopWithinMs: 15_000,
      readyWithinMs: 45_000,
      ready: async (starting) => {
        if (parseLog(logText(starting)).some(({ msg }) => msg === 'ready')) return true;
        // At debug_level 0 and 1 that line is not logged.
        if (Number(flags['debug_level'] ?? 2) > 1) return false;
        return (await Promise.all(ports.map((port) => canConnect(port)))).every(Boolean);
      },
    },
  );
  started = child;
  const rpcOrigin = `http://${host}:${rpcPort}`;
  const tls = ['yes', 'true', 'only'].includes(String(flags['vnc_proxy_support_wss'] ?? 'no'));
  const logLines = () => parseLog(logText(child));
  const rawCall = async (body: string | Buffer, how: RawCallOptions = {}) => {
    const reply = await exchange(rpcOrigin, body, how);
    watchCall(body.toString('utf8'), reply.body);
    findNoSecret({ texts: [titleOf(child)], folder: '', except: '' });
    return reply;
  };
  const call = async (method: string, params: readonly XmlRpcValue[], how: RawCallOptions = {}) =>
    oneReply(await rawCall(encodeCall(method, params), how));
  return {
    host,
    rpcPort,
    proxyPort: proxy.port,
    rpcUrl: `${rpcOrigin}/RPC2`,
    proxyUrl: `${tls ? 'wss' : 'ws'}://${proxy.host}:${proxy.port}`,
    oneLocation,
    stateFolder: join(oneLocation, 'var/vnctoken'),
    tokenFolder: join(oneLocation, 'var', folder),
    child,
    logLines,
    waitForLog: (matches, what) =>
      waitFor(() => logLines().find(matches), { what: `the log line of ${what}` }),
    call,
    rawCall,
    issueToken: async (vmId, session = 'oneadmin:oneadmin') => {
      const [ok, value] = await call('one.vm.vnctokenonly', [session, vmId]);
      if (!ok || typeof value !== 'string') throw new Error(`no token for VM ${vmId}: ${String(value)}`);
      return value;
    },
    signal: child.signal,
    stop: child.stop,
  };
}

/** What a list of processes shows of it. */
function titleOf({ pid }: Child): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    // It has ended.
    return '';
  }
}

/** Runs the built entry to its end, with no configuration but what is given: for --help, errors, check-config. */
export function runMain(
  args: readonly string[],
  options: Pick<ServiceOptions, 'env' | 'oneLocation' | 'sunstoneConfig' | 'ownConfig' | 'main'> = {},
): Promise<Exit & { stdout: string; stderr: string }> {
  const oneLocation = options.oneLocation ?? temporaryFolder();
  writeConfiguration(oneLocation, options);
  const env = { ONE_LOCATION: oneLocation, ...options.env };
  return run(process.execPath, [options.main ?? mainFile, ...args], { env });
}

/** `{ port: 1, allowed_origins: ['a', 'b'] }` as `--port 1 --allowed_origins a,b`. */
export function commandLine(flags: Flags): string[] {
  return Object.entries(flags).flatMap(([key, value]) => {
    if (typeof value === 'boolean') return [`--${key}`, value ? 'yes' : 'no'];
    return [`--${key}`, typeof value === 'object' ? value.join(',') : String(value)];
  });
}

/** Reads a reply that must be one of OpenNebula's: HTTP 200, one array of exactly three. */
export function oneReply({ status, body }: HttpReply): OneReply {
  if (status !== 200) throw new Error(`HTTP ${status}: ${body.slice(0, 500)}`);
  const { value, fault } = decodeReply(body);
  if (fault) throw new Error(`fault ${fault.code}: ${fault.message}`);
  if (!Array.isArray(value) || value.length !== 3)
    throw new Error(`no array of three: ${JSON.stringify(value)}`);
  const [ok, result, code] = value;
  if (typeof ok !== 'boolean' || typeof code !== 'number' || result === undefined) {
    throw new Error(`not [boolean, value, int]: ${JSON.stringify(value)}`);
  }
  return [ok, result, code];
}

/** One HTTP exchange on a connection of its own. Not `fetch`, which refuses a GET with a body. */
export function exchange(
  origin: string,
  body: string | Buffer,
  options: RawCallOptions = {},
): Promise<HttpReply> {
  const { method = 'POST', path = '/RPC2', headers = {} } = options;
  const length = Buffer.byteLength(body);
  const reply = new Promise<HttpReply>((resolve, reject) => {
    const outgoing = request(
      `${origin}`,
      {
        method,
        path,
        agent: false,
        headers: { 'content-type': 'text/xml', 'content-length': length, ...headers },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const { statusCode: status = 0, headers: received } = incoming;
          resolve({ status, headers: received, body: Buffer.concat(chunks).toString('utf8') });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
  return within(reply, { what: `an answer to ${method} ${origin}${path}`, deadlineMs: 25_000 });
}

function writeConfiguration(oneLocation: string, options: ServiceOptions): void {
  for (const folder of ['etc', 'var']) mkdirSync(join(oneLocation, folder), { recursive: true });
  const files = { 'sunstone-server.conf': options.sunstoneConfig, 'vnctoken-server.conf': options.ownConfig };
  for (const [name, text] of Object.entries(files)) {
    if (text !== undefined) writeFileSync(join(oneLocation, 'etc', name), text);
  }
}

/** `off`, `PORT` or `HOST:PORT`. */
function proxyAddress(value: string, host: string): { host: string; port: number } {
  if (value === 'off') return { host, port: 0 };
  const colon = value.lastIndexOf(':');
  return { host: colon < 0 ? host : value.slice(0, colon), port: Number(value.slice(colon + 1)) };
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

function parseLog(text: string): LogLine[] {
  // The last piece is empty, or a line that is still being written.
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as LogLine);
}
