// Debian's websockify, unchanged: the proxy that ours must be a substitute for, and the reader of our token files.
import { type Child, startChild } from './child.ts';
import { freePort } from './ports.ts';
import { canConnect } from './wait.ts';

export interface WebsockifyOptions {
  /** A directory of token files … */
  tokenFolder?: string;
  /** … or one target for all, as HOST:PORT. */
  target?: string;
  /** A folder to serve over HTTP beside the WebSockets. */
  web?: string;
  args?: readonly string[];
}

export interface Websockify {
  port: number;
  /** ws://127.0.0.1:PORT */
  url: string;
  httpUrl: string;
  child: Child;
  stop(): Promise<void>;
}

export async function startWebsockify(options: WebsockifyOptions): Promise<Websockify> {
  const port = await freePort();
  const tokens = options.tokenFolder;
  const child = await startChild(
    'websockify',
    [
      ...(tokens === undefined ? [] : ['--token-plugin', 'TokenFile', '--token-source', tokens]),
      ...(options.web === undefined ? [] : ['--web', options.web]),
      ...(options.args ?? []),
      `127.0.0.1:${port}`,
      ...(options.target === undefined ? [] : [options.target]),
    ],
    { ready: () => canConnect(port) },
  );
  return {
    port,
    url: `ws://127.0.0.1:${port}`,
    httpUrl: `http://127.0.0.1:${port}`,
    child,
    stop: async () => {
      await child.stop();
    },
  };
}
