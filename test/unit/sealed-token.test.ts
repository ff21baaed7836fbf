// Sealing and opening. What always holds: of all texts, only the very one that was sealed opens, with the key that sealed
// it; everything else is undefined, however it was made.
import { createCipheriv, randomBytes, webcrypto } from 'node:crypto';
import { CompactEncrypt, generateKeyPair } from 'jose';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { type Grant, UNKNOWN_UID } from '../../src/tokens/grant.ts';
import { importKeys, type KeyBytes, type SealKeys } from '../../src/tokens/sealed/keys.ts';
import { seal, unseal } from '../../src/tokens/sealed/seal.ts';
import { isSealedForm, type Token } from '../../src/tokens/token.ts';
import { seededRandom } from '../support/random.ts';

const oldBytes = randomBytes(32);
const newBytes = randomBytes(32);
const keysOf = (...keys: [id: string, bytes: Uint8Array][]) => importKeys(new Map(keys) as KeyBytes);

const grant: Grant = {
  vmId: 42,
  target: { host: 'host-1.example', port: 5942 },
  uid: 2,
  user: 'alice',
  issuedAt: 1_000_000,
  expiresAt: 1_600_000,
};
const claims = {
  ...{ host: 'host-1.example', port: 5942, vm: 42, uid: 2, user: 'alice' },
  ...{ issued: 1_000_000, expires: 1_600_000, id: randomBytes(16).toString('base64url') },
};
const header = { alg: 'dir', enc: 'A256GCM', kid: 'old' };

let keys: SealKeys;
let token: Token;
let parts: string[];

beforeAll(async () => {
  keys = await keysOf(['old', oldBytes]);
  token = await seal(grant, keys);
  parts = token.split('.');
});

/** A token of our own key with any header and payload, made without our code. */
function forge(headerText: string, payload: string | Uint8Array, key = oldBytes): Token {
  const protectedHeader = Buffer.from(headerText).toString('base64url');
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(protectedHeader));
  const ciphertext = Buffer.concat([cipher.update(payload), cipher.final()]).toString('base64url');
  const tag = cipher.getAuthTag().toString('base64url');
  return `${protectedHeader}..${iv.toString('base64url')}.${ciphertext}.${tag}` as Token;
}

async function expectRefused(text: string, what = text): Promise<void> {
  expect(await unseal(text as Token, keys), what).toBeUndefined();
}

describe('a sealed token', () => {
  it('opens to the grant that was sealed, in the form that a path and a subprotocol take', async () => {
    expect(isSealedForm(token)).toBe(true);
    expect(await unseal(token, keys)).toEqual(grant);
    expect(JSON.parse(Buffer.from(parts[0] ?? '', 'base64url').toString())).toEqual(header);
    const caller = { uid: 7, gids: [1, 100], byPermission: true };
    expect(await unseal(await seal({ ...grant, caller }, keys), keys)).toEqual({ ...grant, caller });
  });

  it('shows nothing of the grant, and is another one each time', async () => {
    const tokens = await Promise.all(Array.from({ length: 200 }, () => seal(grant, keys)));
    expect(new Set(tokens).size).toBe(200);
    expect(new Set(tokens.map((one) => one.split('.')[2])).size).toBe(200);
    for (const one of tokens) {
      const bytes = one.split('.').map((part) => Buffer.from(part, 'base64url').toString('latin1'));
      expect(bytes.join()).not.toMatch(/alice|example|5942/);
    }
  });

  it('opens as others make it to the letter: the claims are what the documents say', async () => {
    expect(await unseal(forge(JSON.stringify(header), JSON.stringify(claims)), keys)).toEqual(grant);
    const limited = { ...claims, egid: 100 };
    expect(await unseal(forge(JSON.stringify(header), JSON.stringify(limited)), keys)).toEqual({
      ...{ ...grant, egid: 100 },
    });
  });

  it('from before ids were in it is nobody’s, or his whose caller it names', async () => {
    const { uid: _, ...before } = claims;
    const caller = { uid: 7, gids: [1], byPermission: true };
    const unsealed = async (what: object) =>
      unseal(forge(JSON.stringify(header), JSON.stringify(what)), keys);
    expect(await unsealed(before)).toEqual({ ...grant, uid: UNKNOWN_UID });
    expect(await unsealed({ ...before, caller })).toEqual({ ...grant, uid: 7, caller });
  });

  it('is not made of a grant that would not fit, or that we would not open', async () => {
    const gids = Array.from({ length: 400 }, (_, index) => 100_000 + index);
    const caller = { uid: 7, gids, byPermission: true };
    for (const bad of [
      { ...grant, caller },
      { ...grant, user: 'x'.repeat(257) },
      { ...grant, target: { host: 'a b', port: 1 } },
      { ...grant, expiresAt: grant.issuedAt },
    ]) {
      await expect(seal(bad, keys)).rejects.toMatchObject({ code: 'store-failed' });
    }
  });

  it('fits for the longest user name and host, and a hundred groups', async () => {
    const gids = Array.from({ length: 100 }, (_, index) => 1000 + index);
    const caller = { uid: 7, gids, byPermission: false };
    const long = { ...grant, user: 'é'.repeat(128), target: { host: 'h'.repeat(253), port: 65_535 }, caller };
    expect(await unseal(await seal(long, keys), keys)).toEqual(long);
  });
});

