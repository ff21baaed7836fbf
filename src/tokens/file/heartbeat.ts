// The last signs of life of this process and of some former ones, in one small file: leases are not written at every
// renewal, so after a crash this tells how long the sessions of a process can have been there.
// What always holds: a process speaks for the leases that it wrote itself, and for no others.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { readSmallFile, type StateFolder } from './state-folder.js';

const FILE_NAME = 'heartbeat';
const FORMAT_VERSION = 1;
const MAX_FILE_BYTES = 4096;
/** A service that crashes again and again must not forget the first crash too soon, nor remember all of them. */
const MAX_RUNS = 16;

/** Names one run of the process. */
export type RunId = string & { readonly brand: 'RunId' };

export const runIdSchema = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .transform((text) => text as RunId);

const fileSchema = z.strictObject({
  version: z.literal(FORMAT_VERSION),
  runs: z.array(z.strictObject({ run: runIdSchema, at: z.number().min(0).max(8.64e15) })).max(MAX_RUNS),
});

export class Heartbeat {
  readonly run = randomBytes(8).toString('hex') as RunId;
  private readonly folder: StateFolder;
  private former: readonly { run: RunId; at: number }[] = [];

  constructor(folder: StateFolder) {
    this.folder = folder;
  }

  private get path(): string {
    return join(this.folder.path, FILE_NAME);
  }

  /** When former processes were last alive, milliseconds since 1970. @throws StartError where it cannot be read */
  async load(): Promise<ReadonlyMap<RunId, number>> {
    const text = await readSmallFile(this.path, MAX_FILE_BYTES);
    this.former = parse(text).slice(0, MAX_RUNS - 1);
    return new Map(this.former.map(({ run, at }) => [run, at]));
  }

  /** @throws what the system says */
  async beat(at: number): Promise<void> {
    const runs = [{ run: this.run, at }, ...this.former];
    await this.folder.write(this.path, JSON.stringify({ version: FORMAT_VERSION, runs }));
  }
}

function parse(text: string | undefined): readonly { run: RunId; at: number }[] {
  try {
    return fileSchema.parse(JSON.parse(text ?? '')).runs;
  } catch {
    // Without it the leases count as they were written, which is shorter.
    return [];
  }
}
