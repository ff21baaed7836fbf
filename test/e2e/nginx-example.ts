// The nginx examples, running: ports, certificates and paths of logs are the test's, all else is as shipped.
// What they log is looked at as a whole: all files, and what nginx says on its standard error.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makePki } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startNginx } from '../support/nginx.ts';
import { freePort } from '../support/ports.ts';
import { type Replacements, readShipped } from './shipped-file.ts';

export type ExampleName = 'vnctoken' | 'opennebula-rpc';

/** The port that each listens on as shipped. */
const shippedPorts: Record<ExampleName, number> = { vnctoken: 2643, 'opennebula-rpc': 443 };

export interface Upstreams {
  rpcPort: number;
  proxyPort: number;
  /** Of the example that has oned as well. */
  onedPort?: number;
}

export interface ExampleOptions extends Upstreams {
  /** More for `http { … }`, before the example. */
  http?: string;
  /** Beyond those that every example takes. */
  replace?: Replacements;
}

export interface Example {
  /** TLS. */
  port: number;
  /** Lines of the example's own access log. */
  accessLines(): string[];
  /** Everything that nginx wrote anywhere. */
  everythingLogged(): string;
}

/** Starts nginx with one of the examples or, side by side, with several. */
export async function startExamples(
  names: readonly ExampleName[],
  options: ExampleOptions,
): Promise<Example[]> {
  const folder = temporaryFolder();
  const { server } = await makePki();
  const examples = await Promise.all(names.map(async (name) => ({ name, port: await freePort() })));
  const texts = examples.map(({ name, port }) =>
    readShipped(`nginx/${name}.conf`, {
      [`listen ${shippedPorts[name]} ssl`]: `listen 127.0.0.1:${port} ssl`,
      [`/etc/nginx/ssl/${name}.crt`]: server.cert,
      [`/etc/nginx/ssl/${name}.key`]: server.key,
      'http://127.0.0.1:29876': `http://127.0.0.1:${options.proxyPort}`,
      'http://127.0.0.1:2644': `http://127.0.0.1:${options.rpcPort}`,
      ...(name === 'opennebula-rpc'
        ? { 'http://127.0.0.1:2633': `http://127.0.0.1:${options.onedPort ?? 1}` }
        : {}),
      ...options.replace,
      '/var/log/nginx/': `${folder}/`,
    }),
  );
  const http = [options.http ?? '', ...texts].join('\n');
  const nginx = await startNginx({ http, ports: examples.map(({ port }) => port), folder });
  const logFiles = () => readdirSync(folder).filter((name) => name.endsWith('.log'));
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  return examples.map(({ name, port }) => ({
    port,
    accessLines: () => read(`${name}-access.log`).split('\n').slice(0, -1),
    everythingLogged: () => [...logFiles().map(read), nginx.child.stdout(), nginx.child.stderr()].join('\n'),
  }));
}

export async function startExample(name: ExampleName, options: ExampleOptions): Promise<Example> {
  const [example] = await startExamples([name], options);
  if (!example) throw new Error('one was asked for');
  return example;
}
