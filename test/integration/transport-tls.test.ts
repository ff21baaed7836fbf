// TLS to a target: whom we believe, what we show, and what is said where it fails. First a server of Node's that can be
// made wrong in every way, then stunnel as operators run it.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type TlsOptions } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { GatewayError, StartError } from '../../src/errors.ts';
import type { TargetConnection } from '../../src/transport/transport.ts';
import { type Certificate, issueCertificate, makePki, type Pki } from '../support/certificates.ts';
import { connectBy } from '../support/connect-by.ts';
import { temporaryFolder } from '../support/folder.ts';
import { atEnd } from '../support/lifetime.ts';
import { startStunnel } from '../support/stunnel.ts';
import { TargetReader } from '../support/target-reader.ts';
import { greetAndEcho, rfbGreeting, startVncTarget } from '../support/vnc-target.ts';

const never = new AbortController().signal;
const target = { host: 'localhost', port: 5907, vmId: 7 };

let pki: Pki;
let foreign: Pki;
/** Of the right authority, for another name. */
let elsewhere: Certificate;
beforeAll(async () => {
  [pki, foreign] = await Promise.all([makePki(), makePki()]);
  elsewhere = await issueCertificate(pki.folder, 'elsewhere', { names: 'DNS:elsewhere.example.com' });
});

function fingerprintOf({ cert }: Certificate): string {
  return new X509Certificate(readFileSync(cert)).fingerprint256;
}

/** What became of it: the greeting, or the words with which the attempt or the connection ended. */
async function tryTo(connecting: Promise<TargetConnection>): Promise<string> {
  try {
    const connection = await connecting;
    atEnd(() => connection.destroy());
    const reader = new TargetReader(connection).start();
    await Promise.race([reader.waitForBytes(rfbGreeting.length), reader.waitForEnd()]);
    return reader.ends[0] ?? reader.received().toString();
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'target-failed') return error.detail;
    throw error;
  }
}

interface Case {
  what: string;
  /** Of the rule, besides via and port. */
  rule: () => object;
  server?: () => TlsOptions;
  expected: string | RegExp;
}

const believes = () => ({ ca_file: pki.ca.cert });
const shows = ({ cert, key }: Certificate) => ({ cert_file: cert, key_file: key });
const asks = () => ({ requestCert: true, rejectUnauthorized: true, ca: readFileSync(pki.ca.cert) });
const serverOf = ({ cert, key }: Certificate) => ({ cert: readFileSync(cert), key: readFileSync(key) });
const oldTls = (version: 'TLSv1' | 'TLSv1.1') => ({
  minVersion: version,
  maxVersion: version,
  ciphers: 'DEFAULT@SECLEVEL=0',
});

const cases: Case[] = [
  { what: 'a server of the right authority', rule: believes, expected: rfbGreeting },
  {
    what: 'a server of another authority',
    rule: () => ({ ca_file: foreign.ca.cert }),
    expected: /TLS: its certificate is of no authority that is known \(ca_file\): [A-Z_]+, by targets\[0\]/,
  },
  {
    what: 'a server of no well-known authority',
    rule: () => ({}),
    expected: /TLS: its certificate is of no authority that is known \(ca_file\)/,
  },
  {
    what: 'a server with the certificate of another',
    rule: believes,
    server: () => serverOf(elsewhere),
    expected: /TLS: its certificate is not for localhost \(server_name\): ERR_TLS_CERT_ALTNAME_INVALID/,
  },
  {
    what: 'a server with the certificate that server_name names',
    rule: () => ({ ...believes(), server_name: 'elsewhere.example.com' }),
    server: () => serverOf(elsewhere),
    expected: rfbGreeting,
  },
  {
    what: 'a server whose certificate has the address that server_name gives',
    rule: () => ({ ...believes(), server_name: '127.0.0.1' }),
    expected: rfbGreeting,
  },
  {
    what: 'a server whose certificate has another address than server_name gives',
    rule: () => ({ ...believes(), server_name: '192.0.2.7' }),
    expected: /TLS: its certificate is not for 192\.0\.2\.7 \(server_name\)/,
  },
  {
    what: 'a server with the certificate of a client',
    rule: believes,
    server: () => serverOf(pki.client),
    expected: /TLS: /,
  },
  {
    what: 'a server whose certificate is pinned, whatever its authority and name',
    rule: () => ({ fingerprint: fingerprintOf(elsewhere) }),
    server: () => serverOf(elsewhere),
    expected: rfbGreeting,
  },
  {
    what: 'a server for which another certificate is pinned',
    rule: () => ({ fingerprint: fingerprintOf(pki.server) }),
    server: () => serverOf(elsewhere),
    expected: /TLS: its certificate is not the one that fingerprint pins, by targets\[0\] \(via/,
  },
  {
    what: 'a server of the right authority for which another certificate is pinned',
    rule: () => ({ ...believes(), fingerprint: fingerprintOf(pki.client) }),
    expected: /TLS: its certificate is not the one that fingerprint pins/,
  },
  {
    what: 'a server with the pinned certificate of another authority than ours',
    rule: () => ({ ca_file: foreign.ca.cert, fingerprint: fingerprintOf(pki.server) }),
    expected: /of no authority that is known/,
  },
  {
    what: 'a server that wants our certificate',
    rule: () => ({ ...believes(), ...shows(pki.client) }),
    server: asks,
    expected: rfbGreeting,
  },
  {
    what: 'a server that wants our certificate, and there is none',
    rule: believes,
    server: asks,
    expected:
      /it does not take our certificate \(cert_file, key_file\): ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED/,
  },
  {
    what: 'the same with TLS 1.2',
    rule: believes,
    server: () => ({ ...asks(), maxVersion: 'TLSv1.2' }),
    expected: /it does not take our certificate \(cert_file, key_file\): ERR_SSL/,
  },
  {
    what: 'a server that wants our certificate, and ours is of another authority',
    rule: () => ({ ...believes(), ...shows(foreign.client) }),
    server: asks,
    // Node's servers look at it when the handshake is over, and say nothing.
    expected: /it does not take our certificate|(reset|closed) the connection/,
  },
  { what: 'TLS 1.2', rule: believes, server: () => ({ maxVersion: 'TLSv1.2' }), expected: rfbGreeting },
  {
    what: 'TLS 1.1',
    rule: believes,
    server: () => oldTls('TLSv1.1'),
    expected: /TLS: it does not speak TLS 1\.2 or later/,
  },
  {
    what: 'TLS 1.0',
    rule: believes,
    server: () => oldTls('TLSv1'),
    expected: /TLS: it does not speak TLS 1\.2 or later/,
  },
];

describe.each(['tls', 'wss'] as const)('by %s', (via) => {
  it.each(cases.map((one) => [one.what, one] as const))('%s', async (_what, one) => {
    const { rule, server: options, expected } = one;
    const tls: TlsOptions = { ...serverOf(pki.server), ...options?.() };
    const server = via === 'tls' ? createServer(tls) : createHttpsServer(tls);
    server.on('tlsClientError', (_error, socket) => {
      socket.destroy();
    });
    if (via === 'wss') {
      const sockets = new WebSocketServer({ noServer: true });
      server.on('upgrade', (...upgrade: Parameters<WebSocketServer['handleUpgrade']>) => {
        upgrade[3] = (socket) => socket.send(Buffer.from(rfbGreeting));
        sockets.handleUpgrade(...upgrade);
      });
    } else {
      server.on('secureConnection', (socket) => {
        socket.on('error', () => undefined);
        socket.write(rfbGreeting);
      });
    }
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => {
      server.close();
    });
    const connect = connectBy({ via, port: (server.address() as AddressInfo).port, ...rule() });
    const became = await tryTo(connect(target, never));
    if (typeof expected === 'string') expect(became).toBe(expected);
    else expect(became).toMatch(expected);
  });

  it('a server without TLS', async () => {
    const vnc = await startVncTarget(greetAndEcho);
    expect(await tryTo(connectBy({ via, port: vnc.port })(target, never))).toMatch(
      /^target localhost:5907: TLS: it does not speak TLS 1\.2 or later: ERR_SSL_[A-Z_]+, by targets\[0\]/,
    );
  });
});

