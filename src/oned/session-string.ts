// The session string, first argument of every `one.*` call. What always holds: it goes to oned and nowhere else;
// only the user's name in it may be written down.

/** `user:password`, `user:login-token`, or of a portal that logs in for others `serveradmin:user:…`. A secret. */
export type SessionString = string & { readonly brand: 'SessionString' };

/** A name in OpenNebula is no longer; what is may be a secret that was put in the wrong place. */
const MAX_USER_LENGTH = 128;

/** What moves a terminal's cursor or turns the direction of a line. */
const CONTROL_CHARACTERS = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/**
 * The user's name, for the log, the grant and the limits; empty where the text has no colon. It is a claim until oned
 * has accepted the session.
 * @param serverUsers accounts of OpenNebula's server authentication: theirs is `account:user:token`
 */
export function userOf(session: SessionString, serverUsers: ReadonlySet<string>): string {
  const account = fieldAt(session, 0);
  if (account === undefined || !serverUsers.has(account)) return plainName(account ?? '');
  // Without a third field the second is the secret.
  return plainName(fieldAt(session, account.length + 1) || account);
}

/** What stands behind the account: a password, a login token, or what server authentication makes of them. A secret. */
export function secretOf(session: SessionString): string {
  return session.slice(session.indexOf(':') + 1);
}

/**
 * The group that a session of server authentication is limited to: `account:user:group:token`, as oned reads it
 * (src/um/UserPool.cc in OpenNebula's sources). Whether it is such a session is for the caller to know.
 */
export function serverGroupOf(session: SessionString): number | undefined {
  const [, , group, ...token] = session.split(':', 4);
  return group !== undefined && token.length > 0 && /^\s*\+?\d{1,9}$/.test(group) ? Number(group) : undefined;
}

/** The text from there to the next colon; undefined where none follows. */
function fieldAt(session: string, start: number): string | undefined {
  const colon = session.indexOf(':', start);
  return colon === -1 ? undefined : session.slice(start, colon);
}

/** A user's name as it may be written down. */
export function plainName(name: string): string {
  return name
    .slice(0, MAX_USER_LENGTH)
    .replace(CONTROL_CHARACTERS, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}
