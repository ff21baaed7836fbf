// The security handshake with real VNC servers, each of their security types: after it a real picture comes.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { type SecuredTarget, secureTarget } from '../../src/rfb/secure-target.ts';
import type { SecurityOptions } from '../../src/rfb/security-options.ts';
import type { TlsMaterial } from '../../src/transport/tls-verification.ts';
import { makePki, type Pki } from '../support/certificates.ts';
import { runWell } from '../support/child.ts';
import { atEnd } from '../support/lifetime.ts';
import { startQemu } from '../support/qemu.ts';
import { announceAs } from '../support/rfb-front.ts';
import { type Peer, startAnonymousQemu, startTlsTigervnc, startX509Qemu } from '../support/rfb-peers.ts';
import { dial, viewScreen } from '../support/rfb-viewer.ts';
import { startTigervnc } from '../support/tigervnc.ts';

const password = 'secret12';
const plain = { user: 'alice', password: 'in Wonderland' };
/** All that Xtigervnc knows, weakest first, so that its order says nothing. */
const allTypes = 'None,VncAuth,Plain,TLSNone,TLSVnc,TLSPlain,X509None,X509Vnc,X509Plain';

let pki: Pki;
let trusting: TlsMaterial;
let withClient: TlsMaterial;

beforeAll(async () => {
  pki = await makePki();
  trusting = { ca: readFileSync(pki.ca.cert) };
  withClient = { ...trusting, cert: readFileSync(pki.client.cert), key: readFileSync(pki.client.key) };
});

type Asked = Partial<Omit<SecurityOptions, 'host'>> & { host?: string };

async function secure(peer: Peer, asked: Asked = {}): Promise<SecuredTarget> {
  const defaults = { host: peer.host, credentials: { password: '' }, require: [] };
  const signal = new AbortController().signal;
  const secured = await secureTarget(await dial(peer), { ...defaults, ...asked }, signal);
  atEnd(() => secured.connection.destroy());
  return secured;
}

const untilRefused = async (peer: Peer, asked: Asked) =>
  secure(peer, asked).then(
    () => 'nothing was refused',
    (error: Error) => error.message,
  );

describe('Xtigervnc', () => {
  test.each(['None', 'VncAuth', 'TLSNone', 'TLSVnc', 'TLSPlain', 'X509None', 'X509Vnc', 'X509Plain'])(
    'with %s alone shows its screen',
    async (types) => {
      const byName = types.endsWith('Plain');
      const peer = await startTlsTigervnc({ types, password, pki, ...(byName ? { plain } : {}) });
      const credentials = byName ? { username: plain.user, password: plain.password } : { password };
      const secured = await secure(peer, { credentials, tls: trusting });
      expect(secured).toMatchObject({ version: '3.8', security: types });
      expect(secured.tlsVersion).toBe(
        types.startsWith('X509') ? 'TLSv1.3' : types.startsWith('TLS') ? 'TLSv1.2' : undefined,
      );
      expect(await viewScreen(secured.connection)).toMatchObject({ width: 640, height: 480 });
    },
  );

  test.each([
    [{ password, username: plain.user }, 'X509Plain'],
    [{ password }, 'X509Vnc'],
    [{ password: '' }, 'X509None'],
  ])('that offers everything is taken at its best', async (credentials, security) => {
    const peer = await startTlsTigervnc({
      types: allTypes,
      password,
      pki,
      plain: { user: plain.user, password },
    });
    const secured = await secure(peer, { credentials, tls: trusting });
    expect(secured.security).toBe(security);
    await viewScreen(secured.connection);
  });

  test('says in its own words that the password is wrong', async () => {
    const peer = await startTigervnc({ password });
    const told = await untilRefused(peer, { credentials: { password: 'secret13' } });
    expect(told).toBe('the target refused the VNC password: Authentication failure');
  });

  test('refuses a wrong user name through TLS', async () => {
    const peer = await startTlsTigervnc({ types: 'X509Plain', pki, plain });
    const told = await untilRefused(peer, {
      credentials: { username: plain.user, password: 'wrong' },
      tls: trusting,
    });
    expect(told).toMatch(/^the target refused the user name or password: .*[Aa]uthentication/);
  });

  test('that has locked everybody out is told as what it says', async () => {
    const peer = await startTigervnc({ password, args: ['-UseBlacklist', '1', '-BlacklistThreshold', '1'] });
    await untilRefused(peer, { credentials: { password: 'wrong' } });
    const told = await untilRefused(peer, { credentials: { password } });
    expect(told).toMatch(/^the target refused the connection: Too many security failures/);
  });

  test.each([
    ['003.003', '3.3', 'None', ''],
    ['003.003', '3.3', 'VncAuth', password],
    ['003.007', '3.7', 'None', ''],
    ['003.007', '3.7', 'VncAuth', password],
    ['003.007', '3.7', 'X509None', ''],
    ['003.889', '3.8', 'VncAuth', password],
    ['004.001', '3.8', 'None', ''],
    ['005.000', '3.8', 'X509Vnc', password],
    ['055.008', '3.8', 'VncAuth', password],
    ['003.005', '3.3', 'VncAuth', password],
  ])('as RFB %s is spoken to in %s, with %s', async (announced, version, types, secret) => {
    const peer = await startTlsTigervnc({ types, password, pki });
    const older = await announceAs(peer, announced);
    const secured = await secure(older, { credentials: { password: secret }, tls: trusting });
    expect(secured).toMatchObject({ version, security: types });
    await viewScreen(secured.connection);
  });

  test('refuses a wrong password in RFB 3.3 without a reason', async () => {
    const peer = await announceAs(await startTigervnc({ password }), '003.003');
    const told = await untilRefused(peer, { credentials: { password: 'wrong' } });
    expect(told).toBe('the target refused the VNC password');
  });
});

