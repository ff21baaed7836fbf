// What the rules of OpenNebula's ACL give a user on a VM, as oned judges them (AclManager::match_rules in its sources).
// Pure. What always holds: a rule for another zone gives nothing; where a rule is for a zone and nobody knows whether it
// is oned's, the answer is neither yes nor no.
import type { AclRule } from '../oned/acl.js';
import type { VmFacts } from '../oned/vm.js';
import type { Member } from './rights.js';

export type Right = 'use' | 'manage';

const RIGHTS: Readonly<Record<Right, bigint>> = { use: 1n, manage: 2n };

// What the lower half of a number is: an id, a group's id, or nothing, for it means all.
const INDIVIDUAL = 0x1_0000_0000n;
const GROUP = 0x2_0000_0000n;
const ALL = 0x4_0000_0000n;
const ID = 0xffff_ffffn;
/** Of a resource. VMs belong to no cluster there, so a rule for a cluster is none for them. */
const VM = 0x10_0000_0000n;

/**
 * @param zone oned's id of its own; undefined: not known
 * @returns undefined where that would have to be known
 */
export function allowedByRule(
  right: Right,
  user: Member,
  vm: Pick<VmFacts, 'id' | 'gid'>,
  rules: readonly AclRule[],
  zone: number | undefined,
): boolean | undefined {
  const bits = RIGHTS[right];
  const who = new Set([ALL, INDIVIDUAL | BigInt(user.uid), ...user.gids.map((gid) => GROUP | BigInt(gid))]);
  const giving = rules.filter(
    (rule) => who.has(rule.user) && (rule.rights & bits) === bits && isAbout(rule.resource, vm),
  );
  if (giving.some((rule) => isEverywhere(rule) || (zone !== undefined && isIn(rule, zone)))) return true;
  return zone === undefined && giving.length > 0 ? undefined : false;
}

function isAbout(resource: bigint, { id, gid }: Pick<VmFacts, 'id' | 'gid'>): boolean {
  return (
    (resource & (VM | ALL)) === (VM | ALL) ||
    (resource & (VM | GROUP | ID)) === (VM | GROUP | BigInt(gid)) ||
    (resource & (VM | INDIVIDUAL | ID)) === (VM | INDIVIDUAL | BigInt(id))
  );
}

function isEverywhere({ zone }: AclRule): boolean {
  return (zone & ALL) === ALL;
}

function isIn(rule: AclRule, zone: number): boolean {
  return (rule.zone & (INDIVIDUAL | ID)) === (INDIVIDUAL | BigInt(zone));
}
