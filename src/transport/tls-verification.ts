// Whom TLS is for and what it shows, wherever it is: around the whole connection, or begun by VeNCrypt inside of it.
// What always holds: the other side proves who it is, by authority and name or by a pinned fingerprint; there is no way
// to leave it out.
import { constants } from 'node:crypto';
import { isIP } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';

/** What files of TLS held: a new object when they are read again. */
export interface TlsMaterial {
  /** PEM: authorities; without, the well-known ones. */
  readonly ca?: string | Buffer;
  /** PEM: our certificate, with its chain, and its key. A secret. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** The name or address that the certificate must be for, instead of the target's host. */
  readonly serverName?: string;
  /**
   * SHA-256 of the certificate, 64 hexadecimal digits, with or without colons, as `openssl x509 -fingerprint -sha256`
   * prints it. Instead of the name; without `ca` instead of the authority as well.
   */
  readonly fingerprint?: string;
}

const contexts = new WeakMap<TlsMaterial, SecureContext>();

/**
 * Made once for the same object, since reading certificates takes longer than shaking hands.
 * @throws Error of OpenSSL where a PEM is none or the key is another certificate's
 */
export function verifiedContext(material: TlsMaterial): SecureContext {
  const known = contexts.get(material);
  if (known !== undefined) return known;
  const { ca, cert, key } = material;
  const context = createSecureContext({
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  });
  contexts.set(material, context);
  return context;
}

/**
 * All but the socket. When TLS stands, isPinned() has to be asked as well.
 * @param name what the certificate has to be for
 * @throws as verifiedContext()
 */
export function verifiedOptions(name: string, material: TlsMaterial): ConnectionOptions {
  const { ca, fingerprint } = material;
  return {
    secureContext: verifiedContext(material),
    // An address has no place in SNI.
    servername: isIP(name) === 0 ? name : '',
    rejectUnauthorized: fingerprint === undefined || ca !== undefined,
    checkServerIdentity: (_name, certificate) =>
      fingerprint === undefined ? checkServerIdentity(name, certificate) : undefined,
  };
}

/** Whether the certificate is the one that is pinned, where one is. */
export function isPinned(tls: TLSSocket, { fingerprint }: TlsMaterial): boolean {
  if (fingerprint === undefined) return true;
  const shown = tls.getPeerX509Certificate()?.fingerprint256;
  return shown !== undefined && plain(shown) === plain(fingerprint);
}

function plain(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}
