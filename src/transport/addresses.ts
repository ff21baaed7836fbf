// Which addresses may be dialled. HOSTNAME is what somebody wrote into oned and DNS answers for it, so addresses that
// mean this host, nobody in particular, or what a cloud tells its machines need a rule that says so.
// What always holds: an address in an IPv6 disguise of IPv4 is judged as what it is, and what it may come to.
import type { LookupAddress } from 'node:dns';
import { BlockList, isIP } from 'node:net';
import { remembered } from '../remembered.js';
import { embeddedAddresses } from './embedded-addresses.js';

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
  const bare = withoutZone(address);
  return list.check(bare, isIP(bare) === 4 ? 'ipv4' : 'ipv6');
}

function withoutZone(address: string): string {
  return address.replace(/%.*$/, '');
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
  // Where clouds tell their machines who they are, their secrets included, and link-local is not it.
  [
    'cloud metadata',
    networks(
      ...['100.100.100.200', '168.63.129.16', '192.0.0.192'],
      ...['fd00:ec2::/32', 'fd20:ce::254', 'fd00:42::42', 'fd00:a9fe:a9fe::/48'],
    ),
  ],
  // Some other host, which only who runs the translator knows.
  ['NAT64', networks('64:ff9b::/96', '64:ff9b:1::/48')],
];

interface SpecialUse {
  /** For messages. */
  readonly what: string;
  /** In bits of an IPv6 address: a rule for a network of so many or more speaks for it. */
  readonly prefix: number;
  /** The address says so itself, without an IPv4 address inside. */
  readonly isPlainLoopback: boolean;
}

/** What an address is, where it is none that machines have. Asked for every console. */
const specialUses = remembered((address): readonly SpecialUse[] => [
  ...usesOf(address).map(({ what, prefix }) => ({ what, prefix, isPlainLoopback: what === LOOPBACK })),
  ...embeddedAddresses(withoutZone(address)).flatMap(({ ipv4, offset }) =>
    usesOf(ipv4).map(({ what, prefix }) => ({
      what: `${what} ${ipv4} inside`,
      prefix: offset + prefix - (128 - 32),
      isPlainLoopback: false,
    })),
  ),
]);

function usesOf(address: string): { what: string; prefix: number }[] {
  return special.flatMap(([what, all]) => {
    const within = all.find((one) => contains(one, address));
    return within === undefined ? [] : [{ what, prefix: within.prefix }];
  });
}

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
    for (const { what, prefix, isPlainLoopback } of specialUses(address)) {
      if (isPlainLoopback && saysLoopback) continue;
      if (network !== undefined && network.prefix >= prefix) continue;
      refused.push(`${address} (${what})`);
      return false;
    }
    return true;
  });
  return { allowed, refused };
}
