// Which TCP ports somebody on this host listens on for everybody, as Linux tells it in /proc/net/tcp and tcp6 (proc(5)).
// What always holds: a file that is not there has no listeners.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const LISTENS = '0A';
/** 0.0.0.0, ::, and 0.0.0.0 as IPv6 has it (in words of four bytes as the processor has them). */
const ALL_ADDRESSES = /^(0{8}|0{32}|0{16}(?:FFFF0000|0000FFFF)0{8})$/;

/** @param procFolder `/proc` */
export function listenersForAll(procFolder: string): ReadonlySet<number> {
  const ports = new Set<number>();
  for (const name of ['tcp', 'tcp6']) {
    for (const line of readTable(join(procFolder, 'net', name))
      .split('\n')
      .slice(1)) {
      const [, local = '', , state] = line.trim().split(/\s+/);
      const [address = '', port = ''] = local.split(':');
      if (state === LISTENS && ALL_ADDRESSES.test(address)) ports.add(Number.parseInt(port, 16));
    }
  }
  return ports;
}

function readTable(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
