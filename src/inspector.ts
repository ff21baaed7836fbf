// Node opens its inspector on SIGUSR1, and whoever reaches it has every secret of the process and may run what he likes
// in it. What always holds: once this has run the signal means nothing, and an inspector that was opened by a signal
// before is closed; only `--inspect` in the command line that starts the process opens one.
import { setImmediate as turn } from 'node:timers/promises';

const ASKED_FOR = /^--inspect(-brk|-wait)?(=|$)/;

/** A listener takes the place of Node's own handler. Of all signals it is the one that must never end a process either. */
export function ignoreInspectorSignal(): void {
  process.on('SIGUSR1', () => {});
}

/**
 * Closes what a signal opened before anybody listened to it: Node starts an inspector at its leisure, so this is to be
 * called at several steps of a start.
 */
export async function closeInspector(): Promise<void> {
  if (process.execArgv.some((option) => ASKED_FOR.test(option))) return;
  // Where a signal is pending, Node acts on it in a turn of the event loop.
  await turn();
  // A Node that was built without an inspector has no such module.
  const inspector = await import('node:inspector').catch(() => undefined);
  if (inspector?.url() !== undefined) inspector.close();
}
