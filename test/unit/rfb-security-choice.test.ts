// Which of a target's security types is taken, and what is told where none can be.
import { describe, expect, test } from 'vitest';
import { cleanReason } from '../../src/rfb/failure.ts';
import type { Credentials } from '../../src/rfb/security-options.ts';
import { chooseSecurity } from '../../src/rfb/security-types.ts';
import { interpretVersion } from '../../src/rfb/version.ts';
import { answerChallenge } from '../../src/rfb/vnc-response.ts';
import { checkGreeting } from '../../src/transport/greeting.ts';
import type { SecurityRequirement } from '../../src/transport/rules.ts';

const nobody: Credentials = { password: '' };
const password: Credentials = { password: 'secret12' };
const person: Credentials = { password: 'secret12', username: 'alice' };
const everything = [1, 2, 256, 257, 258, 259, 260, 261, 262];

describe('of what is offered', () => {
  test.each<[readonly number[], Credentials, SecurityRequirement[], string]>([
    [everything, person, [], 'X509Plain'],
    [everything, password, [], 'X509Vnc'],
    [everything, nobody, [], 'X509None'],
    [everything, password, ['plain', 'vnc'], 'none'],
    [everything, person, ['vnc'], 'X509Vnc'],
    [everything, person, ['plain'], 'X509Plain'],
    [everything, password, ['password'], 'X509Vnc'],
    [[257, 258, 259, 1, 2], person, [], 'TLSPlain'],
    [[257, 258, 259, 1, 2], password, ['tls'], 'TLSVnc'],
    [[257, 258, 259, 1, 2], nobody, ['tls'], 'TLSNone'],
    [[257, 261], nobody, [], 'TLSNone'],
    [[1, 2], password, [], 'VncAuth'],
    [[1, 2], nobody, [], 'None'],
    [[2, 1], { password: '', username: 'alice' }, [], 'None'],
    [everything, { password: '', username: 'alice' }, [], 'X509None'],
    [[260, 2], password, ['password'], 'VncAuth'],
    [[260, 2], password, [], 'X509None'],
  ])('%j: with %j and %j it is %s', (offered, credentials, required, name) => {
    for (const order of [offered, offered.toReversed()]) {
      const choose = () => chooseSecurity(order, credentials, required).name;
      if (name === 'none') expect(choose).toThrow();
      else expect(choose()).toBe(name);
    }
  });

  test.each<[readonly number[], Credentials, SecurityRequirement[], string]>([
    [[5, 30, 77], person, [], 'the target offers no security type that is spoken here: RA2, Apple, type 77'],
    [[256], person, [], 'the target offers no security type that is spoken here: Plain'],
    [[1, 2], person, ['x509'], 'the target offers None, VncAuth, but x509 is required'],
    [[257], person, ['tls', 'vnc'], 'the target offers TLSNone, but tls and vnc is required'],
    [[1], person, ['password'], 'the target offers None, but password is required'],
    [[2], nobody, [], 'the VM needs a VNC password and has none stored'],
    [[1, 261], nobody, ['vnc'], 'the VM needs a VNC password and has none stored'],
    [[262, 259], { password: '', username: 'alice' }, [], 'the VM needs a VNC password and has none stored'],
    [[262, 259], password, [], 'the target needs a user name, and none is set for it (vnc_user)'],
  ])('%j: with %j and %j nothing is taken', (offered, credentials, required, told) => {
    expect(() => chooseSecurity(offered, credentials, required)).toThrow(told);
  });
});

test.each([
  ['000.000', undefined],
  ['002.999', undefined],
  ['003.000', undefined],
  ['003.002', undefined],
  ['003.003', '3.3'],
  ['003.004', '3.3'],
  ['003.005', '3.3'],
  ['003.006', '3.3'],
  ['003.007', '3.7'],
  ['003.008', '3.8'],
  ['003.009', '3.8'],
  ['003.010', '3.8'],
  ['003.016', '3.8'],
  ['003.130', '3.8'],
  ['003.889', '3.8'],
  ['004.000', '3.8'],
  ['004.001', '3.8'],
  ['004.003', '3.8'],
  ['005.000', '3.8'],
  ['006.003', '3.8'],
  ['055.008', '3.8'],
  ['999.999', '3.8'],
  ['3.8', undefined],
  ['003.08', undefined],
  ['003.0008', undefined],
  ['003.00x', undefined],
])('RFB %s is spoken to in %s, and passed on where the browser answers itself', (number, version) => {
  const message = Buffer.from(`RFB ${number}\n`);
  expect(interpretVersion(message)).toBe(version);
  expect(checkGreeting(message) === 'right').toBe(/^\d{3}\.\d{3}$/.test(number));
});

const counting = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');

/** Made by OpenSSL's own single DES, and accepted by Xtigervnc and QEMU. */
test.each([
  ['password', counting, 'b866924125c8eebb9debc1db61c538e2'],
  ['passwordXYZ', counting, 'b866924125c8eebb9debc1db61c538e2'],
  ['secret12', counting, 'adcd997f8e16fee575e973f93c2b62b4'],
  ['abc', counting, '9c22b4f2088c3465a1562c4b9d6edb04'],
  ['secret12', Buffer.from('03727513da4ef9f18f15872b9d051187', 'hex'), 'a49b8caeb9d89d142acc431bbb26a247'],
])('the answer to a challenge with "%s" is the one that servers expect', (secret, challenge, answer) => {
  expect(answerChallenge(challenge, secret).toString('hex')).toBe(answer);
});

describe("a target's reason", () => {
  test.each([
    ['Authentication failed\0', 'Authentication failed'],
    ['  two\r\n\tlines ', 'two lines'],
    ['\u001b[2Jgone', '[2Jgone'],
    ['a\u202eb\u2066c\u200bd\ufeffe', 'abcde'],
    ['one\u2028two', 'one two'],
    ['Falsches Paßwort 🔑', 'Falsches Paßwort 🔑'],
    [
      Buffer.from('Falsches Paßwort für das Gerät, déjà vu ¡no!', 'latin1'),
      'Falsches Paßwort für das Gerät, déjà vu ¡no!',
    ],
    [Buffer.from('\0\x85\x9bErreur\x07 d’accès'.replace('’', '\x92'), 'latin1'), 'Erreur d accès'],
    [Buffer.from([0x66, 0xff, 0xfe, 0x6f]), 'fÿþo'],
    [Buffer.concat([Buffer.alloc(1022, ' '), Buffer.from('🔑')]), ''],
    [Buffer.concat([Buffer.from('ok '), Buffer.alloc(1020, ' '), Buffer.from('ß')]), 'ok'],
    [Buffer.from('\u{e000}\u{f0000}private\ufffd'), 'private'],
    ['\0\0\r\n', ''],
    ['x'.repeat(256), 'x'.repeat(256)],
    ['x'.repeat(257), `${'x'.repeat(255)}…`],
    ['🔑'.repeat(300), '🔑'.repeat(256)],
    ['ß'.repeat(257), `${'ß'.repeat(255)}…`],
    ['x'.repeat(1_000_000), `${'x'.repeat(255)}…`],
  ])('is one clean line (case %#)', (text, shown) => {
    expect(cleanReason(Buffer.from(text as string))).toBe(shown);
  });
});
