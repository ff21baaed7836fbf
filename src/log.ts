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
    maxWrite,
  });
  // A full disk or a closed pipe must not end consoles; pino tries again with the next line.
  destination.on('error', () => {});
  let closed: Promise<void> | undefined;
  const gathered = new Gathered(maxWrite, (lines) => {
    // A destination that is closed throws, and by now nobody would catch it.
    if (closed === undefined) destination.write(lines);
  });
  const logger = pino(
    {
      level: levelName(debugLevel),
      base: null,
      timestamp,
      formatters: { level: (label) => ({ level: label }), log: redacted },
    },
    gathered,
  );
  return {
    logger,
    setLevel: (level) => {
      logger.level = levelName(level);
    },
    reopen: () => {
      gathered.flush();
      if (file !== undefined) destination.reopen();
    },
    close: () => {
      gathered.flush();
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

let lastMs = 0;
let lastTimestamp = '';

/** As `pino.stdTimeFunctions.isoTime`, but made once for all lines of a millisecond. */
function timestamp(): string {
  const now = Date.now();
  if (now !== lastMs) {
    lastMs = now;
    lastTimestamp = `,"time":"${new Date(now).toISOString()}"`;
  }
  return lastTimestamp;
}

/** Not left to pino's destination, which takes the length of all that it has gathered anew for every line. */
class Gathered {
  private readonly maxBytes: number;
  private readonly take: (lines: string) => void;
  private lines = '';
  private bytes = 0;
  private timer: NodeJS.Timeout | undefined;

  /** @param maxBytes that are taken at a time; a line that is longer comes alone */
  constructor(maxBytes: number, take: (lines: string) => void) {
    this.maxBytes = maxBytes;
    this.take = take;
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.bytes + bytes > this.maxBytes) this.flush();
    this.lines += line;
    this.bytes += bytes;
    this.timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { lines } = this;
    this.lines = '';
    this.bytes = 0;
    if (lines !== '') this.take(lines);
  }
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
