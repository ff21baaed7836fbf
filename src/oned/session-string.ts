// The session string, first argument of every `one.*` call. What always holds: it goes to oned and nowhere else;
// only the user's name before the first colon may be written down.

/** `user:password` or `user:login-token`. A secret. */
export type SessionString = string & { readonly brand: 'SessionString' };

/** A name in OpenNebula is short; a text without a colon may be a secret that was put in the wrong place. */
const MAX_USER_LENGTH = 128;

/** The user's name, for the log and the grant; empty where the text has no colon. */
export function userOf(session: SessionString): string {
  const colon = session.indexOf(':');
  return colon === -1 ? '' : session.slice(0, Math.min(colon, MAX_USER_LENGTH));
}
