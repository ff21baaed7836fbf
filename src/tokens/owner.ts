// Whose tokens are counted together. What always holds: a user is his id where it is known, so that neither another
// spelling nor a new account of an old name is somebody else; the text fits into the name of a key.
import { createHash } from 'node:crypto';

/** `u` and OpenNebula's id; where only a name is known, `n` and the beginning of its hash. */
export type Owner = string & { readonly brand: 'Owner' };

const FORM = /^(?:u\d{1,10}|n[A-Za-z0-9_-]{16})$/;

export function ownerOf({ uid, user }: { readonly uid?: number | undefined; readonly user: string }): Owner {
  if (uid !== undefined && uid >= 0) return `u${uid}` as Owner;
  return `n${createHash('sha256').update(user).digest('base64url').slice(0, 16)}` as Owner;
}

/** @returns undefined where the text is none */
export function asOwner(text: string): Owner | undefined {
  return FORM.test(text) ? (text as Owner) : undefined;
}
