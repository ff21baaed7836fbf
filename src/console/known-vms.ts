// VMs that oned showed lately: witnesses, should it say of others that they do not exist.
// What always holds: there are no more than so many, and none that is known to be gone.

/** VMs that are remembered; any one of them will do. */
const MAX_KNOWN = 256;
/** Of them so many are asked for. */
const MAX_WITNESSES = 3;

export class KnownVms {
  /** The one that was seen last is last. */
  private readonly known = new Set<number>();

  /** oned has just shown it. */
  see(vmId: number): void {
    this.known.delete(vmId);
    if (this.known.size >= MAX_KNOWN) this.known.delete(this.known.values().next().value as number);
    this.known.add(vmId);
  }

  /** They are no witnesses any more. */
  forget(gone: Iterable<number>): void {
    for (const vmId of gone) this.known.delete(vmId);
  }

  /** The ones that were seen last of all but some. */
  witnesses(but: ReadonlySet<number>): readonly number[] {
    return [...this.known]
      .reverse()
      .filter((vmId) => !but.has(vmId))
      .slice(0, MAX_WITNESSES);
  }
}
