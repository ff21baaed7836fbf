// The user's XML, as oned's `one.user.info` returns it, reduced to who he is.
// What always holds: of the password's hash and the login tokens that stand beside it nothing leaves this file.
import { child, type XmlElement } from '../xml.js';
import type { Shape } from '../xml-selection.js';
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
/** oned keeps ten (src/um/LoginToken.cc in OpenNebula's sources). */
const MAX_LOGIN_TOKENS = 1000;

export interface UserFacts {
  readonly uid: number;
  readonly name: string;
  /** The primary group first, each once. */
  readonly gids: readonly number[];
  /** Whether he may log in; undefined: oned did not say. */
  readonly enabled: boolean | undefined;
  /** The group that the login token which was asked about is limited to; undefined: it is none of his, or for all. */
  readonly egid?: number | undefined;
}

/** What oned writes before anything that users write. */
const head: Readonly<Record<string, Shape>> = {
  ...textsOf('ID', 'GID', 'NAME', 'ENABLED'),
  GROUPS: { children: { ID: { most: Number.POSITIVE_INFINITY } } },
};

/**
 * `<USER>…</USER>`, as `one.user.info` returns it. Users write into its TEMPLATE, which comes after all that is read, so that
 * nothing in it can hide that or make it unreadable; and they make up login tokens.
 * @param secret what he logged in with: if it is one of his login tokens, its group is told; without it his account can be
 * read whatever his login tokens are
 */
export function userDocument(secret?: string): OnedDocument<UserFacts> {
  const fallback = secret === undefined ? { fallback: { children: head } } : {};
  return { ...document, ...fallback, read: (user) => userOf(user, secret) };
}

const document = {
  ...{ method: 'one.user.info', root: 'USER' },
  shape: {
    children: {
      ...head,
      LOGIN_TOKEN: { most: MAX_LOGIN_TOKENS, children: textsOf('TOKEN', 'EGID') },
    },
  },
};

/** @throws GatewayError `oned-nonsense` when it is no such document */
export function parseUser(xml: string, secret?: string): UserFacts {
  return readDocument(xml, userDocument(secret));
}

function userOf(user: XmlElement, secret: string | undefined): UserFacts {
  const name = textOf(user, 'NAME');
  if (name === undefined || name.length > MAX_NAME_LENGTH) throw nonsense('the USER of oned has no NAME');
  const groups = child(user, 'GROUPS')?.children.filter((one) => one.name === 'ID') ?? [];
  const gids = groups.slice(0, MAX_GROUPS).map(({ text }) => {
    const gid = toNumber(text);
    if (gid === undefined) throw nonsense('the USER of oned has a group without an ID');
    return gid;
  });
  const egid = secret === undefined ? undefined : egidOf(user, secret);
  return {
    ...{ uid: numberOf(user, 'ID'), name, gids: [...new Set([numberOf(user, 'GID'), ...gids])] },
    ...{ enabled: enabledOf(user), ...(egid === undefined ? {} : { egid }) },
  };
}

function enabledOf(user: XmlElement): boolean | undefined {
  const text = textOf(user, 'ENABLED');
  return text === '1' ? true : text === '0' ? false : undefined;
}

/** EGID -1 is a login token for all groups; what is neither that nor a group restricts in a way that nobody knows. */
function egidOf(user: XmlElement, secret: string): number | undefined {
  const used = user.children.find((one) => one.name === 'LOGIN_TOKEN' && textOf(one, 'TOKEN') === secret);
  if (used === undefined || textOf(used, 'EGID') === '-1') return undefined;
  return numberOf(used, 'EGID');
}
