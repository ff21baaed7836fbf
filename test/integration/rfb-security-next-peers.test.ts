// Real VNC servers of which the best type does not work: Xtigervnc without a certificate, wayvnc that wants a user name.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { secureTarget } from '../../src/rfb/secure-target.ts';
import type { SecurityOptions } from '../../src/rfb/security-options.ts';
import { makePki, type Pki } from '../support/certificates.ts';
import { atEnd } from '../support/lifetime.ts';
import { startRfbFront } from '../support/rfb-front.ts';
import type { Peer } from '../support/rfb-peers.ts';
import { dial, viewScreen } from '../support/rfb-viewer.ts';
import { startTigervnc } from '../support/tigervnc.ts';
import { rfbGreeting } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { startWayvnc } from '../support/wayvnc.ts';
import { startX11vnc } from '../support/x11vnc.ts';

const password = 'secret12';
const login = { user: 'alice', password: 'in Wonderland' };
const colour = '#336699';
let pki: Pki;

beforeAll(async () => {
  pki = await makePki();
});

async function look(peer: Peer, asked: Partial<SecurityOptions> = {}) {
  const told: string[] = [];
  const tls = { ca: readFileSync(pki.ca.cert) };
  const options = { host: peer.host, credentials: { password }, require: [], tls, ...asked };
  const next = { reconnect: () => dial(peer), told: (why: string) => told.push(why) };
  const signal = new AbortController().signal;
  const { connection, security } = await secureTarget(await dial(peer), options, signal, next);
  atEnd(() => connection.destroy());
  return { ...(await viewScreen(connection)), security, told };
}

/** sway shows a screen of its own until its background is there. */
const lookWhenPainted = (peer: Peer, asked: Partial<SecurityOptions> = {}) =>
  waitFor(
    async () => {
      const seen = await look(peer, asked);
      return seen.corner === colour ? seen : undefined;
    },
    { what: "the background of wayvnc's screen", deadlineMs: 20_000 },
  );

const refusal = async (peer: Peer, asked: Partial<SecurityOptions>) =>
  look(peer, asked).then(
    ({ security }) => `taken by ${security}`,
    (error: Error) => error.message,
  );

describe('Xtigervnc without a certificate', () => {
  const noCertificate = 'the target offers X509Vnc and then refuses it (has it a certificate?)';

  test('shows its screen by a VNC password beside VeNCrypt', async () => {
    const peer = await startTigervnc({ types: 'X509Vnc,VncAuth', password, colour });
    expect(await look(peer)).toMatchObject({ security: 'VncAuth', told: [noCertificate], corner: colour });
  });

  test('shows it by anonymous TLS inside of VeNCrypt, which is better', async () => {
    const peer = await startTigervnc({ types: 'None,VncAuth,TLSVnc,X509Vnc,X509None', password, colour });
    expect(await look(peer)).toMatchObject({
      security: 'TLSVnc',
      told: [noCertificate, noCertificate.replace('Vnc', 'None')],
      corner: colour,
    });
  });

  test('shows it though it counts connections that proved nothing', async () => {
    const args = ['-UseBlacklist', '1', '-BlacklistThreshold', '3'];
    const peer = await startTigervnc({ types: 'X509Vnc,VncAuth', password, colour, args });
    for (let round = 0; round < 5; round++) expect(await look(peer)).toMatchObject({ security: 'VncAuth' });
  });

  test('is refused where a certificate is required', async () => {
    const peer = await startTigervnc({ types: 'X509Vnc,VncAuth,TLSVnc', password });
    expect(await refusal(peer, { require: ['x509'] })).toBe(noCertificate);
  });
});

describe('wayvnc', () => {
  const noName = 'the target needs a user name, and none is set for it (vnc_user)';

  test('without a login shows its screen', async () => {
    expect(await lookWhenPainted(await startWayvnc({ colour }))).toMatchObject({
      security: 'None',
      told: [],
      corner: colour,
    });
  });

  test('shows it to the user that it knows', async () => {
    const peer = await startWayvnc({ colour, login: { ...login, pki } });
    const credentials = { username: login.user, password: login.password };
    const seen = await lookWhenPainted(peer, { credentials, require: ['x509', 'password'] });
    expect(seen).toMatchObject({ security: 'X509Plain', told: [], width: 640, height: 480, corner: colour });
  });

  test('that offers nothing else is refused without a name', async () => {
    expect(await refusal(await startWayvnc({ colour, login: { ...login, pki } }), {})).toBe(noName);
  });

  test('that offers None as well is taken by that, where nothing is required', async () => {
    const peer = await offeringNoneAsWell(await startWayvnc({ colour, login: { ...login, pki } }));
    expect(await lookWhenPainted(peer)).toMatchObject({ security: 'None', told: [noName], corner: colour });
    expect(await refusal(peer, { require: ['password'] })).toBe(noName);
    const credentials = { username: login.user, password: login.password };
    expect(await look(peer, { credentials })).toMatchObject({ security: 'X509Plain', told: [] });
  });
});

test('x11vnc is taken by its VNC password', async () => {
  const peer = await startX11vnc({ password, colour });
  expect(await look(peer)).toMatchObject({ security: 'VncAuth', told: [], corner: colour });
});

/** wayvnc lets everybody in who chooses None, and does not say so: a relay before it that does. */
function offeringNoneAsWell(peer: Peer): Promise<Peer> {
  return startRfbFront(peer, [
    { bytes: 12, as: Buffer.from(rfbGreeting) },
    { bytes: 2, as: Buffer.from([2, 19, 1]) },
  ]);
}
