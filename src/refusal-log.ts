// What clients are refused, in the log: a line each, as long as an address has few of them (see flood-gate.ts).
// What always holds: the reference that is told is the one that stands in the log.
import type { GatewayError } from './errors.js';
import { FloodGate, firstRefusals } from './flood-gate.js';
import type { Logger } from './log.js';

export interface Refusal {
  readonly client: string;
  /** To be told where the line is written. */
  readonly ref: string;
  readonly level: GatewayError['logLevel'];
  /** What was wrong, a word: an error's code. */
  readonly kind: string;
  /** oned took the caller's login. */
  readonly isKnown?: boolean;
  readonly fields: object;
}

export class RefusalLog {
  private readonly logger: Logger;
  private readonly message: string;
  private readonly isMany: (client: string) => boolean;
  private readonly gate: FloodGate;

  /**
   * @param message of each line
   * @param isMany addresses that stand for many clients
   */
  constructor(logger: Logger, message: string, isMany: (client: string) => boolean) {
    this.logger = logger;
    this.message = message;
    this.isMany = isMany;
    this.gate = new FloodGate(({ client, ref, count, kinds }) => {
      // A warning: there is somebody who does not stop.
      logger.warn({ ref, client, count, kinds }, `${message}, and more of the same in a minute`);
    });
  }

  /** @returns the reference to tell, and whether it stands in a line of its own */
  write({ client, ref, level, kind, isKnown = false, fields }: Refusal): { ref: string; written: boolean } {
    // What is not written anyway needs no sum.
    if (!this.logger.isLevelEnabled(level)) return { ref, written: true };
    const summed = this.gate.pass(client, kind, firstRefusals(this.isMany(client), isKnown));
    if (summed !== undefined) return { ref: summed, written: false };
    this.logger[level]({ ref, client, ...fields }, this.message);
    return { ref, written: true };
  }

  /** Writes what was counted. */
  flush(): void {
    this.gate.flush();
  }
}
