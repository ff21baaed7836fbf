// Counts of events by key within a sliding time, for limits. What always holds: memory is bounded, and when it is full
// the oldest keys are forgotten first; time is handed in.

/** Keys that are remembered; each costs about 200 bytes. */
const MAX_KEYS = 50_000;
/** Parts of the window that are forgotten one by one: the count is exact to a part of it. */
const SLOTS = 6;

interface Entry {
  slot: number;
  readonly counts: number[];
}

export class SlidingCounter {
  private readonly slotMs: number;
  private readonly maxKeys: number;
  /** The one that was counted longest ago is first. */
  private readonly entries = new Map<string, Entry>();

  constructor(windowMs: number, maxKeys = MAX_KEYS) {
    this.slotMs = windowMs / SLOTS;
    this.maxKeys = maxKeys;
  }

  /** @returns how many there were within the window, this one, or so many, included */
  add(key: string, nowMs: number, amount = 1): number {
    const entry = this.present(key, nowMs) ?? {
      slot: this.slotOf(nowMs),
      counts: Array<number>(SLOTS).fill(0),
    };
    entry.counts[entry.slot % SLOTS] = (entry.counts[entry.slot % SLOTS] ?? 0) + amount;
    this.entries.delete(key);
    if (this.entries.size >= this.maxKeys) this.entries.delete(this.entries.keys().next().value ?? '');
    this.entries.set(key, entry);
    return sum(entry.counts);
  }

  count(key: string, nowMs: number): number {
    return sum(this.present(key, nowMs)?.counts ?? []);
  }

  forget(key: string): void {
    this.entries.delete(key);
  }

  private slotOf(nowMs: number): number {
    return Math.floor(nowMs / this.slotMs);
  }

  /** The entry with what is too old taken away. */
  private present(key: string, nowMs: number): Entry | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    const slot = this.slotOf(nowMs);
    const passed = Math.min(SLOTS, Math.max(0, slot - entry.slot));
    for (let i = 1; i <= passed; i++) entry.counts[(entry.slot + i) % SLOTS] = 0;
    entry.slot = Math.max(entry.slot, slot);
    return entry;
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
