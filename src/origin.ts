// Which web sites may open a console. What always holds: decided before a token is looked at, from the Origin header
// that browsers set and pages cannot; a program sends none.

export interface OriginSettings {
  readonly publicUrl: string | undefined;
  /** Origins, or `*`. */
  readonly allowedOrigins: readonly string[];
}

const DEFAULT_PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

/** RFC 9112 section 3.2: a name or an address, and perhaps a port. */
const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/** @param host the Host header, with or without a port */
export function originAllowed(origin: string, host: string | undefined, settings: OriginSettings): boolean {
  const { publicUrl, allowedOrigins } = settings;
  if (allowedOrigins.includes('*')) return true;
  // The usual case: the page was loaded from where its console is opened.
  if (host !== undefined && (origin === `https://${host}` || origin === `http://${host}`))
    return HOST.test(host);
  if (!URL.canParse(origin)) return false;
  const { protocol, hostname, port, origin: normalized } = new URL(origin);
  if (!Object.hasOwn(DEFAULT_PORTS, protocol)) return false;
  if (allowedOrigins.includes(normalized)) return true;
  if (publicUrl !== undefined && new URL(publicUrl).origin === normalized) return true;
  if (host === undefined || !HOST.test(host) || !URL.canParse(`http://${host}`)) return false;
  const own = new URL(`http://${host}`);
  // A proxy in front often passes Host on without its port (nginx's $host): then the name alone counts.
  const ownPort = /:(\d+)$/.exec(host)?.[1];
  const itsPort = port === '' ? DEFAULT_PORTS[protocol] : port;
  return own.hostname === hostname && (ownPort === undefined || Number(ownPort) === Number(itsPort));
}