describe('the files of a rule', () => {
  it('are read when the rules are taken over, and every one that cannot be used is told', () => {
    const folder = temporaryFolder();
    const garbage = join(folder, 'garbage.pem');
    writeFileSync(garbage, 'not a certificate');
    let said = '';
    try {
      connectBy(
        { via: 'tls', ca_file: join(folder, 'missing.pem') },
        { via: 'tcp' },
        { via: 'wss', ca_file: garbage, cert_file: pki.client.cert, key_file: pki.server.key },
      );
    } catch (error) {
      expect(error).toBeInstanceOf(StartError);
      said = (error as StartError).message;
    }
    expect(said.split('\n')).toEqual([
      `targets[0].ca_file: cannot read ${join(folder, 'missing.pem')}: ENOENT`,
      `targets[2].ca_file: ${garbage} is no certificate in PEM`,
      expect.stringMatching(/^targets\[2\]\.cert_file, key_file: .* are no usable pair: ERR_/),
    ]);
  });

  it('are not read again for connections to come', async () => {
    const files = await makePki();
    const vnc = await startVncTarget(greetAndEcho);
    const { port } = await startStunnel(files, vnc.port);
    const rule = { via: 'tls', port, ca_file: files.ca.cert, ...shows(files.client) };
    const connect = connectBy(rule);
    writeFileSync(files.ca.cert, readFileSync(foreign.ca.cert));
    expect(await tryTo(connect(target, never))).toBe(rfbGreeting);
    // A new one, as at a reload, knows the new file.
    expect(await tryTo(connectBy(rule)(target, never))).toMatch(/of no authority that is known/);
  });
});

describe('stunnel with client certificates', () => {
  it.each(['TLSv1.2', 'TLSv1.3'])('lets us through by %s, every byte as it was', async (version) => {
    const vnc = await startVncTarget(greetAndEcho);
    const { port } = await startStunnel(pki, vnc.port, [`sslVersion = ${version}`]);
    const connect = connectBy({ via: 'tls', port, ...believes(), ...shows(pki.client) });
    const connection = await connect(target, never);
    atEnd(() => connection.destroy());
    const reader = new TargetReader(connection).start();
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_one, index) => (index * 7) % 256));
    await reader.waitForBytes(rfbGreeting.length);
    connection.write(bytes);
    const received = await reader.waitForBytes(rfbGreeting.length + bytes.length);
    expect(received.subarray(rfbGreeting.length).equals(bytes)).toBe(true);
    expect(reader.breaches).toEqual([]);
    connection.end();
    await vnc.connection();
  });

  it.each(['TLSv1.2', 'TLSv1.3'])(
    'sends us away by %s without one, and with a foreign one',
    async (version) => {
      const vnc = await startVncTarget(greetAndEcho);
      const { port } = await startStunnel(pki, vnc.port, [`sslVersion = ${version}`]);
      for (const members of [{}, shows(foreign.client)]) {
        const connect = connectBy({ via: 'tls', port, ...believes(), ...members });
        expect(await tryTo(connect(target, never))).toMatch(/it does not take our certificate|reset/);
      }
      expect(vnc.connections).toEqual([]);
    },
  );
});
