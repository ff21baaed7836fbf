// TLS on a connection to a target, begun in the middle of RFB's handshake, as one more connection.
// What always holds: the certificate is verified before a byte is sent inside; a browser that does not read stops the
// target; end() and destroy() leave neither TLS nor the connection below behind.
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { causeOf, GatewayError } from '../errors.js';
import { StreamConnection } from '../transport/stream-connection.js';
import { isPinned, type TlsMaterial, verifiedOptions } from '../transport/tls-verification.js';
import type { TargetConnection } from '../transport/transport.js';
import { anonymousContext } from './anonymous-tls.js';
import { targetFailed } from './failure.js';
import { WireStream } from './wire-stream.js';

export interface SecuredConnection {
  readonly connection: TargetConnection;
  /** `TLSv1.3` */
  readonly protocol: string | undefined;
}

/**
 * Shakes hands as the client.
 * @param kind `tls`: anonymous; `x509`: the target's certificate is verified for `host`
 * @throws GatewayError `target-failed` saying why; the signal's reason when it fires first. The connection is then gone.
 */
export async function connectTls(
  connection: TargetConnection,
  kind: 'tls' | 'x509',
  host: string,
  material: TlsMaterial,
  signal: AbortSignal,
): Promise<SecuredConnection> {
  signal.throwIfAborted();
  const name = material.serverName ?? host;
  const options = kind === 'tls' ? anonymousOptions() : optionsFor(name, material);
  return new Promise((resolve, reject) => {
    const wire = new WireStream(connection);
    const tls = connect({ ...options, socket: wire });
    const fail = (error: unknown) => {
      signal.removeEventListener('abort', abort);
      tls.destroy();
      wire.destroy();
      reject(error);
    };
    const abort = () => fail(signal.reason);
    const failed = (error: unknown) => fail(tlsFailure(error, wire, name));
    const ended = () => failed(undefined);
    wire.on('error', failed);
    tls.on('error', failed);
    tls.once('close', ended);
    signal.addEventListener('abort', abort, { once: true });
    tls.once('secureConnect', () => {
      if (kind === 'x509' && !isPinned(tls, material)) return fail(targetFailed(WRONG_FINGERPRINT));
      signal.removeEventListener('abort', abort);
      wire.settle();
      tls.off('error', failed).off('close', ended);
      resolve(asConnection(tls, wire));
    });
  });
}

const WRONG_FINGERPRINT = "the target's certificate is not the one whose fingerprint is set";

function anonymousOptions(): ConnectionOptions {
  return { secureContext: anonymousContext(), rejectUnauthorized: false };
}

function optionsFor(name: string, material: TlsMaterial): ConnectionOptions {
  try {
    return verifiedOptions(name, material);
  } catch (error) {
    throw targetFailed(`the certificates and keys for the target cannot be used: ${causeOf(error)}`);
  }
}

function tlsFailure(error: unknown, wire: WireStream, name: string): Error {
  if (error instanceof GatewayError) return error;
  if (wire.endedBy !== undefined || error === undefined) {
    return targetFailed(`${wire.endedBy ?? 'the connection ended'} in the TLS handshake`);
  }
  const cause = tlsCause(error);
  // OpenSSL's own errors begin so; what is left is about the certificate.
  if (cause.startsWith('ERR_SSL_')) return targetFailed(`TLS with the target failed: ${cause}`);
  return targetFailed(`the target's certificate is not accepted for ${name}: ${cause}`);
}

/** Node leaves errors after the handshake as OpenSSL's line of numbers, reason and source file. */
function tlsCause(error: unknown): string {
  const cause = causeOf(error);
  return /error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):/.exec(cause)?.[1] ?? cause;
}

/**
 * TLS stands: from now on it is a connection as any other. Node ends the stream below before it calls TLS finished, and
 * destroys it with TLS.
 */
function asConnection(tls: TLSSocket, wire: WireStream): SecuredConnection {
  // Once TLS stands Node leaves a broken one open.
  tls.on('error', () => tls.destroy());
  const connection = new StreamConnection(tls, (error) =>
    error === undefined
      ? (wire.endedBy ?? 'the target closed the connection')
      : `TLS with the target failed: ${tlsCause(error)}`,
  );
  return { connection, protocol: tls.getProtocol() ?? undefined };
}
