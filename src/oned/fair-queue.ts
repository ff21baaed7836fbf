// Those who wait, as the leaves of a tree: turns go round among its branches, round among the branches of each, and then
// to whoever came first.
// What always holds: a branch in which nobody waits costs no memory; whoever fills his own branch takes nothing from the
// others, neither turns nor room.

/**
 * A way down the tree: who somebody is, from what counts most to what counts least. Of two turns neither is the
 * beginning of the other, unless they are equal.
 */
export type Turn = readonly [string, ...string[]];

interface Branch<T> {
  /** All who wait below it. */
  size: number;
  /** The one whose turn is next is first. */
  readonly branches: Map<string, Branch<T>>;
  /** Those who wait at its end, in the order in which they came. */
  readonly items: Set<T>;
}

type Way<T> = readonly { readonly parent: Branch<T>; readonly key: string; readonly branch: Branch<T> }[];

export class FairQueue<T> {
  private readonly root = newBranch<T>();

  get size(): number {
    return this.root.size;
  }

  add(turn: Turn, item: T): void {
    let branch = this.root;
    branch.size++;
    for (const key of turn) {
      const next = branch.branches.get(key) ?? newBranch<T>();
      branch.branches.set(key, next);
      next.size++;
      branch = next;
    }
    branch.items.add(item);
  }

  /** Does nothing where he does not wait any more. */
  remove(turn: Turn, item: T): void {
    const keys = turn.values();
    this.removeAt(
      this.way(() => keys.next().value),
      item,
    );
  }

  /** @param may whether whoever begins with that key may have a turn now; @returns whose turn it is, taken out */
  take(may: (key: string) => boolean): T | undefined {
    const way = this.way(({ branches }) => {
      if (branches !== this.root.branches) return branches.keys().next().value;
      for (const key of branches.keys()) if (may(key)) return key;
      return undefined;
    });
    const item = way.at(-1)?.branch.items.values().next().value;
    if (item === undefined) return undefined;
    this.removeAt(way, item);
    // The others have their turn first.
    for (const { parent, key, branch } of way) {
      if (parent.branches.delete(key) && branch.size > 0) parent.branches.set(key, branch);
    }
    return item;
  }

  /** @returns who came last in the largest branch of the largest branch, taken out */
  takeFromLargest(): T | undefined {
    const way = this.way(largestOf);
    const item = [...(way.at(-1)?.branch.items ?? [])].at(-1);
    if (item !== undefined) this.removeAt(way, item);
    return item;
  }

  /** Down from the root for as long as there is a key to follow. */
  private way(keyIn: (branch: Branch<T>) => string | undefined): Way<T> {
    const way = [];
    let parent = this.root;
    for (;;) {
      const key = keyIn(parent);
      const branch = key === undefined ? undefined : parent.branches.get(key);
      if (key === undefined || branch === undefined) return way;
      way.push({ parent, key, branch });
      parent = branch;
    }
  }

  private removeAt(way: Way<T>, item: T): void {
    if (way.at(-1)?.branch.items.delete(item) !== true) return;
    this.root.size--;
    for (const { parent, key, branch } of way) if (--branch.size === 0) parent.branches.delete(key);
  }
}

function newBranch<T>(): Branch<T> {
  return { size: 0, branches: new Map(), items: new Set() };
}

/** Of those of the same size the one whose turn comes last. */
function largestOf<T>({ branches }: Branch<T>): string | undefined {
  let largest: string | undefined;
  let size = 0;
  for (const [key, branch] of branches) {
    if (branch.size < size) continue;
    largest = key;
    size = branch.size;
  }
  return largest;
}
