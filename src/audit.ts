// Who was given which console, opened it, and how it ended: one line an event, for people who have to answer for it.
// What always holds: a token is named by its fingerprint, and nothing in a line is a secret.
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
}

/** Writes one event. */
export type Audit = (event: AuditEvent, fields: AuditFields) => void;

export interface AuditLog {
  readonly audit: Audit;
  /** Opens the file anew, after it was renamed by logrotate. */
  reopen(): void;
  close(): Promise<void>;
}

const INFO_LEVEL = 2;

/**
 * @param file of its own; undefined: into the log
 * @throws StartError naming `audit_file`
 */
export function openAudit(file: string | undefined, log: Logger): AuditLog {
  const own = file === undefined ? undefined : openLog(file, INFO_LEVEL, 'audit_file');
  const logger = own?.logger ?? log;
  return {
    audit: (event, fields) => {
      logger.info({ audit: event, ...fields });
    },
    reopen: () => own?.reopen(),
    close: () => own?.close() ?? Promise.resolve(),
  };
}
