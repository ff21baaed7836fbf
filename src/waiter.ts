// Somebody who waits for a turn in a queue. What always holds: he is let go or refused, once, and then listens to his
// signal no longer; who gives up has left the queue before he is told so.

export interface Waiter {
  go(): void;
  refuse(reason: unknown): void;
}

export interface Wait<W extends Waiter> {
  /** Fires when he does not wait any longer. */
  readonly signal: AbortSignal | undefined;
  /** Puts him where he waits. */
  readonly enter: (waiter: W) => void;
  /** Takes him out again, since his signal fired; @returns what he is told */
  readonly leave: (waiter: W) => unknown;
  /** He waits no more, whatever became of it. */
  readonly settled?: () => void;
}

/**
 * @param about what the queue has to know of him
 * @throws what he is refused with
 */
export function waitForTurn<About extends object>(
  about: About,
  { signal, enter, leave, settled }: Wait<About & Waiter>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      signal?.removeEventListener('abort', giveUp);
      settled?.();
    };
    const waiter: About & Waiter = {
      ...about,
      go: () => {
        stop();
        resolve();
      },
      refuse: (reason) => {
        stop();
        reject(reason);
      },
    };
    const giveUp = () => waiter.refuse(leave(waiter));
    signal?.addEventListener('abort', giveUp, { once: true });
    enter(waiter);
  });
}
