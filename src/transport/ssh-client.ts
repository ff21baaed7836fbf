// One SSH connection as the rest of the service sees it; the one place that knows the library `ssh2`.
// What always holds: the server's key is checked before we log in; what waits in memory for the server has a bound, here
// and not in the library, which has none; after failed() or closed() nothing is told any more.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import ssh2 from 'ssh2';
import { type RawChannel, SshChannel } from './ssh-channel.js';
import type { ChannelRefusal } from './ssh-errors.js';
import { convertKey, type KeyProblem } from './ssh-key-forms.js';

/** All consoles of a connection wait while so much is on its way to the server. */
const SOCKET_QUEUE_BYTES = 1024 * 1024;
/**
 * A server that makes us answer and does not read gets no further than this. Consoles cannot get there: a piece of
 * each, at most 1,000 of 32 KiB, may come on top of what is above.
 */
const MAX_SOCKET_QUEUE_BYTES = 64 * 1024 * 1024;
/** How long the server may take to read our good-bye. */
const END_TIMEOUT_MS = 1_000;

/** A private key, ready to sign. */
export type SshKey = ssh2.ParsedKey;

/** @param text PEM of any kind, or OpenSSH's own format */
export function parsePrivateKey(text: Buffer, passphrase: string | undefined): SshKey | KeyProblem {
  const key = parse(text, passphrase);
  if (key !== 'unusable') return key;
  // The library knows no PKCS#8, as OpenSSL 3 writes it, nor some of what stands around the older forms.
  const converted = convertKey(text, passphrase);
  return typeof converted === 'string' ? converted : parse(converted.pem, undefined);
}

function parse(text: Buffer | string, passphrase: string | undefined): SshKey | KeyProblem {
  const parsed: unknown = ssh2.utils.parseKey(text, passphrase);
  const key = (Array.isArray(parsed) ? parsed[0] : parsed) as SshKey | Error;
  if (!(key instanceof Error)) return key.isPrivateKey() ? key : 'unusable';
  if (/no passphrase/i.test(key.message)) return 'needs-passphrase';
  return passphrase !== undefined && /passphrase|integrity|decrypt|malformed/i.test(key.message)
    ? 'wrong-passphrase'
    : 'unusable';
}

export interface SshClientOptions {
  /** Connected. */
  readonly socket: Socket;
  readonly user: string;
  readonly key: SshKey | undefined;
  /** Path of an agent's socket. */
  readonly agent: string | undefined;
  /** Signature algorithms of host keys, the best first. */
  readonly hostKeyAlgorithms: readonly string[];
  /** At every key exchange. */
  readonly verifyHostKey: (key: Buffer) => boolean;
  /** For the handshake and the login together. */
  readonly handshakeTimeoutMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveCount: number;
}

export interface SshProblem {
  readonly kind: 'no-common-host-key' | 'authentication' | 'timeout' | 'socket' | 'protocol' | 'flood';
  /** Of the server or of the library: to be cleaned before it is shown. */
  readonly text: string;
}

export interface SshClientEvents {
  /** Logged in. */
  ready(): void;
  /** The connection is of no use any more, and has been destroyed. */
  failed(problem: SshProblem): void;
  /** The connection has ended without a word. */
  closed(): void;
  /** There is one channel less. */
  released(): void;
}

export class SshClient {
  private readonly client = new ssh2.Client();
  private readonly socket: Socket;
  private readonly events: SshClientEvents;
  private over = false;
  /** An agent that fails is not the end: the library goes on to other ways. */
  private agentProblem: string | undefined;
  /** Packets given to the socket, to notice when the library keeps them. */
  private packets = 0;
  /** Between the two ends of a key exchange the library keeps all that is to be sent, without a bound. */
  private exchangingKeys = false;
  private readonly waiting = new Set<() => void>();
  private openChannels = 0;

  constructor(options: SshClientOptions, events: SshClientEvents) {
    const { client } = this;
    this.socket = options.socket;
    this.events = events;
    this.watchSocket();
    client.on('ready', () => {
      if (!this.over) events.ready();
    });
    client.on('handshake', () => {
      this.exchangingKeys = false;
      this.letGo();
    });
    client.on('error', (error: Error & { level?: string }) => this.problem(error));
    client.on('end', () => this.closed());
    client.on('close', () => this.closed());
    client.connect({
      sock: options.socket,
      username: options.user,
      authHandler: waysToLogIn(options),
      algorithms: {
        serverHostKey: options.hostKeyAlgorithms as ssh2.ServerHostKeyAlgorithm[],
        // The library's own lists of the others are in order but for SHA-1 and compression.
        hmac: { append: [], prepend: [], remove: ['hmac-sha1-etm@openssh.com', 'hmac-sha1'] },
        compress: ['none'],
      },
      hostVerifier: (key: Buffer) => options.verifyHostKey(key),
      readyTimeout: options.handshakeTimeoutMs,
      keepaliveInterval: options.keepaliveMs,
      keepaliveCountMax: options.keepaliveCount,
    });
  }

