// HAProxy in the foreground, with a configuration in a temporary folder.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, startChild } from './child.ts';
import { temporaryFolder } from './folder.ts';
import { canConnect } from './wait.ts';

/** @param ports all that it is going to listen on, to know when it is ready */
export async function startHaproxy(config: string, ports: readonly number[]): Promise<void> {
  const file = join(temporaryFolder(), 'haproxy.cfg');
  writeFileSync(file, config);
  const check = await run('haproxy', ['-c', '-f', file]);
  if (check.code !== 0) throw new Error(`HAProxy refuses the configuration: ${check.stderr}${check.stdout}`);
  await startChild('haproxy', ['-db', '-f', file], {
    ready: async () => (await Promise.all(ports.map((port) => canConnect(port)))).every(Boolean),
  });
}
