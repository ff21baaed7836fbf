// The attempt to connect to a hypervisor's sshd, step by step: known_hosts, TCP, handshake and login.
// What always holds: each step has its time; an attempt that ends, by itself or by its signal, leaves no socket; whatever
// stops it is told as what it is.
import type { Socket } from 'node:net';
import { causeOf, GatewayError } from '../errors.js';
import { type HostKeys, knownHostsName } from './known-hosts.js';
import { SshClient, type SshProblem } from './ssh-client.js';
import { foreignText, SshConnectionLost, sshFailed } from './ssh-errors.js';
import { type KnownHostsFiles, noCommonHostKey, refusedHostKey } from './ssh-host-keys.js';
import type { SshIdentity } from './ssh-identity.js';
import type { SshLimits, SshWay } from './ssh-rule.js';

/** Opens a TCP connection to sshd. @throws anything; the signal's reason when it fires first */
export type SshDial = (sshd: { host: string; port: number }, signal: AbortSignal) => Promise<Socket>;

export interface SshAttempt {
  readonly way: SshWay;
  readonly identity: SshIdentity;
  readonly limits: SshLimits;
  readonly knownHosts: KnownHostsFiles;
  readonly dial: SshDial;
}

export interface SshAttemptEvents {
  /** There is a socket; it may still come after the signal, to be closed at once. */
  socket(socket: Socket): void;
  /** The connection is lost, after it was made; once. */
  lost(reason: GatewayError): void;
  /** There is one channel less. */
  released(): void;
}

/**
 * @returns logged in
 * @throws GatewayError `target-failed`; the signal's reason when it fires first
 */
export async function connectToSshd(
  attempt: SshAttempt,
  events: SshAttemptEvents,
  signal: AbortSignal,
): Promise<SshClient> {
  const keys = await attempt.knownHosts.lookUp(attempt.way);
  signal.throwIfAborted();
  const socket = await dialInTime(attempt, signal);
  events.socket(socket);
  if (signal.aborted) socket.destroy();
  signal.throwIfAborted();
  socket.setNoDelay(true);
  return await logIn(socket, keys, attempt, events, signal);
}

async function dialInTime({ way, dial }: SshAttempt, signal: AbortSignal): Promise<Socket> {
  const late = new AbortController();
  const seconds = way.connectTimeoutMs / 1000;
  const timer = setTimeout(
    () => late.abort(new Error(`no answer within ${seconds} s`)),
    way.connectTimeoutMs,
  );
  try {
    return await dial({ host: way.address, port: way.port }, AbortSignal.any([signal, late.signal]));
  } catch (error) {
    signal.throwIfAborted();
    const at = way.address === way.host ? '' : ` at ${way.address}`;
    const cause = error instanceof GatewayError ? error.detail : causeOf(error);
    // Who dials names a target, which here is sshd and named already.
    const bare = cause.replace(/^target \S+: /, '');
    throw sshFailed(`cannot reach sshd of ${knownHostsName(way.host, way.port)}${at}: ${bare}`);
  } finally {
    clearTimeout(timer);
  }
}

function logIn(
  socket: Socket,
  keys: HostKeys,
  { way, identity, limits }: SshAttempt,
  events: SshAttemptEvents,
  signal: AbortSignal,
): Promise<SshClient> {
  const label = knownHostsName(way.host, way.port);
  let refusal: string | undefined;
  let isReady = false;
  return new Promise((resolve, reject) => {
    const settled = () => signal.removeEventListener('abort', abort);
    const failed = (error: GatewayError) => {
      settled();
      if (isReady) events.lost(error);
      else reject(error);
    };
    const client = new SshClient(
      {
        socket,
        user: way.user,
        ...identity,
        hostKeyAlgorithms: keys.algorithms,
        verifyHostKey: (key) => {
          refusal = refusedHostKey(way, keys, key);
          return refusal === undefined;
        },
        handshakeTimeoutMs: way.connectTimeoutMs,
        keepaliveMs: limits.keepaliveMs,
        keepaliveCount: limits.keepaliveCount,
      },
      {
        ready: () => {
          settled();
          isReady = true;
          resolve(client);
        },
        failed: (problem) => {
          if (refusal !== undefined) failed(sshFailed(refusal));
          else failed(isReady ? lossOf(problem, label) : failureOf(problem, way, keys));
        },
        closed: () =>
          failed(
            isReady
              ? new SshConnectionLost(label)
              : sshFailed(`sshd of ${label} closed the connection during the handshake`),
          ),
        released: () => events.released(),
      },
    );
    const abort = () => {
      client.destroy();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
  });
}

function lossOf({ kind, text }: SshProblem, label: string): SshConnectionLost {
  return new SshConnectionLost(label, kind === 'timeout' ? 'no answer to keep-alives' : foreignText(text));
}

function failureOf({ kind, text }: SshProblem, way: SshWay, keys: HostKeys): GatewayError {
  const label = knownHostsName(way.host, way.port);
  const said = foreignText(text);
  switch (kind) {
    case 'no-common-host-key':
      return sshFailed(noCommonHostKey(way, keys));
    case 'authentication':
      return sshFailed(`sshd of ${label} refused the login of ${way.user}: ${said}`);
    case 'timeout': {
      const seconds = way.connectTimeoutMs / 1000;
      return sshFailed(`sshd of ${label} did not finish the handshake within ${seconds} s`);
    }
    default:
      return sshFailed(`SSH handshake with ${label} failed: ${said}`);
  }
}
