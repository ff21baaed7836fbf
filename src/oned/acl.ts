// The rules of OpenNebula's ACL, as oned's `one.acl.info` returns them, as numbers and not yet as a judgement.
// What always holds: a rule that cannot be read makes the whole nonsense; none is left out without a word.
import type { XmlElement } from '../xml.js';
import { nonsense, type OnedDocument, readDocument, textOf, textsOf } from './document.js';

/** Each member is 64 bits: what it is about in the upper half, an id in the lower (include/AclRule.h there). */
export interface AclRule {
  /** To whom the rule gives something. */
  readonly user: bigint;
  /** On what; several kinds of things may be in one rule. */
  readonly resource: bigint;
  readonly rights: bigint;
  /** Where. */
  readonly zone: bigint;
}

/** Hexadecimal, without 0x. */
const NUMBER = /^[0-9a-fA-F]{1,16}$/;

/** `<ACL_POOL>`, as `one.acl.info` returns it. */
export const aclDocument: OnedDocument<readonly AclRule[]> = {
  ...{ method: 'one.acl.info', root: 'ACL_POOL', read: rulesOf },
  shape: {
    children: {
      ACL: { most: Number.POSITIVE_INFINITY, children: textsOf('USER', 'RESOURCE', 'RIGHTS', 'ZONE') },
    },
  },
};

/** @throws GatewayError `oned-nonsense` when it is no such document */
export function parseAcl(xml: string): readonly AclRule[] {
  return readDocument(xml, aclDocument);
}

function rulesOf({ children }: XmlElement): readonly AclRule[] {
  return children.map((rule) => ({
    user: numberOf(rule, 'USER'),
    resource: numberOf(rule, 'RESOURCE'),
    rights: numberOf(rule, 'RIGHTS'),
    zone: numberOf(rule, 'ZONE'),
  }));
}

function numberOf(rule: XmlElement, name: string): bigint {
  const text = textOf(rule, name) ?? '';
  if (!NUMBER.test(text)) throw nonsense(`a rule of oned's ACL has no ${name}`);
  return BigInt(`0x${text}`);
}
