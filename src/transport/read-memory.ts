// Memory for reading from targets. It belongs to the process: a session that reads much borrows a large piece and
// gives it back when it falls silent; what a silent one keeps is just enough to notice the next bytes.
// What always holds: a piece has one borrower, so nobody else's bytes come into it while the kernel reads from it.
import { LARGE_READ_BYTES, SMALL_READ_BYTES } from '../high-water.js';

/** Kept free in front of every read, so that a frame header can be written there without a copy. */
export const HEAD_ROOM = 16;

/** Returned pieces that are kept for the next borrower; more are left to the garbage collector. */
const MAX_FREE = 16;

/** A read of so much looks like the middle of a stream; after a smaller one the piece is given back. */
const KEEP_FROM_BYTES = 16 * 1024;

/**
 * Node reads into the piece that it was told at the last read, so a session that falls silent in the middle of a stream
 * keeps a large one. When so many are lent, they are given back after every read that did not fill them.
 */
const MAX_KEPT = 256;

interface Piece {
  readonly memory: Buffer;
  /** The same without its head room: where the kernel writes. */
  readonly room: Buffer;
}

const free: Piece[] = [];
let lent = 0;

export class ReadMemory {
  // Of Node's pool, where several share an ArrayBuffer, which is an object for the garbage collector and takes its room.
  private readonly small = pieceOf(Buffer.allocUnsafe(HEAD_ROOM + SMALL_READ_BYTES));
  private large: Piece | undefined;
  /** A large piece that is no longer read into, but still in use. */
  private leaving: Piece | undefined;

  get memory(): Buffer {
    return (this.large ?? this.small).memory;
  }

  get room(): Buffer {
    return (this.large ?? this.small).room;
  }

  /** For who knows how much comes, because it is there already: up to a large piece of it will fit. */
  makeRoom(bytes: number): void {
    if (bytes > SMALL_READ_BYTES) this.large ??= borrow();
  }

  /**
   * Chooses the piece for the next read by what the last one brought. To be called at the end of every read, before
   * Node asks for `room`: it asks once a read, at once, and reads there even when that is much later.
   * @param bytes how many the last read brought
   * @param inUse whether somebody still reads from them, until settle()
   */
  adapt(bytes: number, inUse: boolean): void {
    if (this.large === undefined) {
      if (bytes === SMALL_READ_BYTES) this.large = borrow();
    } else if (bytes < (lent > MAX_KEPT ? LARGE_READ_BYTES : KEEP_FROM_BYTES)) {
      if (inUse) this.leaving = this.large;
      else giveBack(this.large);
      this.large = undefined;
    }
  }

  /** The last read is not in use any more. */
  settle(): void {
    if (this.leaving !== undefined) giveBack(this.leaving);
    this.leaving = undefined;
  }

  /** Gives back what is borrowed; none of it may be in use. */
  release(): void {
    this.settle();
    if (this.large !== undefined) giveBack(this.large);
    this.large = undefined;
  }

  /** Lets go of what is borrowed and may be in use: the garbage collector knows when it is not. */
  abandon(): void {
    if (this.leaving !== undefined) lent--;
    if (this.large !== undefined) lent--;
    this.leaving = undefined;
    this.large = undefined;
  }
}

function borrow(): Piece {
  lent++;
  return free.pop() ?? pieceOf(Buffer.allocUnsafeSlow(HEAD_ROOM + LARGE_READ_BYTES));
}

function giveBack(piece: Piece): void {
  lent--;
  if (free.length < MAX_FREE) free.push(piece);
}

function pieceOf(memory: Buffer): Piece {
  return { memory, room: memory.subarray(HEAD_ROOM) };
}
