// Whose request it is: the peer of the connection or, behind trusted proxies, what they say in X-Forwarded-For.
// What always holds: a client cannot choose its own address, for only entries that trusted proxies added count, and
// one that is no address is nobody's: it does not make the client the proxy.
import { BlockList, isIP, SocketAddress } from 'node:net';
import { remembered } from './remembered.js';

/** Addresses and networks whose X-Forwarded-For is believed. */
export class TrustedProxies {
  private readonly list = new BlockList();
  /** Asked several times for each connection, mostly about the same few proxies. */
  readonly has = remembered((address) => isIP(address) !== 0 && this.list.check(address, familyOf(address)));

  /** @param networks `10.0.0.1`, `10.0.0.0/8`, `::1`, … as checked by the configuration */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address = '', prefix] = network.split('/');
      const family = familyOf(address);
      if (prefix === undefined) this.list.addAddress(address, family);
      else this.list.addSubnet(address, Number(prefix), family);
    }
  }
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether the address is this host itself. */
export const isLoopback = remembered(
  (address) => isIP(address) !== 0 && loopback.check(address, familyOf(address)),
);

/**
 * Stands for a client whom a trusted proxy does not name (`unknown`, `_hidden`, nothing). All of them are one client to
 * every limit, and no exempt one.
 */
export const UNNAMED_CLIENT = 'unknown';

/**
 * The right-most address of the chain that is no trusted proxy.
 * @param peer remote address of the connection; undefined once it is closed
 * @param forwardedFor the X-Forwarded-For header, several joined by commas
 * @returns an IP address in its one usual form, or UNNAMED_CLIENT
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | string[] | undefined,
  trusted: TrustedProxies,
): string {
  let client = plainPeer(peer ?? '') ?? UNNAMED_CLIENT;
  if (forwardedFor === undefined) return client;
  const chain = String(forwardedFor).split(',');
  while (trusted.has(client) && chain.length > 0) {
    const previous = plainAddress((chain.pop() ?? '').trim());
    // The proxy's own address would be exempt from the limits, and what is left of this entry is the client's.
    if (previous === undefined) return UNNAMED_CLIENT;
    client = previous;
  }
  return client;
}

/** An IP address without port, brackets, zone, in small letters and as short as can be, and without the IPv6 disguise of IPv4; undefined if it is none. */
function plainAddress(text: string): string | undefined {
  const bare =
    /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text;
  const unzoned = bare.replace(/%[\w.-]+$/, '');
  const family = isIP(unzoned);
  if (family !== 6) return family === 4 ? unzoned : undefined;
  const { address } = new SocketAddress({ address: unzoned, family: 'ipv6' });
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1] ?? address;
}

/** Asked several times for each connection. */
const plainPeer = remembered(plainAddress);

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}

/** What counts as one address where attempts are counted: an IPv6 host owns its whole /64. */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  // Dotted IPv4 at the end fills two groups, none of them among the first four.
  const zeros = tail === undefined ? 0 : 8 - groups.length - after.length;
  const all = [...groups, ...Array<string>(Math.max(0, zeros)).fill('0'), ...after];
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
