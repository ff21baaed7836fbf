// Which addresses may be dialled. HOSTNAME is what somebody wrote into oned and DNS answers for it, so addresses that
// mean this host or nobody in particular need a rule that says so.
// What always holds: an address in the IPv6 disguise of IPv4 is judged as what it is.
import type { LookupAddress } from 'node:dns';
import { BlockList, isIP } from 'node:net';
import { remembered } from '../remembered.js';

/** An address or a network of `match`. */
export interface Network {
  readonly list: BlockList;
  /** In bits of an IPv6 address; an IPv4 network counts as the one in its IPv6 disguise. */
  readonly prefix: number;
}

/** @param text an IP address, or a network as `10.0.0.0/8`; @returns undefined where it is neither */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', bits, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0 || address.includes('%')) return undefined;
  const longest = family === 4 ? 32 : 128;
  if (bits !== undefined && !/^\d{1,3}$/.test(bits)) return undefined;
  const prefix = bits === undefined ? longest : Number(bits);
  if (prefix > longest) return undefined;
  const list = new BlockList();
  list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  return { list, prefix: prefix + 128 - longest };
}

export function contains({ list }: Network, address: string): boolean {
  const bare = address.replace(/%.*$/, '');
  return list.check(bare, isIP(bare) === 4 ? 'ipv4' : 'ipv6');
}

function networks(...texts: string[]): Network[] {
  return texts.flatMap((text) => parseNetwork(text) ?? []);
}

const LOOPBACK = 'loopback';
const special: readonly (readonly [what: string, networks: readonly Network[]])[] = [
  ['link-local', networks('169.254.0.0/16', 'fe80::/10')],
  ['unspecified', networks('0.0.0.0/8', '::')],
  ['multicast', networks('224.0.0.0/4', 'ff00::/8', '255.255.255.255')],
  [LOOPBACK, networks('127.0.0.0/8', '::1')],
];

/** What an address is, where it is none that machines have, and within which network. Asked for every console. */
const specialUses = remembered((address) =>
  special.flatMap(([what, all]) => {
    const within = all.find((one) => contains(one, address));
    return within === undefined ? [] : [{ what, within }];
  }),
);

/** What speaks for an address that is denied otherwise. */
export interface Permission {
  /** The host itself is named by a rule. */
  readonly named: boolean;
  /** The network by which a rule matched: it speaks for what it lies within. */
  readonly network?: Network | undefined;
}

/**
 * Sorts out what must not be dialled.
 * @param host whose addresses they are
 * @returns those that may be dialled, and for the others what they are
 */
export function sortOut(
  host: string,
  addresses: readonly LookupAddress[],
  { named, network }: Permission,
): { allowed: readonly LookupAddress[]; refused: readonly string[] } {
  if (named) return { allowed: addresses, refused: [] };
  // `localhost`, `127.0.0.1` and `::1` say what they are: a cloud of one machine.
  const saysLoopback = isIP(host) !== 0 || host.toLowerCase() === 'localhost';
  const refused: string[] = [];
  const allowed = addresses.filter(({ address }) => {
    for (const { what, within } of specialUses(address)) {
      if (what === LOOPBACK && saysLoopback) continue;
      if (network !== undefined && network.prefix >= within.prefix) continue;
      refused.push(`${address} (${what})`);
      return false;
    }
    return true;
  });
  return { allowed, refused };
}
