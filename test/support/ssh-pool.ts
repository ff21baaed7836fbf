// A pool of SSH connections in the test's own process, with what it logs, and the consoles that go over it.
import { pino } from 'pino';
import { GatewayError } from '../../src/errors.ts';
import { type SshLimits, SshPool, type SshRule } from '../../src/transport/ssh.ts';
import type { SshIdentity } from '../../src/transport/ssh-identity.ts';
import type { ConnectTarget, TargetConnection } from '../../src/transport/transport.ts';
import { connectWith } from './connect-by.ts';
import { atEnd } from './lifetime.ts';
import { makeKey, type Sshd, type SshdOptions, type SshKeyPair, startSshd, writeKnownHosts } from './sshd.ts';
import { waitFor } from './wait.ts';

/** A console over a pool: what came, and how it ended. */
export interface SshConsole {
  connection: TargetConnection;
  received(): Buffer;
  receivedBytes(): number;
  /** Times that `drain` came. */
  drains(): number;
  endedBy(): string | undefined;
  waitForBytes(bytes: number): Promise<Buffer>;
  waitForEnd(): Promise<string>;
  /** Reads nothing more until resume(). */
  hold(): void;
  resume(): void;
}

export interface PoolUnderTest {
  pool: SshPool;
  rule: SshRule;
  identity: SshIdentity;
  /** All that was logged, as one text. */
  log(): string;
  open(port: number, options?: { signal?: AbortSignal; rule?: SshRule; host?: string }): Promise<SshConsole>;
  /** What the error that opening a console gives says of the target. */
  refusal(port: number, options?: { rule?: SshRule; host?: string }): Promise<string>;
}

export function openPool(rule: SshRule, limits: Partial<SshLimits> = {}): PoolUnderTest {
  let logged = '';
  const write = (line: string) => {
    logged += line;
  };
  const logger = pino({ level: 'debug' }, { write });
  const pool = new SshPool({ logger, limits });
  atEnd(() => pool.close());
  const identity = pool.identify('targets[0]', rule, []);
  const open: PoolUnderTest['open'] = async (port, options = {}) => {
    const { signal = new AbortController().signal, host = '127.0.0.1' } = options;
    const other = options.rule && pool.identify('targets[1]', options.rule, [identity]);
    return converse(await pool.connect({ host, port }, options.rule ?? rule, other ?? identity, signal));
  };
  return {
    pool,
    rule,
    identity,
    log: () => logged,
    open,
    refusal: async (port, options) => {
      try {
        await open(port, options);
      } catch (error) {
        if (!(error instanceof GatewayError) || error.code !== 'target-failed') throw error;
        const target = `target ${options?.host ?? '127.0.0.1'}:${port}: `;
        if (!error.detail.startsWith(target)) throw new Error(`no target is named: ${error.detail}`);
        return error.detail.slice(target.length);
      }
      throw new Error('a console was opened');
    },
  };
}

/** The connect function of a rule as it stands in the configuration. */
export function connectBySsh(rule: object): ConnectTarget {
  const ssh = new SshPool({ logger: pino({ enabled: false }) });
  atEnd(() => ssh.close());
  return connectWith(ssh, { via: 'ssh', ...rule });
}

function converse(connection: TargetConnection): SshConsole {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let drains = 0;
  let why: string | undefined;
  let holding = false;
  connection.start({
    data: (memory, start, end) => {
      chunks.push(Buffer.from(memory.subarray(start, end)));
      bytes += end - start;
      return !holding;
    },
    drain: () => {
      drains++;
    },
    ended: (reason) => {
      why = reason;
    },
  });
  return {
    connection,
    received: () => Buffer.concat(chunks),
    receivedBytes: () => bytes,
    drains: () => drains,
    endedBy: () => why,
    waitForBytes: async (count) => {
      await waitFor(() => bytes >= count, { what: `${count} bytes of the console`, deadlineMs: 20_000 });
      return Buffer.concat(chunks);
    },
    waitForEnd: () => waitFor(() => why, { what: 'the end of the console' }),
    hold: () => {
      holding = true;
    },
    resume: () => {
      holding = false;
      connection.resume();
    },
  };
}

export interface Hypervisor {
  sshd: Sshd;
  key: SshKeyPair;
  rule: SshRule;
}

/** An sshd that lets a new key in, and the rule that goes with it. */
export async function startHypervisor(options: Partial<SshdOptions> = {}): Promise<Hypervisor> {
  const key = await makeKey();
  const sshd = await startSshd({ authorizedKeys: [key.publicKey], ...options });
  const rule: SshRule = {
    user: sshd.user,
    port: sshd.port,
    keyFile: key.file,
    knownHosts: [writeKnownHosts(sshd.knownHosts())],
  };
  return { sshd, key, rule };
}
