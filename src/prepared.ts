// A reload in two steps: every part reads and makes ready what new settings name, and only when all of them could, all
// take it. What always holds: where one part refuses, nothing is in force, and what others had made ready is ended.

/** What one part made ready. Neither step can fail: whatever can go wrong has been tried before. */
export interface Prepared {
  /** Puts it in force, before it returns or, where other processes have to be told, when it settles. */
  take(): void | Promise<void>;
  /** Instead: another part refused. */
  discard?(): void | Promise<void>;
}

/** @throws StartError naming the setting; then nothing of this part has changed, and nothing is left of the attempt */
export type Prepare = () => Prepared | Promise<Prepared>;

/**
 * One part out of several, prepared in their order; each looks only at what is in force, not at what others prepared.
 * @throws what the first part that refuses throws
 */
export async function prepareAll(parts: readonly Prepare[]): Promise<Prepared> {
  const prepared: Prepared[] = [];
  const discard = async () => {
    for (const part of prepared.toReversed()) await part.discard?.();
  };
  try {
    for (const prepare of parts) prepared.push(await prepare());
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    // All at once, as far as this process goes: no call sees some of it.
    take: async () => {
      await Promise.all(prepared.map((part) => part.take()));
    },
    discard,
  };
}
