// `match` of a rule: which hypervisors it is about, by name or by address.
// What always holds: names are compared without regard to case; a rule by address speaks for the addresses that it names
// and for no other of the same host.
import { isIP } from 'node:net';
import { type Network, parseNetwork } from './addresses.js';
import { matchesGlob } from './glob.js';

export type HostMatch =
  | { readonly kind: 'any' }
  | { readonly kind: 'name'; readonly name: string }
  /** In small letters. */
  | { readonly kind: 'glob'; readonly pattern: string }
  | { readonly kind: 'network'; readonly network: Network };

const MAX_NAME_CHARS = 255;

/** @param text a host name, a glob with `*` and `?`, an IP address or a network; undefined where it is none of them */
export function parseHostMatch(text: string): HostMatch | undefined {
  if (text === '*') return { kind: 'any' };
  if (text.includes('/') || isIP(text) !== 0) {
    const network = parseNetwork(text);
    return network && { kind: 'network', network };
  }
  if (text.length > MAX_NAME_CHARS || !/^[A-Za-z0-9._*?:-]+$/.test(text)) return undefined;
  if (!/[*?]/.test(text)) return { kind: 'name', name: text.toLowerCase() };
  return { kind: 'glob', pattern: text.toLowerCase() };
}

/** Whether the name alone decides for it; undefined where the addresses do. */
export function matchesName(match: HostMatch, host: string): boolean | undefined {
  switch (match.kind) {
    case 'any':
      return true;
    case 'name':
      return host.toLowerCase() === match.name;
    case 'glob':
      return matchesGlob(match.pattern, host.toLowerCase());
    case 'network':
      return undefined;
  }
}
