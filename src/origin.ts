// Which web sites may open consoles, embed the page and call XML-RPC, and under which names. What always holds: decided
// by what browsers set and pages cannot (Origin, Host); a program sends no Origin.
import { isLoopback } from './client-address.js';

export interface OriginSettings {
  readonly publicUrl: string | undefined;
  /** Origins as `canonicalOrigin` or `canonicalPattern` has them, or `*`. */
  readonly allowedOrigins: readonly string[];
}

const DEFAULT_PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

/** Scheme, and host with port, with nothing behind. */
const ORIGIN = /^([a-z][a-z0-9+.-]{0,40}):\/\/([^/?#@\\\s]{0,300})$/i;
const NAME = /^[a-z0-9._-]+$/;
/** Of a custom scheme; Electron's pages are often at `app://.`. */
const APP_HOST = /^[a-z0-9._-]+(?::\d{1,5})?$/i;
/** No page has such an origin. */
const NEVER_ORIGINS = new Set(['ws', 'wss', 'ftp', 'data', 'blob', 'javascript', 'about']);

/** RFC 9112 section 3.2: a name or an address, and perhaps a port. */
const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/**
 * An origin as it is compared: `https://portal.example:8443` (small letters, punycode, no default port), `null`,
 * `file://`, or an app's (`capacitor://localhost`, `chrome-extension://…`); undefined where the text is none.
 */
export function canonicalOrigin(text: string): string | undefined {
  if (text === 'null') return text;
  const [, scheme = '', host = ''] = ORIGIN.exec(text) ?? [];
  const name = scheme.toLowerCase();
  if (name === 'http' || name === 'https') return webOrigin(text);
  if (name === 'file') return host === '' ? 'file://' : undefined;
  if (name === '' || NEVER_ORIGINS.has(name) || !APP_HOST.test(host)) return undefined;
  return `${name}://${host.toLowerCase()}`;
}

/** `https://*.example.com`, the star one whole label; undefined where the text is no such pattern. */
export function canonicalPattern(text: string): string | undefined {
  const [, scheme = '', rest = ''] = /^(https?:\/\/)\*\.(.+)$/i.exec(text) ?? [];
  const one = rest === '' ? undefined : canonicalOrigin(`${scheme}any-label.${rest}`);
  return one?.replace('://any-label.', '://*.');
}

function webOrigin(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, hostname, port } = new URL(text);
  const name = withoutDot(hostname);
  if (!NAME.test(name) && !name.startsWith('[')) return undefined;
  return `${protocol}//${name}${port === '' ? '' : `:${port}`}`;
}

/** The name with a dot at its end is the same name. */
function withoutDot(hostname: string): string {
  return hostname.replace(/(?<=[^.])\.$/, '');
}

/**
 * What `frame-ancestors` calls an allowed origin (CSP 3 section 2.3.1); undefined where it has no word for it: `null`,
 * and IPv6 addresses.
 */
export function frameAncestor(origin: string): string | undefined {
  if (origin === 'file://') return 'file:';
  return origin === 'null' || origin.includes('[') ? undefined : origin;
}

/** @param host the Host header, with or without a port */
export function originAllowed(origin: string, host: string | undefined, settings: OriginSettings): boolean {
  const { publicUrl, allowedOrigins } = settings;
  if (allowedOrigins.includes('*')) return true;
  // The usual case: the page was loaded from where its console is opened.
  if (host !== undefined && (origin === `https://${host}` || origin === `http://${host}`))
    return HOST.test(host);
  const canonical = canonicalOrigin(origin);
  if (canonical === undefined) return false;
  if (allowedOrigins.includes(canonical)) return true;
  // Only patterns have a star, and only of web sites.
  if (allowedOrigins.includes(canonical.replace(/^(https?:\/\/)[^.]+\./, '$1*.'))) return true;
  if (!/^https?:/.test(canonical)) return false;
  if (publicUrl !== undefined && canonicalOrigin(new URL(publicUrl).origin) === canonical) return true;
  if (host === undefined || !HOST.test(host) || !URL.canParse(`http://${host}`)) return false;
  const { protocol, hostname, port } = new URL(canonical);
  const own = new URL(`http://${host}`);
  // A proxy in front often passes Host on without its port (nginx's $host): then the name alone counts.
  const ownPort = /:(\d+)$/.exec(host)?.[1];
  const itsPort = port === '' ? DEFAULT_PORTS[protocol] : port;
  return (
    withoutDot(own.hostname) === hostname && (ownPort === undefined || Number(ownPort) === Number(itsPort))
  );
}

/** A name or address as names are compared: small letters, punycode, brackets about IPv6; undefined where it is none. */
export function canonicalHost(name: string): string | undefined {
  const bare = /^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(name) ? `[${name}]` : name;
  if (/[/?#@\\\s]/.test(bare) || /:\d*$/.test(bare)) return undefined;
  const origin = webOrigin(`http://${bare}`);
  return origin === undefined ? undefined : new URL(origin).hostname;
}

/**
 * Whether the Host header has a name of ours: DNS cannot be made to point another name of ours here.
 * @param ownHosts as `canonicalHost` has them; the names of loopback are always ours
 */
export function hostIsOurs(host: string | undefined, ownHosts: ReadonlySet<string>): boolean {
  if (host === undefined || !HOST.test(host)) return false;
  const name = canonicalHost(host.replace(/:\d{1,5}$/, ''));
  if (name === undefined) return false;
  return name === 'localhost' || isLoopback(name.replace(/^\[|\]$/g, '')) || ownHosts.has(name);
}
