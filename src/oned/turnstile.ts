// At most so many at a time, the rest in order, each with a way to stop waiting; background work after all others.
// What always holds: a place is given back exactly once, and one who gave up never gets one.
import { GatewayError } from '../errors.js';

/** Callers who may wait; whoever comes on top would not get a turn within any sensible deadline. */
const MAX_WAITING = 1000;

export interface Priority {
  /** Nobody waits for the answer: behind all who do, and never in the last free place. */
  readonly background?: boolean;
}

interface Lane {
  /** How many may be inside, those of the other lane included, for one of this lane to come in. */
  readonly places: () => number;
  readonly waiting: (() => void)[];
}

export class Turnstile {
  private readonly maxWaiting: number;
  private inside = 0;
  private readonly callers: Lane;
  /** Has a queue of its own, so that it cannot take callers' places in theirs. */
  private readonly background: Lane;

  /** @param places asked at every turn, so that it may change while running */
  constructor(places: () => number, maxWaiting = MAX_WAITING) {
    this.maxWaiting = maxWaiting;
    this.callers = { places, waiting: [] };
    // Of one place, there is none to keep free: then it has it while nobody else wants it.
    this.background = { places: () => Math.max(1, places() - 1), waiting: [] };
  }

  /**
   * Runs `work` when there is a place.
   * @throws GatewayError `over-limit` where too many wait; the signal's reason when it fires first
   */
  async pass<T>(
    signal: AbortSignal,
    work: () => Promise<T>,
    { background = false }: Priority = {},
  ): Promise<T> {
    await this.enter(background ? this.background : this.callers, signal);
    try {
      return await work();
    } finally {
      this.inside--;
      this.admit();
    }
  }

  private enter(lane: Lane, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { waiting } = lane;
    const isFirst = waiting.length === 0 && (lane === this.callers || this.callers.waiting.length === 0);
    if (isFirst && this.inside < lane.places()) {
      this.inside++;
      return Promise.resolve();
    }
    if (waiting.length >= this.maxWaiting) {
      return Promise.reject(
        new GatewayError('over-limit', { detail: `more than ${this.maxWaiting} calls wait for oned` }),
      );
    }
    return new Promise((resolve, reject) => {
      const turn = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = () => {
        waiting.splice(waiting.indexOf(turn), 1);
        reject(signal.reason);
        // He may have been all that stood before background work.
        this.admit();
      };
      waiting.push(turn);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  private admit(): void {
    this.admitFrom(this.callers);
    // Where a caller still waits there is no place, and so none for background work, which needs more room.
    this.admitFrom(this.background);
  }

  private admitFrom({ places, waiting }: Lane): void {
    while (this.inside < places()) {
      const turn = waiting.shift();
      if (turn === undefined) return;
      this.inside++;
      turn();
    }
  }
}
