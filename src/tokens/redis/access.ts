// From the parsed address to the servers: which topology, with which login and which certificates.
// What always holds: a file that cannot be read is told at the start, with the setting that names it.
import { readFileSync } from 'node:fs';
import { causeOf, StartError } from '../../errors.js';
import { RedisCluster } from './cluster.js';
import type { RedisAccess } from './connection.js';
import { RedisSentinel } from './sentinel.js';
import { RedisSingle, type RedisTopology } from './topology.js';
import type { RedisAddress, RedisTls } from './url.js';

/** @throws StartError naming `redis_url` */
export function accessTo(address: RedisAddress): RedisAccess {
  const database = address.kind === 'cluster' ? 0 : address.database;
  return { login: address.login, database, tls: certificatesOf(address.tls) };
}

export function topologyOf(address: RedisAddress, access: RedisAccess): RedisTopology {
  switch (address.kind) {
    case 'single':
      return new RedisSingle(address.servers[0], access);
    case 'cluster':
      return new RedisCluster(address.servers, access);
    case 'sentinel': {
      const { servers: sentinels, masterName, sentinelLogin } = address;
      const sentinelAccess = { login: sentinelLogin, database: 0, tls: access.tls };
      return new RedisSentinel({ sentinels, masterName, sentinelAccess, access });
    }
  }
}

function certificatesOf(tls: RedisTls | undefined): RedisAccess['tls'] {
  if (tls === undefined) return undefined;
  const { caFile, certFile, keyFile } = tls;
  return {
    ...(caFile === undefined ? {} : { ca: contentOf(caFile, 'ca') }),
    ...(certFile === undefined ? {} : { cert: contentOf(certFile, 'cert') }),
    ...(keyFile === undefined ? {} : { key: contentOf(keyFile, 'key') }),
  };
}

function contentOf(file: string, parameter: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new StartError(`redis_url: cannot read the file of ${parameter}: ${causeOf(error)}`);
  }
}
