// How many connections of an address may be open at a time, where several processes have them: each process has some
// places of its own for every address, and borrows more from those of the host when an address needs them.
// What always holds: every place that was taken is given back exactly once; an address without connections costs no
// memory; the host's places are never exceeded, and who has to wait for the answer about one is not served meanwhile.
import { networkOf } from './client-address.js';

/** Where a process borrows places of the host. */
export interface PlacePool {
  /** Places for an address that need not be borrowed. */
  readonly own: number;
  /** @returns how many of them it got; 0 also where nobody answers */
  borrow(network: string, places: number): Promise<number>;
  giveBack(network: string, places: number): void;
}

/** Gives the place back; further calls do nothing. */
export type LeavePlace = () => void;

/** Borrowed at a time. */
const PIECE = 8;
/** Connections of an address that wait for an answer of the host; more are refused at once. */
const MAX_WAITING = 64;

interface Places {
  taken: number;
  borrowed: number;
  asking: boolean;
  readonly waiting: ((leave: LeavePlace | undefined) => void)[];
}

export class AddressPlaces {
  private readonly own: number;
  private readonly pool: PlacePool | undefined;
  private readonly networks = new Map<string, Places>();

  /** @param places so many for each address (IPv6: each /64), or where to borrow them */
  constructor(places: number | PlacePool) {
    this.pool = typeof places === 'number' ? undefined : places;
    this.own = typeof places === 'number' ? places : places.own;
  }

  /** @returns undefined where there is no place; a promise where the host has to be asked */
  enter(address: string): LeavePlace | undefined | Promise<LeavePlace | undefined> {
    const network = networkOf(address);
    const places = this.networks.get(network) ?? { taken: 0, borrowed: 0, asking: false, waiting: [] };
    if (this.isFree(places)) {
      this.networks.set(network, places);
      return this.take(network, places);
    }
    const { pool } = this;
    if (pool === undefined || places.waiting.length >= MAX_WAITING) return undefined;
    this.networks.set(network, places);
    return new Promise((resolve) => {
      places.waiting.push(resolve);
      if (!places.asking) void this.ask(pool, network, places);
    });
  }

  private isFree({ taken, borrowed }: Places): boolean {
    return taken < this.own + borrowed;
  }

  private take(network: string, places: Places): LeavePlace {
    places.taken++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      places.taken--;
      this.tidy(network, places);
    };
  }

  private async ask(pool: PlacePool, network: string, places: Places): Promise<void> {
    places.asking = true;
    while (places.waiting.length > 0) {
      const got = await pool.borrow(network, PIECE);
      places.borrowed += got;
      while (places.waiting.length > 0 && this.isFree(places)) {
        places.waiting.shift()?.(this.take(network, places));
      }
      if (got === 0) for (const refuse of places.waiting.splice(0)) refuse(undefined);
    }
    places.asking = false;
    this.tidy(network, places);
  }

  /** What is borrowed and not needed goes back, but for a piece: the next connection is likely. */
  private tidy(network: string, places: Places): void {
    const { taken, borrowed, asking } = places;
    if (asking) return;
    const needed = taken === 0 ? 0 : Math.max(0, taken - this.own) + PIECE;
    if (borrowed > needed && (taken === 0 || borrowed - needed >= PIECE)) {
      places.borrowed = needed;
      this.pool?.giveBack(network, borrowed - needed);
    }
    if (taken === 0) this.networks.delete(network);
  }
}

/** The host's side: what is left for each address, and who has borrowed what. */
export class HostPlaces<Borrower extends object> {
  private readonly max: number;
  private readonly networks = new Map<string, { lent: number; borrowers: Map<Borrower, number> }>();

  constructor(max: number) {
    this.max = max;
  }

  /** @returns how many of the places it gets, perhaps none */
  borrow(borrower: Borrower, network: string, places: number): number {
    const known = this.networks.get(network) ?? { lent: 0, borrowers: new Map<Borrower, number>() };
    const got = Math.max(0, Math.min(places, this.max - known.lent));
    if (got === 0) return 0;
    known.lent += got;
    known.borrowers.set(borrower, (known.borrowers.get(borrower) ?? 0) + got);
    this.networks.set(network, known);
    return got;
  }

  giveBack(borrower: Borrower, network: string, places: number): void {
    const known = this.networks.get(network);
    const held = known?.borrowers.get(borrower) ?? 0;
    const back = Math.min(held, places);
    if (known === undefined || back <= 0) return;
    known.lent -= back;
    if (held > back) known.borrowers.set(borrower, held - back);
    else known.borrowers.delete(borrower);
    if (known.lent === 0) this.networks.delete(network);
  }

  /** It is gone, and its connections with it. */
  forget(borrower: Borrower): void {
    for (const [network, { borrowers }] of [...this.networks]) {
      this.giveBack(borrower, network, borrowers.get(borrower) ?? 0);
    }
  }
}

/**
 * How the places of an address are shared among processes: some are each one's own, so that few have to ask.
 * @param generations of workers that may be there at a time; together their own places are at most half of all
 */
export function sharePlaces(
  places: number,
  workers: number,
  generations: number,
): { own: number; common: number } {
  const own = Math.min(PIECE, Math.floor(places / 2 / (workers * generations)));
  return { own, common: places - own * workers * generations };
}
