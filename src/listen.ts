// Makes a server listen, or says in one line which setting is in the way.
import type { AddressInfo, Server } from 'node:net';
import { causeOf, StartError } from './errors.js';

export interface ListenAddress {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** The setting to name in an error. */
  readonly setting: string;
  /** What to say where the port is in use. */
  readonly hint?: string;
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EADDRNOTAVAIL: 'no interface of this host has the address',
  EACCES: 'this user may not listen there',
  ENOTFOUND: 'the host name is not known',
};

/** @throws StartError */
export function listen(server: Server, { host, port, setting, hint }: ListenAddress): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      const cause = causeOf(error);
      const more = cause === 'EADDRINUSE' && hint !== undefined ? `; ${hint}` : '';
      reject(
        new StartError(`${setting}: cannot listen on ${host}:${port}: ${REASONS[cause] ?? cause}${more}`),
      );
    };
    server.once('error', failed);
    // `::` would take IPv4 as well, where 0.0.0.0 listens already.
    server.listen({ host, port, ipv6Only: host === '::' }, () => {
      server.off('error', failed);
      // A listening server that fails later (out of descriptors) goes on as soon as it can.
      server.on('error', () => {});
      resolve(server.address() as AddressInfo);
    });
  });
}
