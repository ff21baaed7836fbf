// Tells systemd how it stands, where it asked to be told. Node has no Unix datagram socket, so systemd's own program
// says it (NotifyAccess=all in the unit).
import { execFile } from 'node:child_process';
import type { Logger } from './log.js';

const TIMEOUT_MS = 5_000;

/**
 * Up to version 245, systemd loses a message whose sender has ended before it is looked up, and systemd-notify
 * ends at once. Saying it again does no harm, and not saying it would let the start time out.
 */
const READY_AGAIN_MS = [1_000, 3_000];

/** @param socket NOTIFY_SOCKET of the environment; undefined or empty: nobody wants to know */
export function notifyServiceManager(
  socket: string | undefined,
  state: 'ready' | 'stopping',
  logger: Logger,
): void {
  if (socket === undefined || socket === '') return;
  const env = { NOTIFY_SOCKET: socket, PATH: '/usr/bin:/bin' };
  const say = (...words: string[]) =>
    execFile('systemd-notify', words, { env, timeout: TIMEOUT_MS }, (error) => {
      if (error) logger.warn({ reason: error.message }, 'systemd-notify failed');
    });
  if (state === 'stopping') {
    say('STOPPING=1');
    return;
  }
  say('--ready');
  for (const delay of READY_AGAIN_MS) setTimeout(() => say('--ready'), delay).unref();
}
