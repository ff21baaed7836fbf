// How many connections to the XML-RPC listener an address may have open. What always holds: one that is over the bound
// is told so and closed, and nothing that it sends is a call; proxies and this host itself stand for many callers.
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { AddressPlaces } from '../address-places.js';
import { clientAddress, type TrustedProxies } from '../client-address.js';

/**
 * With 50 calls a second, as many as an address may make, and connections that a portal keeps open for the 5 s after
 * which we close them, it has 250.
 */
const MAX_PER_ADDRESS = 512;

const TOO_MANY = 'HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

export interface ConnectionParts {
  readonly isExempt: (client: string) => boolean;
  readonly trustedProxies: () => TrustedProxies;
  /** Somebody's connection was refused. */
  readonly onRefusal: (client: string) => void;
}

/** @returns whether a connection was refused, and what is read from it is to be ignored */
export function limitConnections(server: Server, parts: ConnectionParts): (socket: Socket) => boolean {
  const places = new AddressPlaces(MAX_PER_ADDRESS);
  const refused = new WeakSet<Socket>();
  server.on('connection', (socket: Socket) => {
    const client = clientAddress(socket.remoteAddress, undefined, parts.trustedProxies());
    if (parts.isExempt(client)) return;
    const leave = places.enter(client);
    if (typeof leave === 'function') {
      socket.once('close', leave);
      return;
    }
    refused.add(socket);
    parts.onRefusal(client);
    socket.end(TOO_MANY, () => socket.destroy());
  });
  return (socket) => refused.has(socket);
}
