// The whole connection in TLS, to an agent or stunnel beside the hypervisor.
// What always holds: nothing is handed out before the other side has proved who it is.
import type { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { causeOf } from '../errors.js';
import { dial, type Hop } from './dial.js';
import { StreamConnection } from './stream-connection.js';
import { isPinned, type TlsMaterial, verifiedContext, verifiedOptions } from './tls-verification.js';
import { type TargetConnection, type TransportTarget, targetFailed, whyEnded } from './transport.js';

/** TLS as one rule wants it. Its own reads do not come into our memory: Node goes on writing there after a stop. */
export class TlsClient {
  private readonly material: TlsMaterial;

  constructor(material: TlsMaterial) {
    this.material = material;
    // At the start, not at the first console.
    verifiedContext(material);
  }

  /**
   * Opens a connection and shakes hands. Its errors are listened for.
   * @throws GatewayError `target-failed`; the signal's reason when it fires first. No socket is left then
   */
  async open(hop: Hop, signal: AbortSignal): Promise<TLSSocket> {
    return this.secure(await dial(hop, signal), hop.target, signal);
  }

  private secure(socket: Socket, target: TransportTarget, signal: AbortSignal): Promise<TLSSocket> {
    const { material } = this;
    const name = material.serverName ?? target.host;
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        socket.destroy();
        throw signal.reason;
      }
      const tls = connect({ ...verifiedOptions(name, material), socket });
      const fail = (error: unknown) => {
        signal.removeEventListener('abort', abort);
        tls.destroy();
        socket.destroy();
        reject(error);
      };
      const abort = () => fail(signal.reason);
      const failed = (error?: Error) => fail(targetFailed(target, `TLS: ${explain(error, name)}`));
      const closed = () => failed();
      signal.addEventListener('abort', abort, { once: true });
      // Stays: an error may come after a failure, or before the socket has come to whom it is for.
      tls.on('error', () => undefined);
      tls.once('error', failed);
      tls.once('close', closed);
      tls.once('secureConnect', () => {
        if (!isPinned(tls, material)) {
          fail(targetFailed(target, 'TLS: its certificate is not the one that fingerprint pins'));
          return;
        }
        signal.removeEventListener('abort', abort);
        tls.off('error', failed).off('close', closed);
        resolve(tls);
      });
    });
  }
}

/** @throws GatewayError `target-failed` */
export async function openTls(client: TlsClient, hop: Hop, signal: AbortSignal): Promise<TargetConnection> {
  const socket = await client.open(hop, signal);
  // A server of TLS 1.3 looks at our certificate after we have taken its own: the refusal is the end of a connection.
  return new StreamConnection(socket, whyTlsEnded);
}

export function whyTlsEnded(error: Error | undefined): string {
  const hint = hintOf(error);
  return hint === undefined ? whyEnded(error) : `${hint}: ${causeOf(error)}`;
}

/** What an error of a handshake means; OpenSSL's own code goes with it. */
function explain(error: Error | undefined, name: string): string {
  if (error === undefined) return 'the connection ended during the handshake';
  const code = causeOf(error);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `its certificate is not for ${name} (server_name): ${code}`;
  const hint = hintOf(error);
  return hint === undefined ? code : `${hint}: ${code}`;
}

const hints: readonly (readonly [code: RegExp, what: string])[] = [
  [
    /SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|UNTRUSTED/,
    'its certificate is of no authority that is known (ca_file)',
  ],
  [/CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/, 'its certificate is out of date'],
  [/VERSION|UNSUPPORTED_PROTOCOL|PACKET_LENGTH/, 'it does not speak TLS 1.2 or later'],
  [
    /ALERT_(CERTIFICATE|HANDSHAKE_FAILURE|UNKNOWN_CA|BAD_CERTIFICATE|UNSUPPORTED_CERT)/,
    'it does not take our certificate (cert_file, key_file)',
  ],
];

function hintOf(error: Error | undefined): string | undefined {
  if (error === undefined) return undefined;
  const code = causeOf(error);
  return hints.find(([pattern]) => pattern.test(code))?.[1];
}
