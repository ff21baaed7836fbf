// @ts-check
// A certificate authority for one run, with a target's certificate and a client's, made by openssl.
// What always holds: they are for this machine's loopback, and gone with the run's folder.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of PEM files. @typedef {{ cert: string, key: string }} Certificate */
/**
 * @typedef {object} Certificates
 * @property {string} ca path of the authority's certificate
 * @property {Certificate} server for 127.0.0.1
 * @property {Certificate} client
 * @property {string} clientBundle the client's certificate and key in one file
 */

/**
 * @param {string} openssl its path, version 3 at least
 * @param {string} folder
 * @returns {Certificates}
 */
export function makeCertificates(openssl, folder) {
  const make = (/** @type {string} */ name, /** @type {readonly string[]} */ more) => {
    const files = { cert: join(folder, `${name}-cert.pem`), key: join(folder, `${name}-key.pem`) };
    const args = [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', `/CN=bench-${name}`, '-out', files.cert, '-keyout', files.key, ...more],
    ];
    execFileSync(openssl, args, { stdio: 'pipe' });
    return files;
  };
  const ca = make('ca', ['-addext', 'keyUsage=critical,keyCertSign']);
  const issue = (/** @type {string} */ name, /** @type {string} */ usage) => {
    const extensions = ['basicConstraints=critical,CA:FALSE', usage, 'subjectAltName=IP:127.0.0.1'];
    return make(name, [
      ...['-CA', ca.cert, '-CAkey', ca.key],
      ...extensions.flatMap((extension) => ['-addext', extension]),
    ]);
  };
  const server = issue('server', 'extendedKeyUsage=serverAuth');
  const client = issue('client', 'extendedKeyUsage=clientAuth');
  const clientBundle = join(folder, 'client-bundle.pem');
  writeFileSync(clientBundle, readFileSync(client.cert, 'utf8') + readFileSync(client.key, 'utf8'));
  return { ca: ca.cert, server, client, clientBundle };
}
