// What the present settings leave of a grant that was issued under others. Pure: grant and settings in, grant or refusal
// out. What always holds: a setting that has become narrower holds for tokens from before it as well, and one that has
// become wider gives them nothing; a refusal names the setting and ends nothing, so that the old setting brings it back.
import { narrowClipboard } from '../clipboard.js';
import type { PortRange } from '../config/types.js';
import { GatewayError } from '../errors.js';
import type { Grant, VncGrant } from '../tokens/grant.js';
import type { VncSettings } from './vnc-access.js';

export interface NarrowSettings {
  readonly consolePorts: readonly PortRange[];
  readonly vnc: Pick<VncSettings, 'auth' | 'clipboard' | 'viewOnlyWithoutManage'>;
  /** A rule of `targets` says what a VNC server must offer, which is looked at only where the service answers it. */
  readonly requiresSecurity: boolean;
}

/**
 * @param grant where the console is now
 * @throws GatewayError `token-not-valid`
 */
export function narrow(grant: Grant, settings: NarrowSettings): Grant {
  const { port } = grant.target;
  if (!settings.consolePorts.some(({ first, last }) => port >= first && port <= last)) {
    throw refused(`console_ports: port ${port} is not among them any more`);
  }
  if (grant.vnc !== undefined) return withVnc(grant, grant.vnc, settings.vnc);
  const setting = takesProxy(grant, settings);
  if (setting !== undefined) throw refused(`${setting}: the token was issued under vnc_auth: pass`);
  return grant;
}

function withVnc(grant: Grant, vnc: VncGrant, settings: NarrowSettings['vnc']): Grant {
  const viewOnly = vnc.viewOnly || mayOnlyLook(grant, settings);
  const clipboard = narrowClipboard(vnc.clipboard, settings.clipboard);
  if (viewOnly === vnc.viewOnly && clipboard === vnc.clipboard) return grant;
  return { ...grant, vnc: { ...vnc, viewOnly, clipboard } };
}

/** The setting that a console does not keep whose browser answers the VNC server itself; undefined: there is none. */
function takesProxy(grant: Grant, { vnc, requiresSecurity }: NarrowSettings): string | undefined {
  if (vnc.auth !== 'proxy') return undefined;
  if (vnc.clipboard !== 'both') return 'clipboard';
  if (mayOnlyLook(grant, vnc)) return 'view_only_without_manage';
  return requiresSecurity ? 'targets (require)' : undefined;
}

/** Whoever was not seen to have MANAGE has none. */
function mayOnlyLook({ manages = false }: Grant, { viewOnlyWithoutManage }: NarrowSettings['vnc']): boolean {
  return viewOnlyWithoutManage && !manages;
}

function refused(detail: string): GatewayError {
  return new GatewayError('token-not-valid', { detail });
}
