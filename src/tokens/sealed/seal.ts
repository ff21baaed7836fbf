// A grant inside its token: a compact JWE (RFC 7516), `dir` with A256GCM, sealed and opened by the keys of `sealed_keys`.
// What always holds: the algorithms are ours and not the token's to choose; a token has exactly one spelling, so that its
// hash names it; whatever is wrong with one, the answer is the same.
import { randomBytes } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, errors } from 'jose';
import { z } from 'zod';
import { GatewayError } from '../../errors.js';
import { type Grant, UNKNOWN_UID } from '../grant.js';
import { vncSchema, zoneSchema } from '../record-schema.js';
import { isSealedForm, type Token } from '../token.js';
import { KEY_ID, type SealKeys } from './keys.js';

/** The header that we write, to the letter: other members, another order or a space make it a stranger's. */
const HEADER = new RegExp(`^\\{"alg":"dir","enc":"A256GCM","kid":"(${KEY_ID})"\\}$`);

const ALLOWED = { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] };

const milliseconds = z.number().int().nonnegative();

const claims = z
  .strictObject({
    host: z.string().regex(/^[A-Za-z0-9._:-]{1,255}$/),
    port: z.number().int().min(1).max(65_535),
    vm: z.number().int().nonnegative(),
    zone: zoneSchema.optional(),
    uid: z.number().int().nonnegative().optional(),
    user: z.string().max(256),
    egid: z.number().int().nonnegative().optional(),
    caller: z
      .strictObject({
        uid: z.number().int().nonnegative(),
        gids: z.array(z.number().int().nonnegative()),
        byPermission: z.boolean(),
      })
      .optional(),
    manages: z.boolean().optional(),
    vnc: vncSchema.optional(),
    issued: milliseconds,
    expires: milliseconds,
    /** Random, so that two tokens for the same console differ in what they say as well. */
    id: z.string().regex(/^[A-Za-z0-9_-]{22}$/),
  })
  .refine(({ issued, expires }) => issued < expires);

/** @throws GatewayError `store-failed` where the grant does not fit into a token */
export async function seal(grant: Grant, { sealing }: SealKeys): Promise<Token> {
  const { target, vmId, zone, uid, user, egid, caller, manages, vnc, issuedAt, expiresAt } = grant;
  const said: z.input<typeof claims> = {
    ...{ host: target.host, port: target.port, vm: vmId, user },
    ...(zone === undefined ? {} : { zone }),
    ...(uid === UNKNOWN_UID ? {} : { uid }),
    ...(egid === undefined ? {} : { egid }),
    ...(caller === undefined ? {} : { caller: { ...caller, gids: [...caller.gids] } }),
    ...(manages === undefined ? {} : { manages }),
    ...(vnc === undefined ? {} : { vnc }),
    ...{ issued: issuedAt, expires: expiresAt, id: randomBytes(16).toString('base64url') },
  };
  const token = await new CompactEncrypt(Buffer.from(JSON.stringify(said)))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: sealing.id })
    .encrypt(sealing.key);
  // What we could not open ourselves must not be given out.
  if (!isSealedForm(token) || !claims.safeParse(said).success) {
    throw new GatewayError('store-failed', { detail: 'the grant does not fit into a sealed token' });
  }
  return token;
}

/** @returns what was sealed, expired or not; undefined where it is not ours, for whatever reason */
export async function unseal(token: Token, { opening, decoy }: SealKeys): Promise<Grant | undefined> {
  const keyId = keyIdOf(token);
  if (keyId === undefined) return undefined;
  try {
    const { plaintext } = await compactDecrypt(token, opening.get(keyId) ?? decoy, ALLOWED);
    return grantOf(plaintext);
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}

/** Of a token in its one spelling; undefined otherwise, before any key is looked at. */
function keyIdOf(token: Token): string | undefined {
  if (!isSealedForm(token)) return undefined;
  const parts = token.split('.');
  if (!parts.every(isCanonical)) return undefined;
  return HEADER.exec(Buffer.from(parts[0] ?? '', 'base64url').toString('latin1'))?.[1];
}

/** Base64url leaves bits over at the end, which a decoder ignores and a second spelling could use. */
function isCanonical(part: string): boolean {
  return Buffer.from(part, 'base64url').toString('base64url') === part;
}

function grantOf(plaintext: Uint8Array): Grant | undefined {
  const parsed = claims.safeParse(parseJson(plaintext));
  if (!parsed.success) return undefined;
  const { host, port, vm, zone, uid, user, egid, caller, manages, vnc, issued, expires } = parsed.data;
  return {
    ...{ vmId: vm, target: { host, port }, uid: uid ?? caller?.uid ?? UNKNOWN_UID, user },
    ...(zone === undefined ? {} : { zone }),
    ...(egid === undefined ? {} : { egid }),
    ...(caller === undefined ? {} : { caller }),
    ...(manages === undefined ? {} : { manages }),
    ...(vnc === undefined ? {} : { vnc }),
    ...{ issuedAt: issued, expiresAt: expires },
  };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
