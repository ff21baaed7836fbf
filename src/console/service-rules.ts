// What a rule of the ACL gives a caller on a VM, where the service may ask for rules as itself.
// What always holds: without `service_auth`, and where its user may not ask, a rule gives nothing.
import type { SessionString } from '../oned/session-string.js';
import type { VmFacts } from '../oned/vm.js';
import type { LookParts } from './questions.js';
import { type Member, mayManage } from './rights.js';
import { mayByRule } from './standing.js';

export interface ServiceRulesParts extends Pick<LookParts, 'zone'> {
  readonly accounts: Pick<LookParts['accounts'], 'rules'>;
  /** Undefined without `service_auth`. Asked at every question, so that it may change while running. */
  readonly serviceSession: () => SessionString | undefined;
}

export class ServiceRules {
  private readonly parts: ServiceRulesParts;

  constructor(parts: ServiceRulesParts) {
    this.parts = parts;
  }

  /**
   * Whether somebody may manage a VM by its owner, its bits, the oneadmin group, or a rule.
   * @throws GatewayError where oned does not answer what it is asked about rules
   */
  async mayManage(vm: VmFacts, user: Member, signal: AbortSignal): Promise<boolean> {
    if (mayManage(vm, user)) return true;
    const session = this.parts.serviceSession();
    if (session === undefined) return false;
    const { accounts, zone } = this.parts;
    const byRule = await mayByRule('manage', user, vm, {
      rules: () => accounts.rules(session, signal),
      zone: () => zone(session, signal),
    });
    return byRule === true;
  }
}
