// stunnel before a VNC server: TLS with client certificates, as operators wrap a port that has none of its own.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pki } from './certificates.ts';
import { type Child, startChild } from './child.ts';
import { temporaryFolder } from './folder.ts';
import { freePort } from './ports.ts';
import { canConnect } from './wait.ts';

export interface Stunnel {
  port: number;
  child: Child;
}

/**
 * @param to the port of this host that it leads to
 * @param more lines for its service, `sslVersionMax = TLSv1.2` for one
 */
export async function startStunnel(
  { ca, server }: Pki,
  to: number,
  more: readonly string[] = [],
): Promise<Stunnel> {
  const port = await freePort();
  const folder = temporaryFolder();
  const file = join(folder, 'stunnel.conf');
  const lines = [
    ...['foreground = quiet', 'pid =', 'debug = 5', `output = ${join(folder, 'log')}`, '[vnc]'],
    ...[`accept = 127.0.0.1:${port}`, `connect = 127.0.0.1:${to}`],
    ...[`cert = ${server.cert}`, `key = ${server.key}`, `CAfile = ${ca.cert}`, 'verifyChain = yes'],
    ...more,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const child = await startChild('stunnel4', [file], { ready: () => canConnect(port) });
  return { port, child };
}
