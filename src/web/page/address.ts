// The first step of the page: what the portal put into the address's fragment, and where the WebSocket is.
// The fragment is the only source of token and password, and it leaves the address before anything else runs.

/** What a portal's link carries. Both are secrets; they live in memory only. */
export interface Link {
  readonly token: string;
  readonly password: string | undefined;
}

/** What the fragment turned out to be: a link, nothing of ours, or a link that was cut or bent on its way. */
export type Address =
  | { readonly kind: 'link'; readonly link: Link }
  | { readonly kind: 'empty' }
  | { readonly kind: 'damaged' };

/** The part of `window` that holds the address, so that tests need no browser. */
export interface Place {
  readonly location: { readonly href: string; readonly hash: string };
  readonly history: { replaceState(data: unknown, unused: string, url: string): void };
}

// A token becomes part of a WebSocket subprotocol, so only these characters can be sent (RFC 6455, 4.1).
const tokenForm = /^[A-Za-z0-9._-]{1,8192}$/;

function decode(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}

/**
 * Reads `#token=…&password=…`. Values are percent-encoded; a `+` is a plus, since passwords hold one. Of a name
 * given twice the first counts, unknown names are ignored.
 */
export function readFragment(fragment: string): Address {
  const values = new Map<string, string | undefined>();
  for (const pair of fragment.replace(/^#/, '').split('&')) {
    const cut = pair.indexOf('=');
    const name = cut < 0 ? pair : pair.slice(0, cut);
    if (!values.has(name)) values.set(name, decode(cut < 0 ? '' : pair.slice(cut + 1)));
  }
  if (!values.has('token')) return { kind: 'empty' };
  const token = values.get('token') ?? '';
  if (!tokenForm.test(token)) return { kind: 'damaged' };
  // An empty password is none: the server asks if it wants one.
  return { kind: 'link', link: { token, password: values.get('password') || undefined } };
}

/** Reads the fragment and erases it from the address and from this entry of the history. */
export function takeAddress(place: Place): Address {
  const fragment = place.location.hash;
  if (fragment !== '') place.history.replaceState(null, '', place.location.href.split('#', 1)[0] ?? '');
  return readFragment(fragment);
}

/** `../websockify` beside the page, on the page's own origin; wss where the page came over https. */
export function socketUrl(pageUrl: string): string {
  const url = new URL('../websockify', pageUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.search = '';
  url.hash = '';
  return url.href;
}
