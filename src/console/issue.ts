// Issue: from a caller's session string and a VM id to a token. Policy only; oned and the store do the I/O.
// What always holds: oned was asked as the caller before anything is stored.
import type { PortRange } from '../config/types.js';
import type { OnedClient } from '../oned/client.js';
import { type SessionString, userOf } from '../oned/session-string.js';
import type { Graphics } from '../oned/vm.js';
import type { Grant } from '../tokens/grant.js';
import type { TokenStore } from '../tokens/store.js';
import { newToken, type Token } from '../tokens/token.js';
import { targetOf } from './policy.js';

export interface IssueSettings {
  readonly ttlMs: number;
  readonly consolePorts: readonly PortRange[];
}

export interface IssueParts {
  readonly oned: Pick<OnedClient, 'vmInfo'>;
  readonly store: Pick<TokenStore, 'put'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
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
export function createIssue({ oned, store, now, settings }: IssueParts): IssueConsole {
  return async (session, vmId, signal) => {
    const vm = await oned.vmInfo(session, vmId, signal);
    const { ttlMs, consolePorts } = settings();
    const target = targetOf(vm, consolePorts);
    const issuedAt = now();
    const grant: Grant = { vmId, target, user: userOf(session), issuedAt, expiresAt: issuedAt + ttlMs };
    const token = newToken();
    await store.put(token, grant);
    return { token, grant, graphics: vm.graphics };
  };
}
