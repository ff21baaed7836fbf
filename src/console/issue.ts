// Issue: from a caller's session string and a VM id to a token. Policy only; oned and the store do the I/O.
// What always holds: oned was asked as the caller before anything is stored.
import type { PortRange } from '../config/types.js';
import type { OnedClient } from '../oned/client.js';
import { type SessionString, userOf } from '../oned/session-string.js';
import type { Graphics, VmFacts } from '../oned/vm.js';
import type { Caller, Grant } from '../tokens/grant.js';
import { issued } from '../tokens/rules.js';
import type { TokenStore } from '../tokens/store.js';
import type { Token } from '../tokens/token.js';
import { targetOf } from './policy.js';
import { mayUse } from './rights.js';

export interface IssueSettings {
  readonly ttlMs: number;
  readonly consolePorts: readonly PortRange[];
  readonly maxTokensPerVm: number;
  /** Whether the VM is looked at again later: what gave the caller the VM is written down then. */
  readonly recheck: boolean;
  readonly bindClient: boolean;
  /** Accounts that log in for others. */
  readonly serverUsers: ReadonlySet<string>;
}

export interface IssueParts {
  readonly oned: Pick<OnedClient, 'vmInfo' | 'userInfo'>;
  readonly store: Pick<TokenStore, 'create' | 'now'>;
  /** Asked at every call, so that it may change while running. */
  readonly settings: () => IssueSettings;
}

export interface IssuedConsole {
  readonly token: Token;
  readonly grant: Grant;
  readonly graphics: Graphics;
}

export type IssueConsole = (
  session: SessionString,
  vmId: number,
  signal: AbortSignal,
) => Promise<IssuedConsole>;

/** @returns a function that throws GatewayError: oned's refusal or failure, the policy's, or the store's */
export function createIssue({ oned, store, settings }: IssueParts): IssueConsole {
  return async (session, vmId, signal) => {
    const vm = await oned.vmInfo(session, vmId, signal);
    const { ttlMs, consolePorts, maxTokensPerVm, recheck, bindClient, serverUsers } = settings();
    const target = targetOf(vm, consolePorts);
    const caller = recheck ? await callerOf(oned, session, vm, signal) : undefined;
    const issuedAt = store.now();
    const grant: Grant = {
      ...{ vmId, target, user: userOf(session, serverUsers), caller },
      ...{ issuedAt, expiresAt: issuedAt + ttlMs },
    };
    const token = await store.create(issued(grant), {
      maxOfVm: maxTokensPerVm,
      // websockify would let in any address.
      forWebsockify: !bindClient,
    });
    return { token, grant, graphics: vm.graphics };
  };
}

async function callerOf(
  oned: Pick<OnedClient, 'userInfo'>,
  session: SessionString,
  vm: VmFacts,
  signal: AbortSignal,
): Promise<Caller> {
  const user = await oned.userInfo(session, signal);
  return { uid: user.uid, gids: user.gids, byPermission: mayUse(vm, user) };
}
