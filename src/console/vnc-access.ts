// The VNC server's security in the middle, as far as tokens know of it: the password goes into a grant sealed, and comes
// out of it for the session that is let in. What always holds: ciphertext of oned is never taken for a password.
import { type ClipboardMode, narrowClipboard } from '../clipboard.js';
import type { VncAuth } from '../config/types.js';
import { GatewayError } from '../errors.js';
import type { Grant, VncGrant } from '../tokens/grant.js';
import { openPassword, type PasswordKey, sealPassword } from '../tokens/password-seal.js';
import { readable, type VncPassword } from './vnc-password.js';

/** What a session needs to shake hands with a VNC server, and to hold its browser to what it may do. */
export interface VncAccess {
  /** Clear text. A secret. */
  readonly password: string;
  readonly viewOnly: boolean;
  readonly clipboard: ClipboardMode;
}

/** What a caller asks for beyond the VM: to be allowed less than everything. */
export interface IssueOptions {
  readonly viewOnly: boolean;
  /** `both`: whatever the setting allows. */
  readonly clipboard: ClipboardMode;
}

export interface VncSettings {
  readonly auth: VncAuth;
  readonly clipboard: ClipboardMode;
  readonly viewOnlyWithoutManage: boolean;
  /** With `auth: proxy`. */
  readonly passwordKey: PasswordKey | undefined;
}

/**
 * What of the VNC server's security goes into a grant; undefined where the browser has to answer it.
 * @throws GatewayError `no-console`, `bad-parameters` where it cannot be done
 */
export function vncGrantOf(
  issued: Bound,
  vncPassword: VncPassword,
  { viewOnly, clipboard }: IssueOptions,
  settings: VncSettings,
): VncGrant | undefined {
  const { auth, passwordKey } = settings;
  if (auth === 'pass' || passwordKey === undefined) {
    if (!viewOnly && clipboard === 'both') return undefined;
    const option = viewOnly ? 'view_only' : 'clipboard';
    throw new GatewayError('bad-parameters', { publicText: `${option} takes vnc_auth: proxy` });
  }
  const password = readable(vncPassword);
  const sealedPassword = password === '' ? '' : sealPassword(passwordKey, password, boundTo(issued));
  return { sealedPassword, viewOnly, clipboard: narrowClipboard(settings.clipboard, clipboard) };
}

/**
 * @param stored the grant as it was issued: what its password is bound to
 * @param vnc what the browser may do now
 * @throws GatewayError `internal` where the password was sealed with another key, or for another grant
 */
export function vncAccessOf(
  stored: Grant,
  key: PasswordKey | undefined,
  vnc: VncGrant | undefined = stored.vnc,
): VncAccess | undefined {
  if (vnc === undefined) return undefined;
  const { viewOnly, clipboard } = vnc;
  const sealedPassword = stored.vnc?.sealedPassword ?? '';
  if (sealedPassword === '') return { password: '', viewOnly, clipboard };
  if (key === undefined) throw new GatewayError('internal', { detail: 'no key for the VNC password' });
  const password = openPassword(key, sealedPassword, boundTo(stored), `vm ${stored.vmId}`);
  return { password, viewOnly, clipboard };
}

/** What of a grant says whose console it is, and where: all that oned said as the token was issued. */
type Bound = Pick<Grant, 'zone' | 'vmId' | 'target' | 'uid' | 'egid'>;

/**
 * To VM, target and user: a grant that was changed must not have the service answer somebody else's VNC server, whose
 * challenge would tell the password to whoever made it.
 */
function boundTo({ zone, vmId, target: { host, port }, uid, egid }: Bound): string {
  return JSON.stringify([zone?.id ?? null, zone?.endpoint ?? null, vmId, host, port, uid, egid ?? null]);
}
