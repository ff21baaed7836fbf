// At most so many at a time, the rest in order, each with a way to stop waiting.
// What always holds: a place is given back exactly once, and one who gave up never gets one.
import { GatewayError } from '../errors.js';

/** Callers who may wait; whoever comes on top would not get a turn within any sensible deadline. */
const MAX_WAITING = 1000;

export class Turnstile {
  private readonly places: () => number;
  private readonly maxWaiting: number;
  private inside = 0;
  private readonly waiting: (() => void)[] = [];

  /** @param places asked at every turn, so that it may change while running */
  constructor(places: () => number, maxWaiting = MAX_WAITING) {
    this.places = places;
    this.maxWaiting = maxWaiting;
  }

  /**
   * Runs `work` when there is a place.
   * @throws GatewayError `over-limit` where too many wait; the signal's reason when it fires first
   */
  async pass<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.enter(signal);
    try {
      return await work();
    } finally {
      this.inside--;
      this.admit();
    }
  }

  private enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.inside < this.places() && this.waiting.length === 0) {
      this.inside++;
      return Promise.resolve();
    }
    if (this.waiting.length >= this.maxWaiting) {
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
        this.waiting.splice(this.waiting.indexOf(turn), 1);
        reject(signal.reason);
      };
      this.waiting.push(turn);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  private admit(): void {
    while (this.inside < this.places()) {
      const turn = this.waiting.shift();
      if (turn === undefined) return;
      this.inside++;
      turn();
    }
  }
}
