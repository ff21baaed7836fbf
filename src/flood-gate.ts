// What anybody can have written as often as he likes is written a few times, and then counted: one sum an address (IPv6:
// a /64) and minute. What always holds: nothing is lost uncounted, a reference that is told stands in what is written,
// and neither memory nor what is written in a minute grows with the number of addresses.
import { networkOf } from './client-address.js';
import { newRef } from './ref.js';

const MINUTE_MS = 60_000;
/** Addresses with a count of their own. */
const MAX_NETWORKS = 256;
/** Of all addresses together, in a minute, beside the sums. */
const MAX_WRITTEN = 500;
const MAX_KINDS = 16;
/** Whose address has no count of its own. */
const OTHERS = 'others';

/** What was counted and not written. */
export interface Sum {
  /** An address, a /64, or `others`. */
  readonly client: string;
  /** The one that was told for each of them. */
  readonly ref: string;
  readonly count: number;
  /** How often which. */
  readonly kinds: Readonly<Record<string, number>>;
}

interface Counted {
  written: number;
  count: number;
  readonly ref: string;
  readonly kinds: Map<string, number>;
}

export class FloodGate {
  private readonly write: (sum: Sum) => void;
  private readonly networks = new Map<string, Counted>();
  private written = 0;
  private timer: NodeJS.Timeout | undefined;

  /** @param write takes the sums, at the end of each minute */
  constructor(write: (sum: Sum) => void) {
    this.write = write;
  }

  /**
   * @param first how many of this address may be written in a minute; Infinity: whatever it is, it is to be written
   * @returns undefined: it is to be written; else it was counted, and the reference under which it will be found
   */
  pass(client: string, kind: string, first: number): string | undefined {
    if (first === Number.POSITIVE_INFINITY) return undefined;
    this.timer ??= setTimeout(() => this.flush(), MINUTE_MS).unref();
    const network = networkOf(client);
    const name = this.networks.has(network) || this.networks.size < MAX_NETWORKS ? network : OTHERS;
    const counted = this.networks.get(name) ?? { written: 0, count: 0, ref: newRef(), kinds: new Map() };
    this.networks.set(name, counted);
    if (counted.written < first && this.written < MAX_WRITTEN) {
      counted.written++;
      this.written++;
      return undefined;
    }
    const counting = counted.kinds.has(kind) || counted.kinds.size < MAX_KINDS ? kind : OTHERS;
    counted.count++;
    counted.kinds.set(counting, (counted.kinds.get(counting) ?? 0) + 1);
    return counted.ref;
  }

  /** Writes the sums now; at the end of a process too. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const sums = [...this.networks];
    this.networks.clear();
    this.written = 0;
    for (const [client, { ref, count, kinds }] of sums) {
      if (count > 0) this.write({ client, ref, count, kinds: Object.fromEntries(kinds) });
    }
  }
}

/** Of an address, in a minute. */
const FROM_STRANGERS = 10;
/** Of one that is known to stand for many, or of somebody whom oned knows. */
const FROM_MANY = 100;

/**
 * How many refusals of an address are written.
 * @param isMany the address stands for many clients
 * @param isKnown oned took the caller's login
 */
export function firstRefusals(isMany: boolean, isKnown: boolean): number {
  if (isMany && isKnown) return Number.POSITIVE_INFINITY;
  return isMany || isKnown ? FROM_MANY : FROM_STRANGERS;
}
