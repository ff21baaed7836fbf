// The files of TLS, read when the rules are taken over and checked before they are used.
// What always holds: a problem names the setting and the file, and nothing of what is in it.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { causeOf, StartError } from '../errors.js';
import type { TlsFiles } from './rules.js';
import type { TlsMaterial } from './tls-verification.js';

/**
 * @param setting where the members stand, `targets[2]` or `targets[2].vnc_tls`
 * @throws StartError with every problem, one a line
 */
export function readTlsFiles(setting: string, files: TlsFiles): TlsMaterial {
  const problems: string[] = [];
  const read = (member: string, path: string | undefined): Buffer | undefined => {
    if (path === undefined) return undefined;
    try {
      return readFileSync(path);
    } catch (error) {
      problems.push(`${setting}.${member}: cannot read ${path}: ${causeOf(error)}`);
      return undefined;
    }
  };
  const ca = read('ca_file', files.caFile);
  const cert = read('cert_file', files.certFile);
  const key = read('key_file', files.keyFile);
  if (ca !== undefined && !isCertificate(ca)) {
    problems.push(`${setting}.ca_file: ${files.caFile} is no certificate in PEM`);
  }
  if (cert !== undefined && key !== undefined) {
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      const pair = `${files.certFile} and ${files.keyFile}`;
      problems.push(`${setting}.cert_file, key_file: ${pair} are no usable pair: ${causeOf(error)}`);
    }
  }
  if (problems.length > 0) throw new StartError(problems.join('\n'));
  const { serverName, fingerprint } = files;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
  };
}

/** Node takes anything for an authority, and then nobody is one. */
function isCertificate(pem: Buffer): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}
