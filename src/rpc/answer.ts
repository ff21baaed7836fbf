// One call, from the bytes of its body to the bytes of its reply, with its line in the log and its event in the audit.
// What always holds: every call has exactly one answer and one line, and what a caller was told can be found by its ref.
import type { Audit } from '../audit.js';
import { networkOf } from '../client-address.js';
import type { IssueConsole } from '../console/issue.js';
import { LoginGuard } from '../console/login-guard.js';
import { isRefusedLogin, LoginRetry } from '../console/login-retry.js';
import { Management, type ManagementParts } from '../console/management.js';
import type { Pace } from '../console/pace.js';
import { type GatewayError, toGatewayError } from '../errors.js';
import type { Logger } from '../log.js';
import { userOf } from '../oned/session-string.js';
import { newRef } from '../ref.js';
import type { RefusalLog } from '../refusal-log.js';
import { decodeCall, RpcFault } from './call.js';
import { CallLimit } from './call-limit.js';
import type { ConsoleRequest, MethodSettings } from './method.js';
import { answerRequest, methodNames } from './methods.js';
import { faultReply, refusalReply, successReply } from './reply.js';
import { readRequest } from './request.js';

export interface AnswerSettings extends MethodSettings {
  /** Accounts that log in for others. */
  readonly serverUsers: ReadonlySet<string>;
  /** In a second. */
  readonly maxCallsPerAddress: number;
  /** In five minutes, of one user name from one address. */
  readonly maxFailedLogins: number;
  /** In five minutes. */
  readonly maxFailedLoginsPerAddress: number;
}

/** A session string, an id and a few options have less; a portal whose calls are larger is not alone with that. */
const LARGE_BYTES = 8192;

export interface AnswererParts {
  readonly pace: Pick<Pace, 'pass'>;
  readonly issue: IssueConsole;
  readonly oned: ManagementParts['oned'];
  readonly identities: ManagementParts['identities'];
  readonly rights: ManagementParts['rights'];
  readonly revocation: ManagementParts['revocation'];
  readonly zone: ManagementParts['zone'];
  readonly audit: Audit;
  readonly logger: Logger;
  readonly refusals: RefusalLog;
  /** Addresses that stand for many clients have no limits of their own. */
  readonly isExempt: (client: string) => boolean;
  /** Asked at every call, so that it may change while running. */
  readonly settings: () => AnswerSettings;
  /** Fires when the service stops. */
  readonly stopping: AbortSignal;
}

export interface IncomingCall {
  readonly body: Buffer;
  /** The HTTP header. */
  readonly contentType: string | undefined;
  /** The caller's address. */
  readonly client: string;
  /** Fires when nobody waits for the answer any more. */
  readonly gone: AbortSignal;
}

/** What is known of a call, for the log and the audit. */
interface About {
  readonly ref: string;
  readonly vm: number | undefined;
  readonly uid?: number;
  readonly user: string | undefined;
  readonly client: string;
}

export class Answerer {
  private readonly parts: AnswererParts;
  private readonly calls: CallLimit;
  private readonly guard: LoginGuard;
  private readonly retry = new LoginRetry();
  private readonly management: Management;

  constructor(parts: AnswererParts) {
    const { oned, identities, rights, revocation, zone, isExempt, settings, stopping } = parts;
    this.parts = parts;
    this.calls = new CallLimit(isExempt);
    this.guard = new LoginGuard({
      limits: () => ({
        perUser: settings().maxFailedLogins,
        perAddress: settings().maxFailedLoginsPerAddress,
      }),
      ...{ isExempt, stopping },
    });
    this.management = new Management({ oned, identities, rights, revocation, zone });
  }

  /** @returns XML; never throws */
  async answer({ body, contentType, client, gone }: IncomingCall): Promise<string> {
    const settings = this.parts.settings();
    const startedAt = performance.now();
    const durationMs = () => Math.round(performance.now() - startedAt);
    let asked: ConsoleRequest | undefined;
    let about: About = { ref: newRef(), vm: undefined, user: undefined, client };
    try {
      if (body.length > LARGE_BYTES) await this.parts.pace.pass(['large calls', networkOf(client)], gone);
      const request = readRequest(decodeCall(body, contentType), methodNames);
      asked = request;
      const user = userOf(request.session, settings.serverUsers);
      about = { ...about, vm: request.vmId, user };
      const parts = { issue: this.parts.issue, management: this.management, settings };
      const login = { client, user, session: request.session };
      await this.parts.pace.pass(this.guard.turnOf(login), gone);
      const { value, done, details, fingerprint, caller } = await this.guard.attempt(
        login,
        gone,
        (signal, by) => this.retry.ask(login, signal, () => answerRequest(request, { ...parts, by }, signal)),
      );
      // As oned has him, and no longer as he spelled himself.
      about = { ...about, ...caller };
      this.parts.logger.info({ ...about, ...details, durationMs: durationMs() }, done);
      if (fingerprint !== undefined) this.parts.audit('issued', { ...about, fingerprint });
      return successReply(value);
    } catch (error) {
      if (asked === undefined) await this.paceRefusal(client, gone);
      return this.refuse(error, about, durationMs(), asked);
    }
  }

  /** Before the body of a call is read. @returns what the caller is told instead; undefined: he is let in */
  async admit(client: string, gone: AbortSignal): Promise<string | undefined> {
    try {
      this.calls.admit(client, this.parts.settings().maxCallsPerAddress);
      return undefined;
    } catch (error) {
      await this.paceRefusal(client, gone);
      return this.refuse(error, { ref: newRef(), vm: undefined, user: undefined, client }, 0, undefined);
    }
  }

  /** Whoever asks again as soon as he is refused has what the others leave of the thread. */
  private async paceRefusal(client: string, gone: AbortSignal): Promise<void> {
    await this.parts.pace.pass(['refusals', networkOf(client)], gone).catch(() => {});
  }

  private refuse(
    error: unknown,
    about: About,
    durationMs: number,
    asked: ConsoleRequest | undefined,
  ): string {
    const { refusals, audit } = this.parts;
    const fieldsOf = (fields: object) => ({ ...about, durationMs, ...fields });
    if (error instanceof RpcFault) {
      const fields = fieldsOf({ fault: error.code, reason: error.message });
      refusals.write({ ...about, level: 'info', kind: `fault ${error.code}`, fields });
      return faultReply(error.code, error.message);
    }
    const refused = toGatewayError(error);
    const reason = reasonOf(refused);
    const { ref } = refusals.write({
      ...about,
      level: refused.logLevel,
      kind: refused.code,
      isKnown: WITH_LOGIN.has(refused.code) && !isRefusedLogin(refused),
      fields: fieldsOf({ code: refused.code, reason }),
    });
    // A call of which nobody knows whose it is and what it wanted is nothing to answer for.
    if (asked !== undefined) {
      const event = isRefusedLogin(refused) ? 'login-failed' : 'refused';
      const told = refused.code === 'internal' ? 'internal error' : reason;
      audit(event, { ...about, reason: `${asked.method}: ${told}` });
    }
    return refusalReply(refused.toldAs(ref), refused.oneCode);
  }
}

/** oned took the login, and then something else was in the way. */
const WITH_LOGIN: ReadonlySet<string> = new Set([
  ...['oned-refused', 'wrong-state', 'no-console', 'store-failed', 'store-unavailable', 'too-many-tokens'],
]);

/** oned's words can echo what it was sent; its code says enough. */
function reasonOf(refused: GatewayError): string {
  return refused.code === 'oned-refused' ? `oned's code ${refused.oneCode}` : refused.detail;
}
