// What a token stands for. What always holds: host and port come from oned, never from a browser, and neither
// the token nor a VNC password in clear is part of a grant, so a grant may rest on disk.

import type { ClipboardMode } from '../clipboard.js';
import type { Zone } from './zone.js';

/**
 * Of a grant from before ids were written down: it belongs to nobody, so that whoever has the name now gets nothing by
 * it. oned's own begin at 0.
 */
export const UNKNOWN_UID = -1;

export interface Grant {
  /** Whose VM it is, of several zones; undefined in grants from before. */
  readonly zone?: Zone | undefined;
  readonly vmId: number;
  /** Where the VM's console listens. */
  readonly target: { readonly host: string; readonly port: number };
  /** Who asked for it: OpenNebula's id of him, or UNKNOWN_UID. What belongs to whom goes by this alone. */
  readonly uid: number;
  /** His name in OpenNebula, for people to read. */
  readonly user: string;
  /** The group that his login token was limited to: it gives no more than this group has. */
  readonly egid?: number | undefined;
  /** What gave that user the VM, as far as it can be looked up again; only with `service_auth`. */
  readonly caller?: Caller | undefined;
  /** The caller was seen to have MANAGE of the VM; undefined: not, as far as was looked. */
  readonly manages?: boolean | undefined;
  /** The service shakes hands with the VNC server itself; undefined: the browser does. */
  readonly vnc?: VncGrant | undefined;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  /** Milliseconds since 1970; until then the token must have been used for the first time. */
  readonly expiresAt: number;
}

/** Whose a grant is, for a line that people read; without an id where nobody knows it. */
export function holderOf({ uid, user }: Grant): { uid: number | undefined; user: string } {
  return { uid: uid === UNKNOWN_UID ? undefined : uid, user };
}

/** What the service needs to answer the VNC server, and what the browser may do then. */
export interface VncGrant {
  /** Sealed with a key that only the service has; empty where the VM has none. */
  readonly sealedPassword: string;
  readonly viewOnly: boolean;
  readonly clipboard: ClipboardMode;
}

/** A user of OpenNebula, as `one.user.info` told of him. */
export interface Caller {
  readonly uid: number;
  /** The primary group among them. */
  readonly gids: readonly number[];
  /** Whether the VM's owner and permission bits gave him USE; else it was a rule that nobody can ask oned about. */
  readonly byPermission: boolean;
}
