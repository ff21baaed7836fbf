// When a lost console is opened again without being asked.
// Only a loss that nobody wished for starts a series; a refusal of any kind ends it at once.
import type { Ending } from './endings.js';

/** Seconds before each try; within them a token's grace for reconnecting has not run out. */
export const retryDelaysSeconds: readonly number[] = [1, 2, 4, 8, 15];

// A console that dies at once after each try must not be tried for ever.
const stableMs = 30_000;

/** One wait before one try. */
export interface Retry {
  readonly delaySeconds: number;
  readonly attempt: number;
  readonly attempts: number;
}

function isLoss(ending: Ending, inSeries: boolean): boolean {
  if (ending.kind === 'timeout') return inSeries;
  if (ending.kind !== 'closed') return false;
  return ending.code === 1001 || (ending.code === 1006 && (ending.wasConnected || inSeries));
}

/** Counts the tries of one series. */
export class RetryPlan {
  #attempt = 0;

  /** What to do after an ending; undefined where the person decides. `connectedMs` is how long it had worked. */
  after(ending: Ending, connectedMs: number): Retry | undefined {
    if (connectedMs >= stableMs) this.#attempt = 0;
    const delaySeconds = retryDelaysSeconds[this.#attempt];
    if (delaySeconds === undefined || !isLoss(ending, this.#attempt > 0)) {
      this.#attempt = 0;
      return undefined;
    }
    this.#attempt += 1;
    return { delaySeconds, attempt: this.#attempt, attempts: retryDelaysSeconds.length };
  }

  /** Ends the series: the person took over. */
  reset(): void {
    this.#attempt = 0;
  }
}