describe('what is not the very text that was sealed', () => {
  it('does not open with any bit of any character flipped', async () => {
    for (let position = 0; position < token.length; position++) {
      for (let bit = 0; bit < 7; bit++) {
        const flipped = String.fromCharCode(token.charCodeAt(position) ^ (1 << bit));
        await expectRefused(
          token.slice(0, position) + flipped + token.slice(position + 1),
          `${position}/${bit}`,
        );
      }
    }
  });

  it('does not open with any bit of the decoded parts flipped', async () => {
    for (const [index, part] of parts.entries()) {
      const bytes = Buffer.from(part, 'base64url');
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const changed = Buffer.from(bytes);
        changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        await expectRefused(parts.with(index, changed.toString('base64url')).join('.'), `${index}/${bit}`);
      }
    }
  });

  it('does not open cut off at the end, at the start, or with a piece missing', async () => {
    const random = seededRandom(8);
    for (let length = 0; length < token.length; length++) {
      await expectRefused(token.slice(0, length));
      await expectRefused(token.slice(token.length - length));
      const from = random(token.length);
      await expectRefused(token.slice(0, from) + token.slice(from + 1 + random(8)));
    }
  });

  it('does not open with parts swapped, within it or with another token of the same key', async () => {
    const other = (await seal({ ...grant, vmId: 43 }, keys)).split('.');
    for (let one = 0; one < 5; one++) {
      for (let two = 0; two < 5; two++) {
        const swapped = parts.with(one, parts[two] ?? '').with(two, parts[one] ?? '');
        if (one !== two) await expectRefused(swapped.join('.'));
      }
    }
    for (let choice = 1; choice < 31; choice++) {
      const mixed = parts
        .map((part, index) => (choice & (1 << index) ? (other[index] ?? '') : part))
        .join('.');
      if (mixed !== token && mixed !== other.join('.')) await expectRefused(mixed);
    }
  });

  /** What a lenient decoder takes for the same bytes. */
  const spellings: [what: string, respell: (part: string) => string[]][] = [
    ['with padding', (part) => [`${part}=`, `${part}==`]],
    ['with white space', (part) => [` ${part}`, `${part} `, `${part}\n`, `${part}\t`, `${part}\0`]],
    ['with a percent sign', (part) => [`%${part}`, `${part}%20`]],
    ['in plain base64', (part) => [Buffer.from(part, 'base64url').toString('base64')]],
    [
      'with other bits left over at the end',
      (part) => {
        const same = Buffer.from(part, 'base64url');
        return [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']
          .map((last) => part.slice(0, -1) + last)
          .filter((text) => Buffer.from(text, 'base64url').equals(same));
      },
    ],
    ['with a byte more', (part) => [`${part}A`, `${part}AA`, `A${part}`]],
  ];

  it.each(spellings)('does not open spelled %s', async (_what, respell) => {
    let tried = 0;
    // Payloads of every length modulo three, so that there are bits left over in the ciphertext too.
    for (const user of ['a', 'al', 'ali']) {
      const one = (await seal({ ...grant, user }, keys)).split('.');
      for (const [index, part] of one.entries()) {
        for (const text of respell(part)) {
          if (text === part) continue;
          tried++;
          await expectRefused(one.with(index, text).join('.'));
        }
      }
    }
    expect(tried).toBeGreaterThan(5);
  });

  it('does not open with more around it', async () => {
    for (const text of [
      `${token}.`,
      `.${token}`,
      `${token}\n`,
      ` ${token}`,
      `${token}.${token}`,
      `${token}\0`,
    ]) {
      await expectRefused(text);
    }
  });
});

