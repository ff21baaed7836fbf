// What a user may do with a VM by its owner and permission bits, as oned judges it.
// What always holds: rules of OpenNebula's ACL are unknown here, for oned answers no question about them: a yes is one,
// a no only means that the bits say no.
import type { Bits, Permissions } from '../oned/permissions.js';

/** Of user 0, and of the group oneadmin. */
const ONEADMIN = 0;

/** Of a VM, whose it is and what others may. */
export interface Owned {
  /** The owner. */
  readonly uid: number;
  readonly gid: number;
  readonly permissions: Permissions;
}

export interface Member {
  readonly uid: number;
  /** The primary group among them. */
  readonly gids: readonly number[];
}

/** USE: what `one.vm.info`, and so a console, takes. */
export function mayUse(vm: Owned, user: Member): boolean {
  return may(vm, user, ({ use }) => use);
}

/** MANAGE: what ending other users' consoles takes. */
export function mayManage(vm: Owned, user: Member): boolean {
  return may(vm, user, ({ manage }) => manage);
}

/** Whether the user is an administrator of the cloud. */
export function isOneadmin({ uid, gids }: Member): boolean {
  return uid === ONEADMIN || gids.includes(ONEADMIN);
}

/** Any class that the user belongs to is enough: an owner who took his own bit away may still be one of the group. */
function may({ uid, gid, permissions }: Owned, user: Member, bit: (bits: Bits) => boolean): boolean {
  if (isOneadmin(user)) return true;
  if (user.uid === uid && bit(permissions.owner)) return true;
  if (user.gids.includes(gid) && bit(permissions.group)) return true;
  return bit(permissions.other);
}
