// TLS without certificates, for VeNCrypt's TLSNone, TLSVnc and TLSPlain. What always holds: it is encrypted, and proves
// nothing about the target.
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';

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

let anonymous: SecureContext | undefined;

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