describe('a header', () => {
  const payload = JSON.stringify(claims);

  it('is the one that opens, as a check of the forgery itself', async () => {
    expect(await unseal(forge('{"alg":"dir","enc":"A256GCM","kid":"old"}', payload), keys)).toEqual(grant);
  });

  // All of them sealed by the right key, so that only the header speaks against them.
  it.each([
    '{"alg":"none","enc":"A256GCM","kid":"old"}',
    '{"alg":"dir","enc":"none","kid":"old"}',
    '{"alg":"DIR","enc":"A256GCM","kid":"old"}',
    '{"alg":"A256KW","enc":"A256GCM","kid":"old"}',
    '{"alg":"A256GCMKW","enc":"A256GCM","kid":"old"}',
    '{"alg":"RSA-OAEP","enc":"A256GCM","kid":"old"}',
    '{"alg":"RSA1_5","enc":"A256GCM","kid":"old"}',
    '{"alg":"ECDH-ES","enc":"A256GCM","kid":"old"}',
    '{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","kid":"old"}',
    '{"alg":"PBES2-HS256+A128KW","p2c":1000000000,"p2s":"AAAAAAAAAAA","enc":"A256GCM","kid":"old"}',
    '{"alg":"dir","enc":"A128GCM","kid":"old"}',
    '{"alg":"dir","enc":"A128CBC-HS256","kid":"old"}',
    '{"enc":"A256GCM","alg":"dir","kid":"old"}',
    '{"kid":"old","alg":"dir","enc":"A256GCM"}',
    '{"alg":"dir","enc":"A256GCM","kid":"old","zip":"DEF"}',
    '{"alg":"dir","enc":"A256GCM","kid":"old","crit":["exp"],"exp":1}',
    '{"alg":"dir","enc":"A256GCM","kid":"old","crit":[]}',
    '{"alg":"dir","enc":"A256GCM","kid":"old","jku":"https://keys.example/"}',
    '{"alg":"dir","enc":"A256GCM","kid":"old","x5u":"https://keys.example/"}',
    '{"alg":"dir","enc":"A256GCM","kid":"old","jwk":{"kty":"oct","k":"AAAA"}}',
    '{"alg":"dir","enc":"A256GCM","kid":"old","typ":"JWT"}',
    '{"alg":"dir","enc":"A256GCM","kid":"old","kid":"old"}',
    '{"alg":"none","alg":"dir","enc":"A256GCM","kid":"old"}',
    '{"alg":"dir","enc":"A256GCM","kid":"old","__proto__":{}}',
    '{"alg":"dir","enc":"A256GCM","kid":"old" }',
    ' {"alg":"dir","enc":"A256GCM","kid":"old"}',
    '{"alg":"dir","enc":"A256GCM","kid":"old"}\n',
    '{"alg": "dir","enc":"A256GCM","kid":"old"}',
    '{"alg":"\\u0064ir","enc":"A256GCM","kid":"old"}',
    '{"alg":"dir","enc":"A256GCM","kid":"\\u006fld"}',
    '{"alg":"dir","enc":"A256GCM","kid":"../../etc/passwd"}',
    '{"alg":"dir","enc":"A256GCM","kid":"__proto__"}',
    '{"alg":"dir","enc":"A256GCM","kid":["old"]}',
    '{"alg":"dir","enc":"A256GCM","kid":""}',
    '{"alg":"dir","enc":"A256GCM"}',
    '["dir","A256GCM","old"]',
    'null',
    '{}',
    '',
    '\u00ff\u00fe',
  ])('%s does not open', async (text) => {
    await expectRefused(forge(text, payload));
  });

  it('of a JWE that really is of another algorithm does not open either', async () => {
    const { publicKey } = await generateKeyPair('RSA-OAEP');
    const content = Buffer.from(payload);
    const wrapped = await webcrypto.subtle.importKey('raw', oldBytes, 'AES-KW', false, ['wrapKey']);
    for (const made of [
      new CompactEncrypt(content).setProtectedHeader({ ...header, alg: 'RSA-OAEP' }).encrypt(publicKey),
      new CompactEncrypt(content).setProtectedHeader({ ...header, alg: 'A256KW' }).encrypt(wrapped),
      new CompactEncrypt(content)
        .setProtectedHeader({ ...header, alg: 'PBES2-HS256+A128KW' })
        .encrypt(oldBytes),
      new CompactEncrypt(content).setProtectedHeader({ ...header, enc: 'A128CBC-HS256' }).encrypt(oldBytes),
      new CompactEncrypt(content).setProtectedHeader({ ...header, zip: 'DEF' }).encrypt(oldBytes),
    ]) {
      await expectRefused(await made);
    }
  });
});

