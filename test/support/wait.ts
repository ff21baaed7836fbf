// Waiting for a condition with a deadline: the only way in which a test waits.
// A condition that never holds is an error which says what was missing and what went wrong last.
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export interface Wait {
  /** What is waited for, for the error: "the token file". */
  what: string;
  deadlineMs?: number;
}

const pollMs = 15;

/** Polls until `condition` gives something truthy and returns that. An exception means "not yet". */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, deadlineMs = 10_000 }: Wait,
): Promise<NonNullable<T>> {
  const end = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= end) {
      const reason = last instanceof Error ? ` (last: ${last.message})` : '';
      throw new Error(`waited ${deadlineMs} ms in vain for ${what}${reason}`);
    }
    await pause(pollMs);
  }
}

/** `promise`, or an error that says what did not come within the deadline. */
export async function within<T>(promise: Promise<T>, { what, deadlineMs = 10_000 }: Wait): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${deadlineMs} ms in vain for ${what}`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether something accepts TCP connections there now. */
export function canConnect(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
