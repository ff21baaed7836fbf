// What the log says of things in Redis that are not believed.
// What always holds: each kind once a minute at most, for whoever writes one may write many; nothing of them is quoted.
import type { Logger } from '../../log.js';
import type { MacProblem } from './mac.js';

const TELL_EVERY_MS = 60_000;

export type Doubt = MacProblem | 'no record' | 'no message';

const said: Readonly<Record<Doubt, string>> = {
  none: 'Redis has something that was not signed by a host of this version; it counts for nothing',
  'other key':
    'Redis has something that was signed with another key; it counts for nothing: password_key must be the same on all hosts',
  wrong: 'Redis has something that was changed by somebody without our password_key; it counts for nothing',
  'no record': 'what Redis has for a token is no record',
  'no message': 'a message that makes no sense was passed over',
};

export class Distrust {
  private readonly logger: Logger;
  private readonly now: () => number;
  private readonly toldAt = new Map<string, number>();

  /** @param now milliseconds that never go back */
  constructor(logger: Logger, now: () => number = () => performance.now()) {
    this.logger = logger;
    this.now = now;
  }

  /** @param about where it stands: the token's fingerprint, or the channel */
  tell(doubt: Doubt, about: Readonly<Record<string, string>>): void {
    const now = this.now();
    if (now - (this.toldAt.get(doubt) ?? Number.NEGATIVE_INFINITY) < TELL_EVERY_MS) return;
    this.toldAt.set(doubt, now);
    this.logger.warn(about, said[doubt]);
  }
}
