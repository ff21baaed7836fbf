// How many calls an address may make. What always holds: a call over the limit costs no more than reading it, and does
// not count: who calls too often is served as often as the limit says.
import { networkOf } from '../client-address.js';
import { SlidingCounter } from '../console/counters.js';
import { GatewayError } from '../errors.js';

const SECOND_MS = 1000;

export class CallLimit {
  private readonly isExempt: (client: string) => boolean;
  private readonly now: () => number;
  private readonly calls = new SlidingCounter(SECOND_MS);

  /**
   * @param isExempt addresses that stand for many clients
   * @param now milliseconds of a clock that is never set
   */
  constructor(isExempt: (client: string) => boolean, now = () => performance.now()) {
    this.isExempt = isExempt;
    this.now = now;
  }

  /**
   * Counts a call.
   * @param most calls in a second
   * @throws GatewayError `too-many-calls`
   */
  admit(client: string, most: number): void {
    if (this.isExempt(client)) return;
    const key = networkOf(client);
    if (this.calls.count(key, this.now()) >= most) {
      throw new GatewayError('too-many-calls', {
        detail: `max_calls_per_address (${most} a second) is reached`,
      });
    }
    this.calls.add(key, this.now());
  }
}
