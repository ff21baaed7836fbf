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

/** A sealed one at most: a grant with long names and a caller of many groups takes no more. */
const MAX_SEALED_LENGTH = 2048;

/** RFC 7516, 7.1, for `dir` and A256GCM: header, no encrypted key, IV of 12 bytes, ciphertext, tag of 16 bytes. */
const SEALED_FORM = /^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{22}$/;

export function newToken(): Token {
  let token = '';
  for (let i = 0; i < LENGTH; i++) token += ALPHABET.charAt(randomInt(ALPHABET.length));
  return token as Token;
}

/** Whether a text has the form of a token, so that a path segment may be taken for one. */
export function hasTokenForm(text: string): boolean {
  return FORM.test(text) || isSealedForm(text);
}

/** Whether a text has the form of a token that carries its grant; whether it opens is for the keys to say. */
export function isSealedForm(text: string): text is Token {
  return text.length <= MAX_SEALED_LENGTH && SEALED_FORM.test(text);
}

export function hashToken(token: Token): TokenHash {
  return createHash('sha256').update(token).digest('hex') as TokenHash;
}

/** How a token is named in logs and file names. */
export function fingerprint(hash: TokenHash): string {
  return hash.slice(0, FINGERPRINT_LENGTH);
}
