// nginx in the foreground, with everything that it writes in a temporary folder.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, run, startChild } from './child.ts';
import { temporaryFolder } from './folder.ts';
import { canConnect } from './wait.ts';

export interface NginxOptions {
  /** What stands inside `http { … }`: maps, upstreams, servers, includes. `$folder` is not expanded. */
  http: string;
  /** All ports that it is going to listen on, to know when it is ready. */
  ports: readonly number[];
  /** Where to run; a temporary folder without. */
  folder?: string;
}

export interface Nginx {
  folder: string;
  child: Child;
  accessLog(): string;
  /** Replaces the `http` part and reloads. */
  reload(http?: string): void;
  stop(): Promise<void>;
}

export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const folder = options.folder ?? temporaryFolder();
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, wholeConfig(folder, options.http));
  const args = ['-e', 'stderr', '-p', folder, '-c', file];
  const test = await run('nginx', ['-t', ...args]);
  if (test.code !== 0) throw new Error(`nginx refuses the configuration: ${test.stderr}`);
  const child = await startChild('nginx', args, {
    ready: async () => (await Promise.all(options.ports.map((port) => canConnect(port)))).every(Boolean),
  });
  return {
    folder,
    child,
    accessLog: () => readFileSync(join(folder, 'access.log'), 'utf8'),
    reload: (http) => {
      if (http !== undefined) writeFileSync(file, wholeConfig(folder, http));
      child.signal('SIGHUP');
    },
    stop: async () => {
      await child.stop();
    },
  };
}

/** `user root`: the workers must reach UNIX sockets and certificates inside of 0700 folders. */
function wholeConfig(folder: string, http: string): string {
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join('\n  ');
  return `daemon off; ${user} worker_processes 1; pid ${join(folder, 'nginx.pid')};
error_log stderr notice;
events {}
http {
  access_log ${join(folder, 'access.log')};
  ${temporary}
  ${http}
}
`;
}
