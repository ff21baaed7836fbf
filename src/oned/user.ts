// The user's XML, as oned's `one.user.info` returns it, reduced to who he is.
// What always holds: of the password's hash and the login tokens that stand beside it nothing leaves this file.
import { child, type XmlElement } from '../xml.js';
import {
  nonsense,
  numberOf,
  type OnedDocument,
  readDocument,
  textOf,
  textsOf,
  toNumber,
} from './document.js';

/** A name in OpenNebula has at most 128 characters. */
const MAX_NAME_LENGTH = 256;
/** Whoever is in more groups has the rights of these: fewer, never more. */
const MAX_GROUPS = 1000;

export interface UserFacts {
  readonly uid: number;
  readonly name: string;
  /** The primary group first, each once. */
  readonly gids: readonly number[];
}

/** `<USER>…</USER>`, as `one.user.info` returns it. Users write into its TEMPLATE. */
export const userDocument: OnedDocument<UserFacts> = {
  ...{ method: 'one.user.info', root: 'USER', read: userOf },
  shape: {
    children: {
      ...textsOf('ID', 'GID', 'NAME'),
      GROUPS: { children: { ID: { most: Number.POSITIVE_INFINITY } } },
      TEMPLATE: { skipped: true, guarded: true },
    },
  },
};

/** @throws GatewayError `oned-nonsense` when it is no such document */
export function parseUser(xml: string): UserFacts {
  return readDocument(xml, userDocument);
}

function userOf(user: XmlElement): UserFacts {
  const name = textOf(user, 'NAME');
  if (name === undefined || name.length > MAX_NAME_LENGTH) throw nonsense('the USER of oned has no NAME');
  const groups = child(user, 'GROUPS')?.children.filter((one) => one.name === 'ID') ?? [];
  const gids = groups.slice(0, MAX_GROUPS).map(({ text }) => {
    const gid = toNumber(text);
    if (gid === undefined) throw nonsense('the USER of oned has a group without an ID');
    return gid;
  });
  return { uid: numberOf(user, 'ID'), name, gids: [...new Set([numberOf(user, 'GID'), ...gids])] };
}