describe('what the claims may be', () => {
  const changed: [what: string, claims: unknown][] = [
    ...Object.keys(claims)
      // Tokens from before have none.
      .filter((name) => name !== 'uid')
      .map((name): [string, unknown] => [`without ${name}`, { ...claims, [name]: undefined }]),
    ...Object.keys(claims).map((name): [string, unknown] => [`${name} null`, { ...claims, [name]: null }]),
    ['a user below zero', { ...claims, uid: -1 }],
    ['a group of the login token that is none', { ...claims, egid: -1 }],
    ['a group of the login token that is a text', { ...claims, egid: '100' }],
    ['one more', { ...claims, admin: true }],
    ['a host with a space', { ...claims, host: 'a b' }],
    ['an empty host', { ...claims, host: '' }],
    ['a long host', { ...claims, host: 'h'.repeat(256) }],
    ['port 0', { ...claims, port: 0 }],
    ['port 65536', { ...claims, port: 65_536 }],
    ['a port that is a text', { ...claims, port: '5942' }],
    ['half a VM', { ...claims, vm: 1.5 }],
    ['a VM below zero', { ...claims, vm: -1 }],
    ['a user that is a number', { ...claims, user: 1 }],
    ['an end before its issue', { ...claims, expires: claims.issued }],
    ['an end beyond numbers', { ...claims, expires: 1e300 }],
    ['a caller that is a text', { ...claims, caller: 'oneadmin' }],
    ['a caller with more', { ...claims, caller: { uid: 0, gids: [], byPermission: true, admin: true } }],
    ['a group that is a text', { ...claims, caller: { uid: 0, gids: ['0'], byPermission: true } }],
    ['a list', [claims]],
    ['a text', 'claims'],
    ['null', null],
  ];

  it.each(changed)('%s does not open', async (_what, payload) => {
    await expectRefused(forge(JSON.stringify(header), JSON.stringify(payload)));
  });

  it.each([
    ['no JSON', Buffer.from('{"host"')],
    ['no text', Buffer.from([0xff, 0xfe, 0x00])],
    ['a byte', Buffer.from([0])],
  ])('%s does not open', async (_what, payload) => {
    await expectRefused(forge(JSON.stringify(header), payload));
  });
});

describe('keys that change', () => {
  it('are rolled in, seal, and are retired', async () => {
    const both = await keysOf(['new', newBytes], ['old', oldBytes]);
    const fresh = await keysOf(['new', newBytes]);
    const later = await seal(grant, both);
    expect(await unseal(token, both)).toEqual(grant);
    expect(await unseal(token, fresh)).toBeUndefined();
    expect(await unseal(later, both)).toEqual(grant);
    expect(await unseal(later, fresh)).toEqual(grant);
    expect(await unseal(later, keys)).toBeUndefined();
  });

  it('that were swapped, or have got another id, open nothing', async () => {
    expect(await unseal(token, await keysOf(['old', newBytes], ['new', oldBytes]))).toBeUndefined();
    expect(await unseal(token, await keysOf(['older', oldBytes]))).toBeUndefined();
    expect(await unseal(token, await keysOf(['old', randomBytes(32)]))).toBeUndefined();
    const renamed = Buffer.from(JSON.stringify({ ...header, kid: 'new' })).toString('base64url');
    const both = await keysOf(['new', oldBytes], ['old', newBytes]);
    expect(await unseal(parts.with(0, renamed).join('.') as Token, both)).toBeUndefined();
  });
});

describe('the work of a refusal', () => {
  it.each([
    ['a wrong tag', 1, () => parts.with(4, randomBytes(16).toString('base64url')).join('.')],
    ['a wrong key', 1, () => forge(JSON.stringify(header), JSON.stringify(claims), newBytes)],
    ['an unknown key id', 1, () => forge(JSON.stringify({ ...header, kid: 'x' }), JSON.stringify(claims))],
    ['no valid claims', 1, () => forge(JSON.stringify(header), '{}')],
    ['another algorithm', 0, () => forge(JSON.stringify({ ...header, alg: 'none' }), '{}')],
    ['too long a text', 0, () => forge(JSON.stringify(header), 'x'.repeat(2000))],
    ['a second spelling', 0, () => `${token}=`],
  ])('%s takes %i decryptions', async (_what, count, make) => {
    const text = make();
    const decrypt = vi.spyOn(webcrypto.subtle, 'decrypt');
    try {
      await expectRefused(text);
      expect(decrypt).toHaveBeenCalledTimes(count);
    } finally {
      decrypt.mockRestore();
    }
  });
});
