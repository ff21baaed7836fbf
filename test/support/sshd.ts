// A real sshd on loopback, as on a hypervisor, with keys of its own for the host and for whoever logs in, all in a
// temporary folder. We log in as the user that runs the tests.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Child, run, runWell, startChild } from './child.ts';
import { temporaryFolder } from './folder.ts';
import { freePort } from './ports.ts';
import { u32 } from './rfb-messages.ts';

export type KeyType = 'ed25519' | 'rsa' | 'ecdsa';

export interface SshdOptions {
  port?: number;
  /** Types of its host keys. */
  hostKeys?: readonly KeyType[];
  /** Whom it lets in: lines of authorized_keys. */
  authorizedKeys: readonly string[];
  /** More of sshd_config, as `PermitOpen 127.0.0.1:5900`; the first value that sshd reads counts. */
  config?: readonly string[];
}

export interface Sshd {
  host: string;
  port: number;
  user: string;
  folder: string;
  child: Child;
  /** Lines of known_hosts, one for each host key, under its name there or another. */
  knownHosts(name?: string): string[];
  /** Pids of the processes that serve connections; one each, once somebody is logged in. */
  connections(): Promise<number[]>;
  /** How many have logged in so far. */
  logins(): number;
  stop(): Promise<void>;
}

export async function startSshd(options: SshdOptions): Promise<Sshd> {
  // sshd wants it there, owned by root, when root runs it.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const port = options.port ?? (await freePort());
  const folder = temporaryFolder();
  const hostKeys = await Promise.all(
    (options.hostKeys ?? ['ed25519']).map((type) => makeKey({ folder, type, name: `host_${type}` })),
  );
  writeFileSync(join(folder, 'authorized_keys'), `${options.authorizedKeys.join('\n')}\n`);
  const lines = [
    ...(options.config ?? []),
    'ListenAddress 127.0.0.1',
    `Port ${port}`,
    ...hostKeys.map((key) => `HostKey ${key.file}`),
    'PidFile none',
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    'AllowTcpForwarding local',
    'MaxStartups 200',
    'LogLevel VERBOSE',
  ];
  const config = join(folder, 'sshd_config');
  writeFileSync(config, `${lines.join('\n')}\n`);
  // Its children write to the same stderr, and outlive it: they are ended by pid.
  const child = await startChild('/usr/sbin/sshd', ['-D', '-e', '-f', config], {
    ready: (sshd) => sshd.stderr().includes('Server listening on'),
  });
  const connections = async () => {
    const { stdout } = await run('ps', ['-o', 'pid=', '--ppid', String(child.pid)]);
    return stdout.split('\n').map(Number).filter(Boolean);
  };
  return {
    host: '127.0.0.1',
    port,
    user: userInfo().username,
    folder,
    child,
    knownHosts: (name = `[127.0.0.1]:${port}`) => hostKeys.map((key) => `${name} ${key.publicKey}`),
    connections,
    logins: () => child.stderr().match(/Accepted publickey/g)?.length ?? 0,
    stop: async () => {
      const left = await connections();
      await child.stop();
      for (const pid of left) signalPid(pid, 'SIGKILL');
    },
  };
}

/** Of a process that a test found by its parent; harmless when it has ended. */
export function signalPid(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone.
  }
}

export interface SshKeyPair {
  file: string;
  /** Type and key in base64, as in authorized_keys and known_hosts. */
  publicKey: string;
}

export async function makeKey({
  type = 'ed25519',
  passphrase = '',
  folder = temporaryFolder(),
  name = 'id',
}: {
  type?: KeyType;
  passphrase?: string;
  folder?: string;
  name?: string;
} = {}): Promise<SshKeyPair> {
  const file = join(folder, name);
  const bits = type === 'rsa' ? ['-b', '2048'] : [];
  await runWell('ssh-keygen', ['-q', '-t', type, ...bits, '-N', passphrase, '-C', 'test', '-f', file]);
  return { file, publicKey: readFileSync(`${file}.pub`, 'utf8').split(' ').slice(0, 2).join(' ') };
}

/** Arguments of `openssl genpkey`. */
const opensslKeys = {
  ed25519: ['-algorithm', 'ED25519'],
  rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  ecdsa: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  'P-521': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  ed448: ['-algorithm', 'ED448'],
  x25519: ['-algorithm', 'X25519'],
  'rsa-pss': ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'],
  secp256k1: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'],
};

export type OpensslKeyType = keyof typeof opensslKeys;

/** As OpenSSL 3 makes it: `BEGIN PRIVATE KEY`, or `BEGIN ENCRYPTED PRIVATE KEY`. */
export async function makePkcs8Key(type: OpensslKeyType, passphrase?: string): Promise<string> {
  const file = join(temporaryFolder(), 'id');
  const cipher = passphrase === undefined ? [] : ['-aes256', '-pass', `pass:${passphrase}`];
  await runWell('openssl', ['genpkey', ...opensslKeys[type], ...cipher, '-out', file]);
  return file;
}

/** What stands in authorized_keys for a private key in PEM (RFC 4253 section 6.6, RFC 5656, RFC 8709). */
export function publicKeyOf(file: string, passphrase = ''): string {
  const key = createPublicKey(createPrivateKey({ key: readFileSync(file), format: 'pem', passphrase }));
  const { kty, crv = '', e = '', n = '', x = '', y = '' } = key.export({ format: 'jwk' });
  const bytes = (text: string) => Buffer.from(text, 'base64url');
  // A number whose first bit is set has a zero in front.
  const number = (text: string) => Buffer.concat([Buffer.alloc((bytes(text)[0] ?? 0) >> 7), bytes(text)]);
  const curve = `nistp${crv.slice(2)}`;
  const [type = '', ...parts] =
    kty === 'OKP'
      ? ['ssh-ed25519', bytes(x)]
      : kty === 'RSA'
        ? ['ssh-rsa', number(e), number(n)]
        : [`ecdsa-sha2-${curve}`, Buffer.from(curve), Buffer.concat([Buffer.of(4), bytes(x), bytes(y)])];
  const blob = [Buffer.from(type), ...parts].map((part) =>
    Buffer.concat([u32(part.length), Buffer.from(part)]),
  );
  return `${type} ${Buffer.concat(blob).toString('base64')}`;
}

/** A known_hosts file with these lines. */
export function writeKnownHosts(lines: readonly string[], folder = temporaryFolder()): string {
  const file = join(folder, 'known_hosts');
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
  return file;
}

/** Hashes the names in a known_hosts file, as Debian's ssh does. */
export async function hashNames(file: string): Promise<void> {
  await runWell('ssh-keygen', ['-H', '-f', file]);
}

export interface SshAgent {
  socket: string;
  child: Child;
  add(key: SshKeyPair): Promise<void>;
}

export async function startAgent(): Promise<SshAgent> {
  const socket = join(temporaryFolder(), 'agent.sock');
  const env = { SSH_AUTH_SOCK: socket };
  const child = await startChild('ssh-agent', ['-D', '-a', socket], {
    // 1: it answers, and has no keys.
    ready: async () => (await run('ssh-add', ['-l'], { env })).code === 1,
  });
  return {
    socket,
    child,
    add: async (key) => {
      await runWell('ssh-add', ['-q', key.file], { env });
    },
  };
}
