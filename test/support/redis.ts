// Redis servers in the foreground, alone, as a cluster, or behind Sentinels, with everything that they write in
// temporary folders.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makePki, type Pki } from './certificates.ts';
import { type Child, run, runWell, startChild } from './child.ts';
import { temporaryFolder } from './folder.ts';
import { freePort } from './ports.ts';
import { waitFor } from './wait.ts';

export interface RedisOptions {
  port?: number;
  /** Where it runs; what it kept there comes back. */
  folder?: string;
  /** More of redis-server's arguments. */
  args?: readonly string[];
  /** Lines of an ACL file, as `user app on >secret …`. */
  users?: readonly string[];
  tls?: Pki;
}

export interface Redis {
  port: number;
  folder: string;
  child(): Child;
  /** What redis-cli prints; as the user `default`, or whom the arguments name. */
  cli(...args: string[]): Promise<string>;
  /** Stands still until `resume`. */
  pause(): void;
  resume(): void;
  kill(): Promise<void>;
  stop(): Promise<void>;
  /** Again, on the same port and in the same folder. */
  start(): Promise<void>;
}

export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  const port = options.port ?? (await freePort());
  const folder = options.folder ?? temporaryFolder();
  const users = join(folder, 'users.acl');
  if (options.users) writeFileSync(users, `${options.users.join('\n')}\n`, { mode: 0o600 });
  const { tls } = options;
  const args = [
    ...['--bind', '127.0.0.1', '--dir', folder, '--save', ''],
    ...(tls
      ? ['--port', '0', '--tls-port', String(port), '--tls-cert-file', tls.server.cert]
      : ['--port', String(port)]),
    ...(tls ? ['--tls-key-file', tls.server.key, '--tls-ca-cert-file', tls.ca.cert] : []),
    ...(options.users ? ['--aclfile', users] : []),
    ...(options.args ?? []),
  ];
  const secure = tls
    ? ['--tls', '--cacert', tls.ca.cert, '--cert', tls.client.cert, '--key', tls.client.key]
    : [];
  const cli = async (...command: string[]) => {
    const { stdout } = await run('redis-cli', ['-p', String(port), ...secure, ...command]);
    return stdout.trim();
  };
  let child: Child;
  const start = async () => {
    // Whoever may do nothing is answered all the same.
    const ready = async () => /PONG|NOAUTH|LOADING/.test(await cli('ping'));
    child = await startChild('redis-server', args, { ready });
  };
  await start();
  return {
    ...{ port, folder, cli, start },
    child: () => child,
    pause: () => child.signal('SIGSTOP'),
    resume: () => child.signal('SIGCONT'),
    kill: async () => {
      child.signal('SIGKILL');
      await child.exited;
    },
    stop: async () => {
      await child.stop();
    },
  };
}

/** With TLS, and a certificate wanted of clients, as Redis has it by default. */
export async function startRedisTls(options: RedisOptions = {}): Promise<Redis & { pki: Pki }> {
  const pki = await makePki();
  return { ...(await startRedis({ ...options, tls: pki })), pki };
}

/** Masters only, each with a third of the slots; `args` for all. */
export async function startRedisCluster(
  options: Omit<RedisOptions, 'port' | 'folder'> = {},
): Promise<Redis[]> {
  const cluster = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'];
  const args = [...cluster, '--cluster-node-timeout', '2000', ...(options.args ?? [])];
  const startOne = async () => {
    // Its own choice, 10000 above the port, may be an outgoing connection's.
    const bus = ['--cluster-port', String(await freePort())];
    return startRedis({ ...options, args: [...args, ...bus] });
  };
  const servers = await Promise.all([startOne(), startOne(), startOne()]);
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  await runWell('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes']);
  await Promise.all(servers.map(clusterReady));
  return servers;
}

/** Waits until a node says that the whole cluster is there. */
export async function clusterReady({ cli, port }: Redis): Promise<void> {
  await waitFor(async () => (await cli('cluster', 'info')).includes('cluster_state:ok'), {
    what: `the cluster to be ready, as ${port} sees it`,
    deadlineMs: 20_000,
  });
}

export interface Sentinels {
  master: Redis;
  replica: Redis;
  ports: number[];
}

/** A master and its replica behind three Sentinels, which call it `mymaster`. */
export async function startRedisSentinels(): Promise<Sentinels> {
  const args = ['--repl-diskless-sync-delay', '0', '--repl-diskless-load', 'swapdb'];
  const master = await startRedis({ args });
  const replica = await startRedis({ args: [...args, '--replicaof', '127.0.0.1', String(master.port)] });
  await waitFor(async () => (await replica.cli('info', 'replication')).includes('master_link_status:up'), {
    what: 'the replica to follow',
  });
  const ports = await Promise.all([1, 2, 3].map(() => freePort()));
  await Promise.all(ports.map((port) => startSentinel(port, master.port)));
  for (const port of ports) {
    const ask = async (...command: string[]) =>
      (await run('redis-cli', ['-p', String(port), ...command])).stdout;
    await waitFor(
      async () =>
        (await ask('sentinel', 'ckquorum', 'mymaster')).includes('OK 3') &&
        (await ask('sentinel', 'replicas', 'mymaster')).includes(String(replica.port)),
      { what: 'the Sentinels to know each other', deadlineMs: 20_000 },
    );
  }
  return { master, replica, ports };
}

async function startSentinel(port: number, masterPort: number): Promise<Child> {
  const folder = join(temporaryFolder(), 'sentinel');
  mkdirSync(folder);
  const file = join(folder, 'sentinel.conf');
  const lines = [
    ...['bind 127.0.0.1', `port ${port}`, `dir ${folder}`],
    `sentinel monitor mymaster 127.0.0.1 ${masterPort} 2`,
    'sentinel down-after-milliseconds mymaster 1000',
    'sentinel failover-timeout mymaster 3000',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return startChild('redis-sentinel', [file], {
    ready: async () => (await run('redis-cli', ['-p', String(port), 'ping'])).stdout.includes('PONG'),
  });
}
