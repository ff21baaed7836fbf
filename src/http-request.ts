// What a request says, read the same way by every HTTP listener. What always holds: a path is compared with its dot
// segments resolved, and a request that may not be whole is not read at all.
import type { IncomingMessage } from 'node:http';
import { MAX_HEADERS } from './http-limits.js';

/** False: Node may have dropped headers of it, so nothing that it says can be believed. */
export function hasAllHeaders({ rawHeaders }: IncomingMessage): boolean {
  return rawHeaders.length <= 2 * MAX_HEADERS;
}

/** Members of a header that is a list (RFC 9110 section 5.6.1), on one line or several; empty ones do not count. */
export function listMembers(header: string | undefined): string[] {
  return (header ?? '')
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
}

/** The path of a request, dot segments resolved, without the query; undefined where it has none. */
export function requestPath(request: IncomingMessage): string | undefined {
  return requestUrl(request)?.pathname;
}

/** The request's target; its host means nothing. */
export function requestUrl({ url = '' }: IncomingMessage): URL | undefined {
  const absolute = url.startsWith('/') ? `http://localhost${url}` : url;
  try {
    return new URL(absolute);
  } catch {
    return undefined;
  }
}
