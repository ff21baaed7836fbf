// Management: who is on a VM's consoles, and ending them, for whoever may. Policy only; oned and the store do the I/O.
// What always holds: oned was asked for the VM as the caller first; without MANAGE nobody sees or ends what is not his.
import type { OnedClient } from '../oned/client.js';
import type { Turn } from '../oned/fair-queue.js';
import type { SessionString } from '../oned/session-string.js';
import type { Identities } from './identities.js';
import type { Revocation, SessionView, Whose } from './revoke.js';
import type { ServiceRules } from './service-rules.js';
import type { ServiceZone } from './service-zone.js';

export interface ManagementParts {
  readonly oned: Pick<OnedClient, 'vmInfo'>;
  readonly identities: Pick<Identities, 'present'>;
  readonly zone: Pick<ServiceZone, 'learn'>;
  readonly rights: Pick<ServiceRules, 'mayManage'>;
  readonly revocation: Pick<Revocation, 'revokeVm' | 'sessionsOfVm'>;
}

/** Who asked, as oned has him. */
export interface Managed {
  readonly caller: { readonly uid: number; readonly user: string };
}

/**
 * Whose tokens and sessions are meant: everybody's where the VM's owner and permission bits give the caller MANAGE, or
 * a rule of the ACL does (which the service has to be able to ask for: `service_auth`), or he is in the oneadmin group;
 * else his own.
 */
export class Management {
  private readonly parts: ManagementParts;

  constructor(parts: ManagementParts) {
    this.parts = parts;
  }

  /**
   * Ends tokens of a VM, and their sessions on every host.
   * @returns how many tokens it was
   * @throws GatewayError oned's refusal or failure, `store-unavailable`
   */
  async revoke(
    session: SessionString,
    vmId: number,
    signal: AbortSignal,
    by?: Turn,
  ): Promise<Managed & { count: number }> {
    const { whose, caller } = await this.whose(session, vmId, signal, by);
    const count = await this.parts.revocation.revokeVm(vmId, whose, caller.user);
    return { caller, count };
  }

  /**
   * Sessions of a VM on every host.
   * @throws GatewayError oned's refusal or failure, `store-unavailable`
   */
  async sessions(
    session: SessionString,
    vmId: number,
    signal: AbortSignal,
    by?: Turn,
  ): Promise<Managed & { sessions: SessionView[] }> {
    const { whose, caller } = await this.whose(session, vmId, signal, by);
    const sessions = await this.parts.revocation.sessionsOfVm(vmId, whose);
    return { caller, sessions };
  }

  private async whose(
    session: SessionString,
    vmId: number,
    signal: AbortSignal,
    by: Turn | undefined,
  ): Promise<Managed & { whose: Whose }> {
    const { oned, identities, rights, zone } = this.parts;
    // Whether the caller may see the VM at all is oned's answer.
    const vm = await oned.vmInfo(session, vmId, signal, { by });
    const caller = await identities.present(session, signal, by);
    await zone.learn(session, signal);
    const { uid, user } = caller;
    const isManager = await rights.mayManage(vm, caller, signal);
    return { whose: isManager ? {} : { uid }, caller: { uid, user } };
  }
}
