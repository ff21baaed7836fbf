// The text of one token's file in our own folder. What always holds: neither token nor password is in it; what does not
// look exactly as we write it is not believed.
import { z } from 'zod';
import { type Grant, UNKNOWN_UID } from '../grant.js';
import type { TokenRecord } from '../record.js';
import { formerGrantShape, recordShape } from '../record-schema.js';
import { issued } from '../rules.js';
import { type RunId, runIdSchema } from './heartbeat.js';

const FORMAT_VERSION = 2;

const present = z
  .strictObject({ version: z.literal(FORMAT_VERSION), run: runIdSchema, ...recordShape })
  .transform(({ version: _, run, ...record }): StoredState => ({ record, run }));

/** Of the first release: a bare grant, which did not tell whether it had been used. */
const former = z
  .strictObject({ version: z.literal(1), ...formerGrantShape })
  .transform(({ version: _, ...said }): StoredState => {
    const grant: Grant = { ...said, uid: UNKNOWN_UID };
    return { record: issued(grant), run: undefined };
  });

const anyVersion = z.union([present, former]);

export interface StoredState {
  readonly record: TokenRecord;
  /** Who wrote it; undefined: the first release. */
  readonly run: RunId | undefined;
}

export function stateText(record: TokenRecord, run: RunId): string {
  return JSON.stringify({ version: FORMAT_VERSION, run, ...record });
}

/** @returns undefined where it is no record of ours */
export function parseState(text: string): StoredState | undefined {
  try {
    return anyVersion.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
