// Who a caller is: the user as oned knows him, whatever his session string spells. Asked only after oned has let the
// session see a VM.
// What always holds: of a session nothing is kept but a keyed hash; a limited session gives no group but its own.
import type { OnedClient } from '../oned/client.js';
import type { Turn } from '../oned/fair-queue.js';
import { plainName, type SessionString, serverGroupOf } from '../oned/session-string.js';
import type { UserFacts } from '../oned/user.js';
import type { Member } from './rights.js';
import { sessionDigest } from './session-digest.js';

/**
 * How long an answer holds for whoever needs no more than a name and an id. A user who is deleted and made anew has
 * another id, so it is not long.
 */
const HOLDS_MS = 10_000;
/** Each some 300 bytes. */
const MAX_REMEMBERED = 10_000;

export interface Identity extends Member {
  /** oned's spelling, as it may be written down. */
  readonly user: string;
  /** The only group that this session has; `gids` are no more than that. */
  readonly egid?: number | undefined;
}

export interface IdentitiesParts {
  readonly oned: Pick<OnedClient, 'userInfo'>;
  /** Accounts that log in for others. Asked at every question, so that they may change while running. */
  readonly serverUsers: () => ReadonlySet<string>;
  /** Milliseconds that never go back; not the time of day. */
  readonly now?: (() => number) | undefined;
}

interface Known {
  readonly identity: Identity;
  readonly at: number;
}

export class Identities {
  private readonly parts: IdentitiesParts;
  private readonly now: () => number;
  /** The one that was asked for longest ago is first. */
  private readonly known = new Map<string, Known>();

  constructor(parts: IdentitiesParts) {
    this.parts = parts;
    this.now = parts.now ?? (() => performance.now());
  }

  /** As of now, with the groups of this moment. @throws GatewayError as OnedClient.userInfo */
  async present(session: SessionString, signal: AbortSignal, by?: Turn): Promise<Identity> {
    const facts = await this.parts.oned.userInfo(session, signal, { by });
    const identity = identityOf(facts, session, this.parts.serverUsers());
    this.remember(sessionDigest(session), identity);
    return identity;
  }

  /** As of some seconds ago at most: groups may have changed since. @throws GatewayError as OnedClient.userInfo */
  async recent(session: SessionString, signal: AbortSignal, by?: Turn): Promise<Identity> {
    const known = this.known.get(sessionDigest(session));
    if (known !== undefined && this.now() - known.at < HOLDS_MS) return known.identity;
    return this.present(session, signal, by);
  }

  private remember(digest: string, identity: Identity): void {
    this.known.delete(digest);
    if (this.known.size >= MAX_REMEMBERED) this.known.delete(this.known.keys().next().value ?? '');
    this.known.set(digest, { identity, at: this.now() });
  }
}

function identityOf(
  { uid, name, gids, egid: ofToken }: UserFacts,
  session: SessionString,
  serverUsers: ReadonlySet<string>,
): Identity {
  const ofServer = isServerSession(session, name, serverUsers) ? serverGroupOf(session) : undefined;
  const egid = ofToken ?? ofServer;
  const user = plainName(name);
  return egid === undefined ? { uid, user, gids } : { uid, user, gids: limitedTo(egid, gids), egid };
}

/** Of a session that is limited to a group: that one, as long as the user is in it. */
export function limitedTo(egid: number | undefined, gids: readonly number[]): readonly number[] {
  return egid === undefined ? gids : gids.filter((gid) => gid === egid);
}

/** Whether somebody logs in for another: by the setting, or since oned has another name for him. */
function isServerSession(session: SessionString, name: string, serverUsers: ReadonlySet<string>): boolean {
  const [account = '', user = ''] = session.split(':', 2);
  if (serverUsers.has(account)) return true;
  return !isSameName(account, name) && isSameName(user, name);
}

function isSameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
