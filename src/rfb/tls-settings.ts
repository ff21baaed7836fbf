// How the TLS of a target is verified, and what it is shown. What always holds: a target that claims a certificate is
// verified, by authority and name or by a pinned fingerprint; there is no way to leave it unverified.
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';

/** PEM texts, not paths: whoever reads the files makes a new object when they change. */
export interface TlsSettings {
  /** Authorities; without, the well-known ones. */
  readonly ca?: string | Buffer;
  /** Our certificate, with its chain, and its key. A secret. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** The name or address that the certificate must be for, instead of the target's host. */
  readonly serverName?: string;
  /**
   * SHA-256 of the target's certificate, 64 hexadecimal digits, with or without colons, as `openssl x509 -fingerprint
   * -sha256` prints it. Instead of the name; without `ca` instead of the authority as well.
   */
  readonly fingerprint?: string;
}

/** Anonymous key exchange: no certificates. Named one by one, as `aNULL` brings a cipher that does not encrypt. */
const ANONYMOUS_CIPHERS = [
  'ADH-AES256-GCM-SHA384',
  'ADH-AES128-GCM-SHA256',
  'ADH-AES256-SHA256',
  'ADH-AES128-SHA256',
  'AECDH-AES256-SHA',
  'AECDH-AES128-SHA',
  'ADH-AES256-SHA',
  'ADH-AES128-SHA',
  // OpenSSL has none of them above this level.
  '@SECLEVEL=0',
].join(':');

const verified = new WeakMap<TlsSettings, SecureContext>();
let anonymous: SecureContext | undefined;

/**
 * Made once for the same object, since reading certificates takes longer than shaking hands.
 * @throws Error of OpenSSL where a PEM is none or the key is another certificate's
 */
export function verifiedContext(settings: TlsSettings): SecureContext {
  const known = verified.get(settings);
  if (known !== undefined) return known;
  const { ca, cert, key } = settings;
  const context = createSecureContext({
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  });
  verified.set(settings, context);
  return context;
}

/** TLS 1.3 knows no anonymous key exchange. */
export function anonymousContext(): SecureContext {
  anonymous ??= createSecureContext({
    ciphers: ANONYMOUS_CIPHERS,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  });
  return anonymous;
}

/** The fingerprint's digits alone, to be compared. */
export function plainFingerprint(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}
