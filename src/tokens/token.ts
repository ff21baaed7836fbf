// The token itself. What always holds: it comes from the system's random source, and only its hash or its
// fingerprint is written down (websockify's own files excepted, which need it).
import { createHash, randomInt } from 'node:crypto';

/** What a browser presents to the proxy. A secret. */
export type Token = string & { readonly brand: 'Token' };

/** SHA-256 of a token, 64 hexadecimal digits. */
export type TokenHash = string & { readonly brand: 'TokenHash' };

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** 36^25 is a little over 2^129: the 128 random bits that a token must have. */
const LENGTH = 25;

/** Enough of the hash to find a token's lines in the log, too little to be of use. */
const FINGERPRINT_LENGTH = 12;

const FORM = /^[a-z0-9]{25,128}$/;

export function newToken(): Token {
  let token = '';
  for (let i = 0; i < LENGTH; i++) token += ALPHABET.charAt(randomInt(ALPHABET.length));
  return token as Token;
}

/** Whether a text has the form of a token, so that a path segment may be taken for one. */
export function hasTokenForm(text: string): boolean {
  return FORM.test(text);
}

export function hashToken(token: Token): TokenHash {
  return createHash('sha256').update(token).digest('hex') as TokenHash;
}

/** How a token is named in logs and file names. */
export function fingerprint(hash: TokenHash): string {
  return hash.slice(0, FINGERPRINT_LENGTH);
}
