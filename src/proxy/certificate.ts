// The proxy's certificate, read when it is needed and checked before it is used.
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { causeOf, StartError } from '../errors.js';

export interface CertificateFiles {
  /** `vnc_proxy_cert`: the chain. */
  readonly cert: string | undefined;
  /** `vnc_proxy_key`. */
  readonly key: string | undefined;
}

/** PEM. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** @throws StartError naming the setting */
export function readCertificate(files: CertificateFiles): Certificate {
  const certificate = {
    cert: readPem('vnc_proxy_cert', files.cert),
    key: readPem('vnc_proxy_key', files.key),
  };
  try {
    createSecureContext(certificate);
  } catch (error) {
    throw new StartError(
      `vnc_proxy_cert, vnc_proxy_key: ${files.cert} and ${files.key} are no usable pair: ${causeOf(error)}`,
    );
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
