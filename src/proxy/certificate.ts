// The proxy's certificate, read when it is needed and checked before it is used.
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { causeOf, StartError } from '../errors.js';

export interface CertificateFiles {
  /** `vnc_proxy_cert`: the chain. */
  readonly cert: string | undefined;
  /** `vnc_proxy_key`; not set: it is in the file of the certificate, as websockify has it. */
  readonly key: string | undefined;
}

/** PEM. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** RFC 7468, and the older forms: `EC PRIVATE KEY`, `ENCRYPTED PRIVATE KEY`. */
const PRIVATE_KEY = /-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----/;

/** @throws StartError naming the setting */
export function readCertificate(files: CertificateFiles): Certificate {
  const cert = readPem('vnc_proxy_cert', files.cert);
  const certificate = { cert, key: files.key === undefined ? cert : readPem('vnc_proxy_key', files.key) };
  if (files.key === undefined && !PRIVATE_KEY.test(cert.toString('latin1'))) {
    throw new StartError(`vnc_proxy_key is not set, and vnc_proxy_cert: ${files.cert} has no private key`);
  }
  try {
    createSecureContext(certificate);
  } catch (error) {
    const told =
      files.key === undefined
        ? `vnc_proxy_cert: ${files.cert} has no usable certificate and key`
        : `vnc_proxy_cert, vnc_proxy_key: ${files.cert} and ${files.key} are no usable pair`;
    throw new StartError(`${told}: ${causeOf(error)}`);
  }
  return certificate;
}

function readPem(setting: string, path: string | undefined): Buffer {
  if (path === undefined) throw new StartError(`${setting} is not set`);
  try {
    return readFileSync(path);
  } catch (error) {
    throw new StartError(`${setting}: cannot read ${path}: ${causeOf(error)}`);
  }
}
