// The log: one JSON object a line, written by pino to stdout or to a file that can be opened anew.
// What always holds: fields are chosen by name at the call; a session string, token or password has none.
import { closeSync, openSync } from 'node:fs';
import pino from 'pino';
import { causeOf, StartError } from './errors.js';

export type Logger = pino.Logger;

/** For what is only looked at and never runs. */
export const silent: Logger = pino({ enabled: false });

/** `debug_level` 0 to 3 as OpenNebula counts it, in pino's names. */
const LEVELS = ['error', 'warn', 'info', 'debug'] as const;

/** Lines kept while the disk or the reader of stdout does not take them; what comes on top is dropped. */
const MAX_PENDING_BYTES = 1024 * 1024;

/** Several processes write to one pipe: up to this, the kernel does not mix their lines (PIPE_BUF, pipe(7)). */
const MAX_PIPE_WRITE_BYTES = 4096;
/** What is added to a file is never mixed. */
const MAX_FILE_WRITE_BYTES = 64 * 1024;

/** Lines are written together: a write of its own for each costs more than all else that a short session does. */
const GATHER_MS = 50;

const CLOSE_TIMEOUT_MS = 1000;

/** A second fence: should one of these ever be logged by mistake, its value is not written. */
const SECRET_FIELDS: ReadonlySet<string> = new Set(['session', 'token', 'password', 'passwd', 'url']);

export interface Log {
  readonly logger: Logger;
  setLevel(debugLevel: number): void;
  /** Opens the file anew, after it was renamed by logrotate; nothing pending is lost. */
  reopen(): void;
  /** Writes out what is pending; for the end of the process. Waits for a slow reader at most a second. */
  close(): Promise<void>;
}

/**
 * Opens the log.
 * @param file path, or undefined for stdout
 * @param setting that names the file
 * @throws StartError naming the setting
 */
export function openLog(file: string | undefined, debugLevel: number, setting = 'log_file'): Log {
  if (file !== undefined) {
    try {
      closeSync(openSync(file, 'a', 0o640));
    } catch (error) {
      throw new StartError(`${setting}: cannot write ${file}: ${causeOf(error)}`);
    }
  }
  const maxWrite = file === undefined ? MAX_PIPE_WRITE_BYTES : MAX_FILE_WRITE_BYTES;
  const destination = pino.destination({
    dest: file ?? 1,
    append: true,
    mode: 0o640,
    sync: false,
    maxLength: MAX_PENDING_BYTES,
    minLength: maxWrite - 1,
    maxWrite,
  });
  // A full disk or a closed pipe must not end consoles; pino tries again with the next line.
  destination.on('error', () => {});
  let closed: Promise<void> | undefined;
  let flushing: NodeJS.Timeout | undefined;
  const gathering = {
    write: (line: string) => {
      destination.write(line);
      flushing ??= setTimeout(() => {
        flushing = undefined;
        destination.flush();
      }, GATHER_MS);
    },
  };
  const logger = pino(
    {
      level: levelName(debugLevel),
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: redacted },
    },
    gathering,
  );
  return {
    logger,
    setLevel: (level) => {
      logger.level = levelName(level);
    },
    reopen: () => {
      if (file !== undefined) destination.reopen();
    },
    close: () => {
      clearTimeout(flushing);
      closed ??= new Promise((resolve) => {
        const giveUp = setTimeout(() => {
          // On a full disk pino would try for ever to write what is left, as the process exits.
          destination.destroy();
          resolve();
        }, CLOSE_TIMEOUT_MS);
        destination.once('close', () => {
          clearTimeout(giveUp);
          resolve();
        });
        destination.end();
      });
      return closed;
    },
  };
}

function levelName(debugLevel: number): string {
  return LEVELS[debugLevel] ?? 'info';
}

/** Not pino's own redaction, which costs more than all the rest of a line. */
function redacted(fields: Record<string, unknown>): Record<string, unknown> {
  let clean = fields;
  for (const name in fields) {
    const value = fields[name];
    const replaced = SECRET_FIELDS.has(name)
      ? '[secret]'
      : value !== null && typeof value === 'object' && !Array.isArray(value)
        ? redacted(value as Record<string, unknown>)
        : value;
    if (replaced === value) continue;
    if (clean === fields) clean = { ...fields };
    clean[name] = replaced;
  }
  return clean;
}