describe('QEMU', () => {
  test('without a password shows its screen', async () => {
    const secured = await secure(await startQemu());
    expect(secured.security).toBe('None');
    expect((await viewScreen(secured.connection)).width).toBeGreaterThan(0);
  });

  test('takes its password, and no more than eight characters of it', async () => {
    const peer = await startQemu({ password });
    const secured = await secure(peer, { credentials: { password: `${password} and more` } });
    expect(secured.security).toBe('VncAuth');
    await viewScreen(secured.connection);
    const told = await untilRefused(peer, { credentials: { password: 'wrong' } });
    expect(told).toBe('the target refused the VNC password: Authentication failed');
  });

  test.each([
    ['TLSNone', undefined],
    ['TLSVnc', password],
  ])('with anonymous TLS is taken by %s', async (security, secret) => {
    const peer = await startAnonymousQemu(secret);
    const secured = await secure(peer, { credentials: { password: secret ?? '' }, require: ['tls'] });
    expect(secured).toMatchObject({ security, tlsVersion: 'TLSv1.2' });
    await viewScreen(secured.connection);
  });

  test.each([
    ['X509None', undefined],
    ['X509Vnc', password],
  ])('with certificates and verify-peer is taken by %s', async (security, secret) => {
    const peer = await startX509Qemu(pki, {
      verifyPeer: true,
      ...(secret === undefined ? {} : { password: secret }),
    });
    const asked: Asked = { credentials: { password: secret ?? '' }, require: ['x509'] };
    const secured = await secure(peer, { ...asked, tls: withClient });
    expect(secured).toMatchObject({ security, tlsVersion: 'TLSv1.3' });
    await viewScreen(secured.connection);
    const told = await untilRefused(peer, { ...asked, tls: trusting });
    expect(told).toMatch(
      /before its (challenge|security result).*\(it may want another client certificate\)$/,
    );
  });

  describe('with certificates', () => {
    let peer: Peer;
    let fingerprint: string;

    beforeAll(async () => {
      peer = await startX509Qemu(pki);
      const line = await runWell('openssl', [
        ...['x509', '-in', pki.server.cert, '-noout', '-fingerprint', '-sha256'],
      ]);
      fingerprint = line.trim().split('=')[1] ?? '';
    });

    const otherAuthority = async () => ({ ca: readFileSync((await makePki()).ca.cert) });

    test.each<[string, () => Asked | Promise<Asked>]>([
      ['the name that was dialled', () => ({ tls: trusting, host: 'localhost' })],
      ['its address', () => ({ tls: trusting })],
      ['a name that is set', () => ({ tls: { ...trusting, serverName: 'localhost' }, host: '10.0.0.1' })],
      ['its fingerprint alone', () => ({ tls: { fingerprint }, host: 'elsewhere' })],
      [
        'its fingerprint in other letters, and its authority',
        () => ({ tls: { ...trusting, fingerprint: fingerprint.replaceAll(':', '').toLowerCase() } }),
      ],
    ])('is known by %s', async (_how, asked) => {
      const secured = await secure(peer, await asked());
      expect(secured.security).toBe('X509None');
      await viewScreen(secured.connection);
    });

    test.each<[string, () => Asked | Promise<Asked>, string]>([
      [
        'for another name',
        () => ({ tls: trusting, host: 'elsewhere' }),
        'not accepted for elsewhere: ERR_TLS_CERT_ALTNAME_INVALID',
      ],
      ['without an authority', () => ({}), 'not accepted for 127.0.0.1: UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
      [
        'of another authority',
        async () => ({ tls: await otherAuthority() }),
        'not accepted for 127.0.0.1: UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      ],
      [
        'with another fingerprint',
        () => ({ tls: { fingerprint: fingerprint.replace(/^../, (two) => (two === '00' ? '01' : '00')) } }),
        'not the one whose fingerprint is set',
      ],
      [
        'pinned, but of another authority',
        async () => ({ tls: { fingerprint, ...(await otherAuthority()) } }),
        'not accepted for 127.0.0.1: UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      ],
      [
        'with a key that is not its own',
        () => ({
          tls: { ...trusting, cert: readFileSync(pki.client.cert), key: readFileSync(pki.server.key) },
        }),
        'certificates and keys for the target cannot be used: ERR_OSSL_X509_KEY_VALUES_MISMATCH',
      ],
    ])('is refused %s', async (_why, asked, told) => {
      expect(await untilRefused(peer, await asked())).toContain(told);
    });
  });

  test('is refused where it offers less than the rule requires', async () => {
    const told = await untilRefused(await startQemu(), { require: ['x509', 'vnc'] });
    expect(told).toBe('the target offers None, but x509 and vnc is required');
  });

  test('is refused where it offers encryption without a certificate, and one is required', async () => {
    const told = await untilRefused(await startAnonymousQemu(), { require: ['x509'], tls: trusting });
    expect(told).toBe('the target offers TLSNone, but x509 is required');
  });

  test('is not tried where it wants a password and there is none', async () => {
    const told = await untilRefused(await startQemu({ password }), {});
    expect(told).toBe('the VM needs a VNC password and has none stored');
  });

  test('is refused where all it knows is SASL', async () => {
    const told = await untilRefused(await startQemu({ vnc: ',sasl=on' }), { credentials: { password } });
    expect(told).toBe('the target offers no security type that is spoken here: SASL');
  });
});
