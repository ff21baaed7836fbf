// Free TCP ports of 127.0.0.1. A number is never handed out twice by one process, and two test processes
// that run side by side draw from different ranges.
import { once } from 'node:events';
import { createServer } from 'node:net';

// Below the range of outgoing connections, one of which could take a port between our look and the server's
// own bind; above 5900, so that every port may be a VNC server's.
const firstPort = 10_000;
const portsPerWorker = 10_000;
const workerSlots = 2;

const handedOut = new Set<number>();

/** A port that nothing listens on, and that stays free unless somebody else comes for it. */
export async function freePort(): Promise<number> {
  const slot = Number(process.env['VITEST_POOL_ID'] ?? 0) % workerSlots;
  for (let tries = 0; tries < 1000; tries++) {
    const port = firstPort + slot * portsPerWorker + Math.floor(Math.random() * portsPerWorker);
    if (handedOut.has(port) || !(await isFree(port))) continue;
    handedOut.add(port);
    return port;
  }
  throw new Error('no free port found');
}

/** A free port that `console_ports` allows by default (5900-65535). */
export const freeVncPort = freePort;

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
