// The proxy's certificate and key in the forms that operators have them in, and real TLS with what Sunstone's file says.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type CertificateFiles, readCertificate } from '../../src/proxy/certificate.ts';
import { makePki, type Pki } from '../support/certificates.ts';
import { runWell } from '../support/child.ts';
import { temporaryFolder } from '../support/folder.ts';
import { rawExchange } from '../support/raw-http.ts';
import { startService } from '../support/service.ts';

let pki: Pki;
let pieces: Record<'cert' | 'key' | 'oldKey' | 'chain', string>;

beforeAll(async () => {
  pki = await makePki();
  const read = (path: string) => readFileSync(path, 'utf8');
  const oldKey = join(pki.folder, 'old-key.pem');
  await runWell('openssl', ['ec', '-in', pki.server.key, '-out', oldKey]);
  pieces = {
    cert: read(pki.server.cert),
    key: read(pki.server.key),
    oldKey: read(oldKey),
    chain: read(pki.ca.cert),
  };
});

function fileOf(...texts: string[]): string {
  const path = join(temporaryFolder(), 'some.pem');
  writeFileSync(path, texts.join(''));
  return path;
}

type Files = () => CertificateFiles;
const one = (...names: (keyof typeof pieces)[]): Files => {
  return () => ({ cert: fileOf(...names.map((name) => pieces[name])), key: undefined });
};

describe('a certificate', () => {
  it.each<[what: string, files: Files]>([
    ['and its key in two files', () => pki.server],
    ['and behind it its key', one('cert', 'key')],
    ['and before it its key', one('key', 'cert')],
    ['with its chain and its key', one('cert', 'chain', 'key')],
    ['and its key in the older form', one('cert', 'oldKey')],
    [
      'among remarks',
      () => ({
        cert: fileOf('Bag Attributes\n', pieces.key, '\nsubject=x\r\n', pieces.cert),
        key: undefined,
      }),
    ],
    [
      'with its key, that is named once more',
      () => {
        const both = fileOf(pieces.cert, pieces.key);
        return { cert: both, key: both };
      },
    ],
  ])('%s is read', (_what, files) => {
    expect(() => readCertificate(files())).not.toThrow();
  });

  it.each<[what: string, files: Files, told: RegExp]>([
    [
      'without any key',
      one('cert'),
      /^vnc_proxy_key is not set, and vnc_proxy_cert: \S+ has no private key$/,
    ],
    ['that is only a key', one('key'), /^vnc_proxy_cert: \S+ has no usable certificate and key: /],
    [
      'with the key of another',
      () => ({ cert: fileOf(readFileSync(pki.client.cert, 'utf8'), pieces.key), key: undefined }),
      /^vnc_proxy_cert: \S+ has no usable certificate and key: /,
    ],
    [
      'with the key of another, in two files',
      () => ({ cert: pki.client.cert, key: pki.server.key }),
      /^vnc_proxy_cert, vnc_proxy_key: \S+ and \S+ are no usable pair: /,
    ],
    [
      'that is not there',
      () => ({ cert: '/nonexistent.pem', key: undefined }),
      /^vnc_proxy_cert: cannot read/,
    ],
    [
      'whose key is not there',
      () => ({ cert: pki.server.cert, key: '/nonexistent.pem' }),
      /^vnc_proxy_key: cannot read/,
    ],
  ])('%s is refused', (_what, files, told) => {
    expect(() => readCertificate(files())).toThrow(told);
  });
});

it.each(['', ' ""', ' null'])(
  "is one file in Sunstone's, with vnc_proxy_key:%s, and serves TLS",
  async (nothing) => {
    const sunstoneConfig = `:vnc_proxy_support_wss: "only"\n:vnc_proxy_cert: ${fileOf(pieces.cert, pieces.key)}\n:vnc_proxy_key:${nothing}\n`;
    const { proxyPort: port } = await startService({ sunstoneConfig });
    const request = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';
    expect((await rawExchange({ port, request, tls: true })).status).toBe(200);
  },
);
