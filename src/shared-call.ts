// One question at a time for many who ask the same. What always holds: nobody gets an answer that was asked for before he
// came; whoever comes while somebody is waiting for one shares the next.
export class SharedCall<T> {
  private present: Promise<T> | undefined;
  private next: Promise<T> | undefined;

  /** @param call made now, or when the present one is over; of several who share one the first one's counts */
  ask(call: () => Promise<T>): Promise<T> {
    if (this.present === undefined) return this.begin(call);
    this.next ??= this.present
      .catch(() => undefined)
      .then(() => {
        this.next = undefined;
        return this.begin(call);
      });
    return this.next;
  }

  private begin(call: () => Promise<T>): Promise<T> {
    const present = call().finally(() => {
      if (this.present === present) this.present = undefined;
    });
    this.present = present;
    return present;
  }
}
