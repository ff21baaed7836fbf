// What a method is: a request that was checked, what it is answered from, and the answer.
// What always holds: a method asks oned as the caller before anything else becomes known or is done.
import type { IssueConsole } from '../console/issue.js';
import type { Management } from '../console/management.js';
import type { IssueOptions } from '../console/vnc-access.js';
import type { Turn } from '../oned/fair-queue.js';
import type { SessionString } from '../oned/session-string.js';
import type { ReplyValue } from './reply.js';

/** What a call asks for: who, which VM, and what to answer with. */
export interface ConsoleRequest {
  readonly method: string;
  readonly session: SessionString;
  readonly vmId: number;
  readonly options: IssueOptions;
}

export interface MethodSettings {
  /** Without a trailing slash. */
  readonly publicUrl: string | undefined;
  /** Whether browsers reach the proxy by TLS. */
  readonly wss: boolean;
}

export interface MethodParts {
  readonly issue: IssueConsole;
  readonly management: Pick<Management, 'revoke' | 'sessions'>;
  readonly settings: MethodSettings;
  /** Whose turns at oned its questions take. */
  readonly by: Turn;
}

export interface Answer {
  readonly value: ReplyValue;
  /** For the log. */
  readonly done: string;
  readonly details: Readonly<Record<string, unknown>>;
  /** Who it was, as oned says. */
  readonly caller: { readonly uid: number; readonly user: string };
  /** Of the token that was issued. */
  readonly fingerprint?: string;
}

/** @throws GatewayError oned's refusal or failure, the policy's, or the store's */
export type Method = (request: ConsoleRequest, parts: MethodParts, signal: AbortSignal) => Promise<Answer>;
