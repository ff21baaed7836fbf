// A certificate authority for one test, and certificates of it, made by openssl in a temporary folder.
// Names are those that QEMU demands: ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem, client-key.pem.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runWell } from './child.ts';
import { temporaryFolder } from './folder.ts';

export interface Certificate {
  cert: string;
  key: string;
}

export interface Pki {
  folder: string;
  /** Paths of PEM files, as all below. */
  ca: Certificate;
  server: Certificate;
  client: Certificate;
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** A CA with a server's certificate (localhost, 127.0.0.1, ::1) and a client's. */
export async function makePki(): Promise<Pki> {
  const folder = temporaryFolder();
  const ca = { cert: join(folder, 'ca-cert.pem'), key: join(folder, 'ca-key.pem') };
  const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
  await runWell('openssl', [
    ...['req', '-x509', ...newKey, '-keyout', ca.key, '-out', ca.cert, '-days', '30', '-subj', '/CN=test-ca'],
    ...extensions.flatMap((extension) => ['-addext', extension]),
  ]);
  return {
    folder,
    ca,
    server: await issueCertificate(folder, 'server'),
    client: await issueCertificate(folder, 'client', { usage: 'clientAuth' }),
  };
}

/** One more certificate of the CA in `folder`, as `<name>-cert.pem` and `<name>-key.pem` (replaced if there). */
export async function issueCertificate(
  folder: string,
  name: string,
  { commonName = name, usage = 'serverAuth', names = 'DNS:localhost,IP:127.0.0.1,IP:::1' } = {},
): Promise<Certificate> {
  const path = (suffix: string) => join(folder, `${name}${suffix}`);
  const key = path('-key.pem');
  const cert = path('-cert.pem');
  await runWell('openssl', [
    ...['req', ...newKey, '-keyout', key, '-out', path('.csr'), '-subj', `/CN=${commonName}`],
  ]);
  const extensions = [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature,keyEncipherment',
    `extendedKeyUsage=${usage}`,
    `subjectAltName=${names}`,
  ];
  writeFileSync(path('.ext'), `${extensions.join('\n')}\n`);
  await runWell('openssl', [
    ...['x509', '-req', '-in', path('.csr'), '-CA', join(folder, 'ca-cert.pem')],
    ...['-CAkey', join(folder, 'ca-key.pem'), '-CAcreateserial', '-days', '30'],
    ...['-extfile', path('.ext'), '-out', cert],
  ]);
  return { cert, key };
}
