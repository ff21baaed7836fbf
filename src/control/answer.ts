// From a request to the lines that answer it. What always holds: times and bytes are facts for programs; what people
// see of them is the client's matter.
import type { Revocation, SessionView, TokenView } from '../console/revoke.js';
import type { Logger } from '../log.js';
import type { ControlAnswer, ControlRequest, SessionRow, TokenRow } from './messages.js';

export interface AnswerParts {
  readonly revocation: Revocation;
  readonly logger: Logger;
  readonly note?: string | undefined;
}

/** Tokens that are looked at, with those that ended and are remembered; the stores of one host keep no more. */
const MAX_TOKENS = 400_000;

/** In the audit: a Unix socket does not tell Node who is at its other end, but only one user can be. */
const BY = 'administrator';

/** @throws GatewayError `store-unavailable`, `over-limit` */
export async function answerRequest(
  request: ControlRequest,
  { revocation, logger, note }: AnswerParts,
): Promise<Iterable<ControlAnswer>> {
  if (request.command === 'sessions') {
    const sessions = await revocation.allSessions(MAX_TOKENS);
    return rowsAndEnd(sessions, (view) => ({ session: sessionRow(view) }));
  }
  if (request.command === 'tokens') {
    const tokens = await revocation.tokens(MAX_TOKENS);
    return rowsAndEnd(tokens, (view) => ({ token: tokenRow(view) }));
  }
  const { fingerprint, vm, user, all } = request.selection;
  const revoked =
    vm !== undefined && fingerprint === undefined
      ? await revocation.revokeVm(vm, { user }, BY)
      : await revocation.revokeSelected({ fingerprint, vmId: vm, user }, MAX_TOKENS, BY);
  logger.info({ fingerprint, vm, user, all, revoked }, 'revoked through the control socket');
  return [{ revoked, note }, { end: true }];
}

function* rowsAndEnd<T>(views: readonly T[], rowOf: (view: T) => ControlAnswer): Iterable<ControlAnswer> {
  for (const view of views) yield rowOf(view);
  yield { end: true, more: views.length >= MAX_TOKENS };
}

function sessionRow({ fingerprint, vmId: vm, user, client, since, bytes }: SessionView): SessionRow {
  return { fingerprint, vm, user, client, since: timeText(since), bytes };
}

function tokenRow(view: TokenView): TokenRow {
  return {
    fingerprint: view.fingerprint,
    vm: view.vmId,
    user: view.user,
    issued: timeText(view.issuedAt),
    expires: timeText(view.expiresAt),
    firstUsed: view.firstUsedAt === undefined ? null : timeText(view.firstUsedAt),
    sessions: view.sessions,
  };
}

/** To the second. A time that is none, from a file or from Redis, does not spoil the other rows. */
function timeText(ms: number): string {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? '' : time.toISOString().replace(/\.\d+Z$/, 'Z');
}