  /** Asks for a channel to a TCP port as the server sees it; calls back once, with one or the other. */
  openChannel(
    host: string,
    port: number,
    done: (refusal: ChannelRefusal | undefined, channel?: Duplex) => void,
  ): void {
    this.openChannels++;
    const refused = (error: unknown) => {
      this.released();
      done(refusalOf(error));
    };
    try {
      this.client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
        if (error) refused(error);
        else done(undefined, new SshChannel(channel as unknown as RawChannel, this));
      });
    } catch (error) {
      refused(error);
    }
  }

  /** Asked for, open, or not yet closed by the server. */
  get channels(): number {
    return this.openChannels;
  }

  released(): void {
    this.openChannels--;
    if (!this.over) this.events.released();
  }

  /** Says good-bye; the socket closes soon. */
  end(): void {
    this.over = true;
    this.client.end();
    const giveUp = setTimeout(() => this.socket.destroy(), END_TIMEOUT_MS);
    this.socket.once('close', () => clearTimeout(giveUp));
  }

  destroy(): void {
    this.over = true;
    this.waiting.clear();
    this.socket.destroy();
  }

  /** Calls back when the server has room: at once, mostly. */
  whenWritable(write: () => void): void {
    if (this.isWritable()) write();
    else this.waiting.add(write);
  }

  cancel(write: () => void): void {
    this.waiting.delete(write);
  }

  /** Hands a piece to the library. @returns whether it went on its way; else the channel's window is full */
  pass(channel: RawChannel, piece: Buffer, done: () => void): void {
    const before = this.packets;
    channel.write(piece, done);
    if (channel.writableLength === 0 && this.packets === before) this.exchangingKeys = true;
  }

  /** The server sends what it has no window for. */
  flooded(): void {
    this.fail({ kind: 'flood', text: 'it sent more than it was allowed to' });
  }

  private isWritable(): boolean {
    return !this.exchangingKeys && this.socket.writableLength < SOCKET_QUEUE_BYTES;
  }

  private letGo(): void {
    for (const write of this.waiting) {
      if (!this.isWritable()) return;
      this.waiting.delete(write);
      write();
    }
  }

  private watchSocket(): void {
    const { socket } = this;
    const write = socket.write.bind(socket) as (bytes: Buffer) => boolean;
    socket.write = ((bytes: Buffer) => {
      this.packets++;
      const taken = write(bytes);
      if (socket.writableLength > MAX_SOCKET_QUEUE_BYTES)
        this.fail({ kind: 'flood', text: 'it does not read what it asked for' });
      return taken;
    }) as typeof socket.write;
    socket.on('drain', () => this.letGo());
  }

  private problem(error: Error & { level?: string }): void {
    if (error.level === 'agent') {
      this.agentProblem = error.message;
      return;
    }
    this.fail({ kind: kindOf(error), text: this.agentProblem ?? error.message });
  }

  private fail(problem: SshProblem): void {
    if (this.over) return;
    this.destroy();
    this.events.failed(problem);
  }

  private closed(): void {
    if (this.over) return;
    this.destroy();
    this.events.closed();
  }
}

function waysToLogIn({ user, key, agent }: SshClientOptions): ssh2.AuthHandlerMiddleware {
  const ways: ssh2.AnyAuthMethod[] = [];
  if (key !== undefined)
    ways.push({ type: 'publickey', username: user, key: key as unknown as ssh2.PublicKeyAuthMethod['key'] });
  if (agent !== undefined) ways.push({ type: 'agent', username: user, agent });
  return (_left, _partial, next) => next(ways.shift() ?? (false as unknown as ssh2.AnyAuthMethod));
}

function kindOf(error: Error & { level?: string }): SshProblem['kind'] {
  if (error.message.includes('no matching host key format')) return 'no-common-host-key';
  switch (error.level) {
    case 'client-authentication':
      return 'authentication';
    case 'client-timeout':
      return 'timeout';
    case 'client-socket':
      return 'socket';
    default:
      return 'protocol';
  }
}

function refusalOf(error: unknown): ChannelRefusal {
  if (!(error instanceof Error)) return { reason: undefined, text: '' };
  const text = error.message.replace('(SSH) Channel open failure: ', '');
  return { reason: 'reason' in error && typeof error.reason === 'number' ? error.reason : undefined, text };
}
