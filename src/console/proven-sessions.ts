// Session strings that oned has accepted lately, and from where: their next call is no guess.
// What always holds: of a session string only a keyed hash is kept, whose key dies with the process; how many are kept
// has a bound, also of one user, so that nobody can push out another's.
import { createHmac, randomBytes } from 'node:crypto';
import { networkOf } from '../client-address.js';
import type { SessionString } from '../oned/session-string.js';

/** Somebody who calls as a portal does in the morning is still known in the morning after. */
const KEPT_MS = 24 * 3600 * 1000;
const MAX_USERS = 10_000;
/** A portal that makes a login token for every call has many; the one that was used longest ago goes first. */
const MAX_OF_USER = 16;

/** Stands for a session string that came from a network. Worthless outside of this process. */
export type SessionMark = string & { readonly brand: 'SessionMark' };

export class ProvenSessions {
  private readonly key = randomBytes(32);
  /** When each was accepted last, by user. The one that was accepted longest ago is first, of users and of marks. */
  private readonly users = new Map<string, Map<SessionMark, number>>();
  private readonly now: () => number;

  /** @param now milliseconds of a clock that is never set */
  constructor(now = () => performance.now()) {
    this.now = now;
  }

  /** @param client the caller's address */
  markOf(session: SessionString, client: string): SessionMark {
    const hmac = createHmac('sha256', this.key)
      .update(`${networkOf(client)}\n`)
      .update(session);
    return hmac.digest('base64url') as SessionMark;
  }

  /** @param user as `userKey` writes him */
  has(user: string, mark: SessionMark): boolean {
    const at = this.users.get(user)?.get(mark);
    return at !== undefined && this.now() - at < KEPT_MS;
  }

  add(user: string, mark: SessionMark): void {
    const marks = this.users.get(user) ?? new Map<SessionMark, number>();
    putLast(marks, mark, this.now(), MAX_OF_USER);
    putLast(this.users, user, marks, MAX_USERS);
  }

  forget(user: string, mark: SessionMark): void {
    const marks = this.users.get(user);
    marks?.delete(mark);
    if (marks?.size === 0) this.users.delete(user);
  }
}

function putLast<K, V>(map: Map<K, V>, key: K, value: V, max: number): void {
  map.delete(key);
  for (const oldest of map.keys()) {
    if (map.size < max) break;
    map.delete(oldest);
  }
  map.set(key, value);
}
