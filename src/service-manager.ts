// Tells systemd how it stands, where it asked to be told. Node has no Unix datagram socket, so systemd's own program
// says it (NotifyAccess=all in the unit).
import { execFile } from 'node:child_process';
import type { Logger } from './log.js';

const TIMEOUT_MS = 5_000;

/** @param socket NOTIFY_SOCKET of the environment; undefined or empty: nobody wants to know */
export function notifyServiceManager(
  socket: string | undefined,
  state: 'ready' | 'stopping',
  logger: Logger,
): void {
  if (socket === undefined || socket === '') return;
  const words = state === 'ready' ? ['--ready'] : ['STOPPING=1'];
  const env = { NOTIFY_SOCKET: socket, PATH: '/usr/bin:/bin' };
  execFile('systemd-notify', words, { env, timeout: TIMEOUT_MS }, (error) => {
    if (error) logger.warn({ reason: error.message }, 'systemd-notify failed');
  });
}
