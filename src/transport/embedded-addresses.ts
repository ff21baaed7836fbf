// IPv4 addresses that stand inside of IPv6 ones: where packets to those end up, if somebody on the way translates them
// or takes them out of their tunnel.
// What always holds: every reading that an address allows is given, since nobody here knows which one the network has.
import { isIPv6 } from 'node:net';

export interface EmbeddedAddress {
  readonly ipv4: string;
  /** In bits: how much of the IPv6 address stands before it; 96 where the forms of a prefix differ. */
  readonly offset: number;
}

interface Form {
  /** The first bits, and where they stand, in bytes. */
  readonly prefix: readonly number[];
  readonly prefixAt?: number;
  /** Where the four bytes of IPv4 are. */
  readonly bytes: readonly number[];
  /** Zero in front is no IPv4 there, but an address that has this prefix for another reason. */
  readonly zeroIsNone?: true;
  readonly mask?: number;
}

const LAST = [12, 13, 14, 15];
const zeros = (count: number) => Array<number>(count).fill(0);
const nat64 = [0, 0x64, 0xff, 0x9b];
/** RFC 8215 leaves the length of the prefix to the operator: RFC 6052 section 2.2 has a place for each. */
const localNat64 = [...nat64, 0, 1];

const forms: readonly Form[] = [
  // IPv4-compatible (RFC 4291 section 2.5.5.1), and ::1 is none.
  { prefix: zeros(12), bytes: LAST, zeroIsNone: true },
  // IPv4-translated (RFC 2765). Mapped ones Node's BlockList knows itself.
  { prefix: [...zeros(8), 0xff, 0xff, 0, 0], bytes: LAST },
  // NAT64 (RFC 6052)
  { prefix: [...nat64, ...zeros(8)], bytes: LAST },
  { prefix: localNat64, bytes: [6, 7, 9, 10], zeroIsNone: true },
  { prefix: localNat64, bytes: [7, 9, 10, 11], zeroIsNone: true },
  { prefix: localNat64, bytes: [9, 10, 11, 12], zeroIsNone: true },
  { prefix: localNat64, bytes: LAST, zeroIsNone: true },
  // 6to4 (RFC 3056)
  { prefix: [0x20, 0x02], bytes: [2, 3, 4, 5] },
  // Teredo (RFC 4380): the server, and the client in inverted bits.
  { prefix: [0x20, 0x01, 0, 0], bytes: [4, 5, 6, 7] },
  { prefix: [0x20, 0x01, 0, 0], bytes: LAST, mask: 0xff },
  // ISATAP (RFC 5214), with the bit for "known to all the world" or without.
  { prefix: [0x00, 0x00, 0x5e, 0xfe], prefixAt: 8, bytes: LAST },
  { prefix: [0x02, 0x00, 0x5e, 0xfe], prefixAt: 8, bytes: LAST },
];

/** @param address an IP address without a zone; one of IPv4 has nothing inside */
export function embeddedAddresses(address: string): EmbeddedAddress[] {
  if (!isIPv6(address)) return [];
  const bytes = bytesOf(address);
  return forms.flatMap(({ prefix, prefixAt = 0, bytes: places, zeroIsNone, mask = 0 }) => {
    if (!prefix.every((byte, index) => bytes[prefixAt + index] === byte)) return [];
    const ipv4 = places.map((place) => (bytes[place] ?? 0) ^ mask);
    if (zeroIsNone && ipv4[0] === 0) return [];
    return [{ ipv4: ipv4.join('.'), offset: prefix === localNat64 ? 96 : 8 * (places[0] ?? 0) }];
  });
}

/** The 16 bytes of an IPv6 address. */
function bytesOf(address: string): number[] {
  // A URL writes all of them alike: groups of hexadecimal digits, with at most one gap.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const [before, after] = [head, tail ?? ''].map((part) => (part === '' ? [] : part.split(':')));
  const groups = [
    ...(before ?? []),
    ...zeros(8 - (before?.length ?? 0) - (after?.length ?? 0)),
    ...(after ?? []),
  ];
  return groups.flatMap((group) => {
    const value = Number.parseInt(String(group), 16);
    return [value >> 8, value & 0xff];
  });
}
