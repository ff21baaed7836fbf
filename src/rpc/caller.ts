// Whether a call comes from a web page, and may. What always holds: a page of another site, and a page whose site was
// made to resolve to this host (DNS rebinding), is refused before its body is read. A portal's server is no browser.
import type { IncomingHttpHeaders } from 'node:http';
import { GatewayError } from '../errors.js';
import { hostIsOurs, type OriginSettings, originAllowed } from '../origin.js';

export interface CallerSettings extends OriginSettings {
  /** Names under which a browser may call, as `canonicalHost` has them. */
  readonly ownHosts: ReadonlySet<string>;
}

/** @throws GatewayError `browser-refused` that names the setting */
export function checkCaller(headers: IncomingHttpHeaders, settings: CallerSettings): void {
  if (!isBrowser(headers)) return;
  const { origin, host } = headers;
  if (origin === undefined || !originAllowed(origin, host, settings)) {
    const detail =
      origin === undefined
        ? 'a browser that names no origin'
        : 'the origin of a browser is not in allowed_origins';
    throw new GatewayError('browser-refused', {
      detail,
      publicText: 'Web pages of this origin may not call this service (see allowed_origins)',
    });
  }
  if (hostIsOurs(host, settings.ownHosts)) return;
  throw new GatewayError('browser-refused', {
    detail: 'the name that a browser called is not in allowed_hosts',
    publicText: 'Web pages may not call this service by this name (see allowed_hosts)',
  });
}

const FETCH_METADATA = 'sec-fetch-';

/**
 * No page can leave out or change these headers (fetch's forbidden names). Node's own `fetch`, which portals' servers
 * use, sends `Sec-Fetch-Mode: cors` alone; a browser never sends it without `Sec-Fetch-Site`.
 */
function isBrowser(headers: IncomingHttpHeaders): boolean {
  if (headers.origin !== undefined) return true;
  const metadata = Object.keys(headers).filter((name) => name.startsWith(FETCH_METADATA));
  const isNodeFetch = metadata.length === 1 && headers['sec-fetch-mode'] === 'cors';
  return metadata.length > 0 && !isNodeFetch;
}
