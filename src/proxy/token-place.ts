// Where a browser puts its token: query, path, or an offered subprotocol, in this order. Measured on websockify:
// the first `token` that is not empty counts, percent-decoded, one trailing line feed cut.
import { GatewayError } from '../errors.js';
import { listMembers } from '../http-request.js';
import { hasTokenForm, type Token } from '../tokens/token.js';

/** The subprotocol that is spoken. */
export const BINARY = 'binary';
const TOKEN_PROTOCOL = 'vnctoken.';
/** RFC 9110's token, of which a list of subprotocols consists. */
const PROTOCOL_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * The offered subprotocols.
 * @param header without empty and repeated members
 * @throws GatewayError `bad-subprotocol` where `binary` is not among those offered
 */
export function offeredProtocols(header: string | undefined): string[] {
  if (header === undefined) return [];
  const offered = listMembers(header);
  // `vnctoken.…` alone is refused as well: answering with it would echo the secret.
  if (!offered.every((name) => PROTOCOL_NAME.test(name)) || !offered.includes(BINARY))
    throw new GatewayError('bad-subprotocol', { detail: 'no binary offered' });
  return offered;
}

/** The token of an upgrade; undefined where there is none. */
export function findToken(url: URL, protocols: readonly string[]): Token | undefined {
  const fromQuery = url.searchParams.getAll('token').find((value) => value !== '');
  const lastSegment = url.pathname.split('/').at(-1) ?? '';
  const fromPath = hasTokenForm(lastSegment) ? lastSegment : undefined;
  const fromProtocol = protocols
    .find((name) => name.startsWith(TOKEN_PROTOCOL))
    ?.slice(TOKEN_PROTOCOL.length);
  const token = (fromQuery ?? fromPath ?? fromProtocol ?? '').replace(/\n$/, '');
  return token === '' ? undefined : (token as Token);
}
