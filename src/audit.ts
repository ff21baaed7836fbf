// Who was given which console, opened it, and how it ended: one line an event, for people who have to answer for it.
// What always holds: a token is named by its fingerprint, and nothing in a line is a secret; the log tells of every
// console that was opened and closed, in the same line where the audit has no file of its own.
import { FloodGate, firstRefusals } from './flood-gate.js';
import { type Logger, openLog } from './log.js';

export type AuditEvent =
  | 'issued'
  | 'refused'
  | 'redeemed'
  | 'taken-over'
  | 'ended'
  | 'revoked'
  | 'login-failed';

export interface AuditFields {
  readonly vm?: number | undefined;
  /** OpenNebula's id; undefined: oned has not said who it is. */
  readonly uid?: number | undefined;
  /** His name, as oned has it where it has said who he is. */
  readonly user?: string | undefined;
  readonly client?: string | undefined;
  readonly fingerprint?: string | undefined;
  readonly ref?: string | undefined;
  readonly reason?: string | undefined;
  /** Who revoked. */
  readonly by?: string | undefined;
  readonly bytesToBrowser?: number | undefined;
  readonly bytesToTarget?: number | undefined;
  readonly seconds?: number | undefined;
  /** Where the console is. */
  readonly target?: { readonly host: string; readonly port: number } | undefined;
  /** The worker that serves it; undefined: there are none. */
  readonly worker?: number | undefined;
  /** Refusals that have no line of their own: how many, and of which event. */
  readonly count?: number | undefined;
  readonly kinds?: Readonly<Record<string, number>> | undefined;
}

/** Writes one event, as a warning where something went wrong that somebody should look at. */
export type Audit = (event: AuditEvent, fields: AuditFields, level?: 'info' | 'warn') => void;

export interface AuditLog {
  readonly audit: Audit;
  /** Opens the file anew, after it was renamed by logrotate. */
  reopen(): void;
  close(): Promise<void>;
}

/** An audit whose refusals are counted where an address has many of them. */
export interface SummedAudit {
  readonly audit: Audit;
  /** Writes what was counted. */
  flush(): void;
}

/** Refusals that strangers can cause; whatever happens to a console or a token is always written. */
const SUMMED: ReadonlySet<AuditEvent> = new Set(['refused', 'login-failed']);

/** @param isMany addresses that stand for many clients */
export function sumRefusals(audit: Audit, isMany: (client: string) => boolean): SummedAudit {
  const gate = new FloodGate(({ client, ref, count, kinds }) =>
    audit('refused', { client, ref, count, kinds }),
  );
  return {
    audit: (event, fields, level) => {
      const { client } = fields;
      if (!SUMMED.has(event) || client === undefined) return audit(event, fields, level);
      // Whoever names a user may have guessed him, but a portal's refusals are all of its users'.
      const first = firstRefusals(isMany(client), event === 'refused' && fields.user !== undefined);
      if (gate.pass(client, event, first) === undefined) audit(event, fields, level);
    },
    flush: () => gate.flush(),
  };
}

const INFO_LEVEL = 2;

/** Events that the log tells in any case, and how. */
const messages: Partial<Record<AuditEvent, string>> = {
  redeemed: 'console opened',
  ended: 'console closed',
};

/**
 * @param file of its own; undefined: into the log
 * @throws StartError naming `audit_file`
 */
export function openAudit(file: string | undefined, log: Logger): AuditLog {
  const own = file === undefined ? undefined : openLog(file, INFO_LEVEL, 'audit_file');
  return {
    audit: (event, fields, level = 'info') => {
      const message = messages[event];
      own?.logger[level]({ audit: event, ...fields });
      if (own === undefined) log[level]({ audit: event, ...fields }, message);
      else if (message !== undefined) log[level](fields, message);
    },
    reopen: () => own?.reopen(),
    close: () => own?.close() ?? Promise.resolve(),
  };
}
