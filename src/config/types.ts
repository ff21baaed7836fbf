// How the text of a setting becomes a value. Every source (YAML, environment, command line) hands over text,
// so a value means the same wherever it was written.
import { isIP } from 'node:net';
import { z } from 'zod';
import { type ClipboardMode, clipboardModes } from '../clipboard.js';
import { canonicalHost, canonicalOrigin, canonicalPattern } from '../origin.js';
import { parseTargetRules, TargetRulesError } from '../transport/parse-rules.js';

/** An address range: first and last port, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Where the proxy listens: `off`, a port beside `host`, or an address of its own. */
export type ProxyListen =
  | { readonly kind: 'off' }
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'address'; readonly host: string; readonly port: number };

export type WssSupport = 'no' | 'yes' | 'only';

/** Which tokens `revoke` means: those that fit everything given. */
export interface RevokeSelection {
  readonly fingerprint?: string | undefined;
  readonly vm?: number | undefined;
  readonly user?: string | undefined;
  readonly all?: boolean | undefined;
}

/** The address of a Unix socket has room for 107 (unix(7)); a few are kept back for a name beside it. */
export const MAX_SOCKET_PATH_BYTES = 100;

const MAX_PORT = 65535;

/** A string-to-value step that fails with one sentence. */
function parsed<T>(expected: string, parse: (text: string) => T | undefined) {
  return z.string().transform((text, context): T => {
    const value = parse(text.trim());
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

function wholeNumber(text: string, min: number, max: number): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

export const integer = (min: number, max: number) =>
  parsed(`expected a whole number from ${min} to ${max}`, (text) => wholeNumber(text, min, max));

/** Seconds; a trailing `s` is allowed, so is a fraction. */
export const seconds = (min: number, max: number) =>
  parsed(`expected seconds from ${min} to ${max}`, (text) => {
    const match = /^(\d{1,9}(?:\.\d{1,3})?)\s*s?$/.exec(text);
    const value = Number(match?.[1]);
    return match !== null && value >= min && value <= max ? value : undefined;
  });

export const text = () => parsed<string>('expected a text', (value) => (value === '' ? undefined : value));

/** Folders that are this service's own, beside which the named one stands. */
const OWN_FOLDERS = /^vnctoken(-key|-run)?$/;

/** A name that stays inside its folder. */
export const folderName = () =>
  parsed("expected the name of a folder, without slashes, and none of the service's own", (value) =>
    /^[A-Za-z0-9._-]{1,100}$/.test(value) && !value.startsWith('.') && !OWN_FOLDERS.test(value)
      ? value
      : undefined,
  );

export const port = () => integer(0, MAX_PORT);

export const yesNo = () =>
  parsed('expected yes or no', (value) => {
    if (/^(yes|true|on)$/i.test(value)) return true;
    return /^(no|false|off)$/i.test(value) ? false : undefined;
  });

export const wssSupport = () =>
  parsed<WssSupport>('expected no, yes or only', (value) => {
    if (/^(no|false|off)$/i.test(value)) return 'no';
    if (/^(yes|true|on)$/i.test(value)) return 'yes';
    return /^only$/i.test(value) ? 'only' : undefined;
  });

const MAX_WORKERS = 256;

/** A number of processes, or `auto`. */
export const workers = () =>
  parsed<number | 'auto'>(`expected auto or a whole number from 1 to ${MAX_WORKERS}`, (value) =>
    value.toLowerCase() === 'auto' ? 'auto' : wholeNumber(value, 1, MAX_WORKERS),
  );

/** A listener's host: an IP address or a name. */
export const host = () => parsed('expected a host name or an IP address', hostName);

function hostName(value: string): string | undefined {
  return isIP(value) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$/.test(value) ? value : undefined;
}

const words = <T extends string>(...all: readonly [T, ...T[]]) =>
  parsed<T>(`expected ${all.slice(0, -1).join(', ')} or ${all.at(-1)}`, (value) =>
    all.find((word) => word === value.toLowerCase()),
  );

export type VncAuth = 'pass' | 'proxy';
export const vncAuth = () => words<VncAuth>('pass', 'proxy');

export const clipboard = () => words<ClipboardMode>(...clipboardModes);

/** Rules as plain data, checked; whoever connects makes rules of them again. A list in YAML arrives here as JSON. */
export const targets = () =>
  z.string().transform((text, context): readonly unknown[] => {
    try {
      const value: unknown = text.trim() === '' ? [] : JSON.parse(text);
      parseTargetRules(value);
      return value as readonly unknown[];
    } catch (error) {
      const message =
        error instanceof TargetRulesError ? error.problems.join('; ') : 'expected a list of rules';
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    }
  });

export type TokenSessions = 'single' | 'shared';
export const tokenSessions = () => words<TokenSessions>('single', 'shared');

export const bindClient = () =>
  parsed<'no' | 'ip'>('expected no or ip', (value) =>
    /^(no|false|off)$/i.test(value) ? 'no' : /^ip$/i.test(value) ? 'ip' : undefined,
  );

export type TokenStoreName = 'file' | 'memory' | 'redis' | 'sealed';
export const tokenStore = () => words<TokenStoreName>('file', 'memory', 'redis', 'sealed');

/** Braces would put all keys into one slot of a cluster; what glob patterns know is better not in a name. */
export const redisPrefix = () =>
  parsed('expected letters, digits and . _ : - , at most 100', (value) =>
    /^[A-Za-z0-9._:-]{1,100}$/.test(value) ? value : undefined,
  );

/** Names of OpenNebula's users. */
export const userNames = () =>
  listOf('expected names of users, without colons and spaces', (item) =>
    /^[^\s:]{1,256}$/.test(item) ? item : undefined,
  );

export const proxyListen = () =>
  parsed<ProxyListen>('expected PORT, HOST:PORT or off', (value) => {
    if (value.toLowerCase() === 'off') return { kind: 'off' };
    // `:29876` is a number to Ruby, too: as a symbol that Sunstone writes out.
    const alone = wholeNumber(value.replace(/^:/, ''), 0, MAX_PORT);
    if (alone !== undefined) return { kind: 'port', port: alone };
    const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(value);
    const name = hostName(match?.[1] ?? match?.[2] ?? '');
    const number = wholeNumber(match?.[3] ?? '', 0, MAX_PORT);
    return name !== undefined && number !== undefined
      ? { kind: 'address', host: name, port: number }
      : undefined;
  });

/** An http or https address without credentials, query and fragment; no trailing slash. */
export const httpUrl = () =>
  parsed('expected http://… or https://…, without user, query and fragment', (value) => {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol)) return undefined;
    if (url.username !== '' || url.password !== '' || /[?#]/.test(value)) return undefined;
    // The URL standard knows names that no DNS does.
    if (canonicalOrigin(url.origin) === undefined || url.port === '0') return undefined;
    return url.href.replace(/\/+$/, '');
  });

/** Comma-separated items, or a list in YAML (which arrives here comma-separated as well). */
function listOf<T>(expected: string, parseItem: (item: string) => T | undefined) {
  return parsed(expected, (value): readonly T[] | undefined => {
    const items: T[] = [];
    for (const part of value.split(',')) {
      if (part.trim() === '') continue;
      const item = parseItem(part.trim());
      if (item === undefined) return undefined;
      items.push(item);
    }
    return items;
  });
}

/** Origins in the form that browsers send (`https://portal.example:8443`), patterns of them, or `*`. */
export const origins = () =>
  listOf(
    'expected origins such as https://portal.example, https://*.example.com (one whole label), null, file:// or capacitor://localhost; or *',
    (item) => {
      if (item === '*') return '*';
      if (/^file:\/{2,3}$/i.test(item)) return 'file://';
      if (/^null$/i.test(item)) return 'null';
      // A path would be dropped silently, and look as if it restricted something.
      const origin = item.replace(/\/$/, '');
      return canonicalPattern(origin) ?? canonicalOrigin(origin);
    },
  );

/** Names and addresses as browsers have them in Host, without ports. */
export const hostNames = () =>
  listOf('expected names or addresses without port, such as console.example', canonicalHost);

/** IP addresses and networks in CIDR notation. */
export const networks = () =>
  listOf(
    'expected IP addresses or networks such as 10.0.0.0/8; not /0, which would trust everybody',
    (item) => {
      const [address, prefix, ...rest] = item.split('/');
      const family = isIP(address ?? '');
      // A zone is this host's own word, and no peer's address has it.
      if (family === 0 || rest.length > 0 || item.includes('%')) return undefined;
      if (prefix === undefined) return item;
      return wholeNumber(prefix, 1, family === 4 ? 32 : 128) !== undefined ? item : undefined;
    },
  );

export const portRanges = () =>
  listOf<PortRange>('expected ports or ranges from 1 to 65535, such as 5900-65535', (item) => {
    const match = /^(\d+)(?:\s*-\s*(\d+))?$/.exec(item);
    const first = wholeNumber(match?.[1] ?? '', 1, MAX_PORT);
    const last = wholeNumber(match?.[2] ?? match?.[1] ?? '', 1, MAX_PORT);
    return first !== undefined && last !== undefined && first <= last ? { first, last } : undefined;
  });
