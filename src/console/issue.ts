// Issue: from a caller's session string and a VM id to a token. Policy only; oned and the store do the I/O.
// What always holds: oned was asked as the caller before anything is stored.
import type { OnedClient } from '../oned/client.js';
import type { OnedFacts } from '../oned/facts.js';
import type { Turn } from '../oned/fair-queue.js';
import type { SessionString } from '../oned/session-string.js';
import type { Graphics, VmFacts } from '../oned/vm.js';
import type { Caller, Grant } from '../tokens/grant.js';
import { issued } from '../tokens/rules.js';
import type { StoredToken, TokenStore } from '../tokens/store.js';
import type { Token } from '../tokens/token.js';
import type { Identities, Identity } from './identities.js';
import { type ConsolePorts, targetOf } from './policy.js';
import { mayManage, mayUse } from './rights.js';
import type { ServiceRules } from './service-rules.js';
import type { ServiceZone } from './service-zone.js';
import { type IssueOptions, type VncSettings, vncGrantOf } from './vnc-access.js';
import { vncPasswordOf } from './vnc-password.js';

export interface IssueSettings {
  readonly ttlMs: number;
  readonly consolePorts: ConsolePorts;
  readonly maxTokensPerVm: number;
  readonly maxTokensPerUser: number;
  /** The service's own: the VM is looked at again later, so what gave the caller the VM is written down. */
  readonly serviceSession: SessionString | undefined;
  readonly vnc: VncSettings;
  readonly bindClient: boolean;
}

export interface IssueParts {
  readonly oned: Pick<OnedClient, 'vmInfo' | 'vmInfoDecrypted' | 'userInfo'>;
  readonly facts: Pick<OnedFacts, 'ask'>;
  readonly identities: Pick<Identities, 'present' | 'recent'>;
  readonly rights: Pick<ServiceRules, 'mayManage'>;
  readonly store: Pick<TokenStore, 'create' | 'now'>;
  readonly zone: Pick<ServiceZone, 'learn' | 'stamp'>;
  /** Asked at every call, so that it may change while running. */
  readonly settings: () => IssueSettings;
  /** Is told of a token that had to make room for one of another user. */
  readonly onGivenWay?: ((one: StoredToken) => void) | undefined;
}

export interface IssuedConsole {
  readonly token: Token;
  readonly grant: Grant;
  readonly graphics: Graphics;
}

export type IssueConsole = (
  session: SessionString,
  vmId: number,
  options: IssueOptions,
  signal: AbortSignal,
  by?: Turn,
) => Promise<IssuedConsole>;

/** @returns a function that throws GatewayError: oned's refusal or failure, the policy's, or the store's */
export function createIssue(parts: IssueParts): IssueConsole {
  const { oned, facts, identities, rights, store, zone, settings, onGivenWay } = parts;
  return async (session, vmId, options, signal, by) => {
    const vm = await oned.vmInfo(session, vmId, signal, { by });
    const { ttlMs, consolePorts, serviceSession, vnc, bindClient, ...limits } = settings();
    const target = targetOf(vm, consolePorts);
    // Only now that oned has let the caller see the VM.
    const password =
      serviceSession !== undefined || vnc.auth === 'proxy'
        ? await vncPasswordOf(vm, { session, serviceSession, by }, { oned, facts }, signal)
        : { text: vm.graphics.password };
    const asksForRights = serviceSession !== undefined || vnc.viewOnlyWithoutManage;
    const who = await identities[asksForRights ? 'present' : 'recent'](session, signal, by);
    // A yes of the VM's bits costs no question, and may count later.
    const manages = vnc.viewOnlyWithoutManage ? await rights.mayManage(vm, who, signal) : mayManage(vm, who);
    const viewOnly = options.viewOnly || (vnc.viewOnlyWithoutManage && !manages);
    const caller = serviceSession === undefined ? undefined : callerOf(who, vm);
    await zone.learn(session, signal);
    const issuedAt = store.now();
    const whose = {
      ...{ zone: zone.stamp, vmId, target, uid: who.uid, user: who.user },
      ...(who.egid === undefined ? {} : { egid: who.egid }),
    };
    const access = vncGrantOf(whose, password, { ...options, viewOnly }, vnc);
    const grant: Grant = {
      ...{ ...whose, caller },
      ...(manages ? { manages } : {}),
      ...(access === undefined ? {} : { vnc: access }),
      ...{ issuedAt, expiresAt: issuedAt + ttlMs },
    };
    const token = await store.create(issued(grant), {
      maxOfVm: limits.maxTokensPerVm,
      maxOfUser: limits.maxTokensPerUser,
      onGivenWay,
      // websockify would let in any address, and leave the password and what may pass to the browser.
      forWebsockify: !bindClient && access === undefined,
    });
    // The password stays here where the service answers with it.
    const graphics = { ...vm.graphics, password: access === undefined ? password.text : '' };
    return { token, grant, graphics };
  };
}

function callerOf(user: Identity, vm: VmFacts): Caller {
  return { uid: user.uid, gids: user.gids, byPermission: mayUse(vm, user) };
}
