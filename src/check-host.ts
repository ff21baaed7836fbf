// What `check-config` warns of on this host, beyond the settings themselves: ports of ours that a VM may be given,
// neighbours that listen to everybody, keys that others can read. What always holds: nothing is changed and nothing is
// connected to; each warning is one line that names the setting and what to do; what cannot be read is told, not guessed.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Loaded } from './config/load.js';
import type { OptionName, Settings } from './config/options.js';
import { causeOf } from './errors.js';
import { listenersForAll } from './listening-ports.js';
import { parseVncPorts, type VncPorts } from './oned/vnc-ports.js';
import { parseTargetRules } from './transport/parse-rules.js';

/** Group and others. */
const NOT_OURS = 0o077;
const OTHERS = 0o007;

/** Ports at which neighbours are, and what makes them listen to this host alone. */
const NEIGHBOURS: ReadonlyMap<number, string> = new Map([
  [
    2633,
    'oned listens on all addresses; where only this host asks it, LISTEN_ADDRESS = "127.0.0.1" in oned.conf',
  ],
  [
    2634,
    'oned (gRPC) listens on all addresses; where only this host asks it, GRPC_LISTEN_ADDRESS = "127.0.0.1" in oned.conf',
  ],
  [4822, 'guacd listens on all addresses, and connects whoever asks to any host; start it with -b 127.0.0.1'],
]);

/** @param procFolder for tests */
export function hostWarnings(loaded: Loaded, procFolder = '/proc'): string[] {
  return [
    ...vncPortWarnings(loaded),
    ...neighbourWarnings(loaded.settings, procFolder),
    ...keyWarnings(loaded),
  ];
}

function vncPortWarnings({ settings, etcFolder }: Loaded): string[] {
  const path = join(etcFolder, 'oned.conf');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    // Without oned there is no telling, and mostly no hypervisor here either.
    if (causeOf(error) === 'ENOENT') return [];
    return [
      `${path} cannot be read (${causeOf(error)}): whether our ports lie in its VNC_PORTS is not known`,
    ];
  }
  const range = parseVncPorts(text);
  if (range === undefined)
    return [`${path}: VNC_PORTS is not understood: whether our ports lie in it is not known`];
  return ownPorts(settings)
    .filter(({ port }) => canBeGiven(range, port))
    .map(
      ({ name, port }) =>
        `${name}: ${port} lies in OpenNebula's VNC_PORTS (from ${range.start} on): a VM on this host may be given it; add ${port} to RESERVED of VNC_PORTS in ${path}`,
    );
}

function ownPorts(settings: Settings): { name: OptionName; port: number }[] {
  const { port, vnc_proxy_port: proxy } = settings;
  const proxyPorts = proxy.kind === 'off' ? [] : [{ name: 'vnc_proxy_port' as const, port: proxy.port }];
  return [{ name: 'port', port }, ...proxyPorts];
}

function canBeGiven({ start, reserved }: VncPorts, port: number): boolean {
  return port >= start && !reserved.some(([first, last]) => port >= first && port <= last);
}

function neighbourWarnings({ one_xmlrpc: oned }: Settings, procFolder: string): string[] {
  const neighbours = new Map(NEIGHBOURS);
  const { hostname, port } = new URL(oned);
  const isHere = /^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname);
  if (isHere && port !== '' && !neighbours.has(Number(port))) {
    neighbours.set(Number(port), NEIGHBOURS.get(2633) ?? '');
  }
  const open = listenersForAll(procFolder);
  return [...neighbours].filter(([one]) => open.has(one)).map(([one, told]) => `port ${one}: ${told}`);
}

function keyWarnings({ settings, sources }: Loaded): string[] {
  const warnings: string[] = [];
  const look = (setting: string, path: string | undefined, refused: number, what: string) => {
    const mode = path === undefined ? 0 : modeOf(path);
    if ((mode & refused) === 0) return;
    const who = (mode & OTHERS) === 0 ? 'its group' : 'everybody';
    const told = (mode & 0o777).toString(8).padStart(4, '0');
    const remedy = refused === OTHERS ? 'chmod o-rwx' : 'chmod 600';
    warnings.push(`${setting}: ${path} has mode ${told}: ${who} has access to ${what} (${remedy})`);
  };
  if (settings.vnc_proxy_support_wss !== 'no') {
    const { vnc_proxy_cert: cert, vnc_proxy_key: key } = settings;
    const [name, path] = key === undefined ? ['vnc_proxy_cert', cert] : ['vnc_proxy_key', key];
    look(name ?? '', path, NOT_OURS, 'the private key');
  }
  for (const rule of parseTargetRules(settings.targets)) {
    if ('tls' in rule) look(`${rule.setting}.key_file`, rule.tls.keyFile, NOT_OURS, 'the private key');
    look(`${rule.setting}.vnc_tls.key_file`, rule.vncTls?.keyFile, NOT_OURS, 'the private key');
  }
  // Our own files are read by the group oneadmin; the environment is nobody's file.
  const redis = settings.redis_url === undefined ? undefined : sources.get('redis_url');
  if (redis?.startsWith('/')) look('redis_url', redis, OTHERS, 'the password of Redis');
  return warnings;
}

/** 0 where there is no such file: that is told elsewhere. */
function modeOf(path: string): number {
  try {
    return statSync(path).mode;
  } catch {
    return 0;
  }
}
