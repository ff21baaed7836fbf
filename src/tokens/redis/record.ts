// A record as text. What always holds: what is read back has the very shape of a record, or is none; who else may
// write to Redis is not for us to know.
import { z } from 'zod';
import type { TokenRecord } from '../record.js';
import { recordShape } from '../record-schema.js';

/** Of a record as text, a full house of sessions included. */
export const MAX_RECORD_BYTES = 131_072;

/** Of a new one: the sessions that come have to find room. */
export const MAX_NEW_RECORD_BYTES = MAX_RECORD_BYTES / 2;

const FORMAT_VERSION = 1;

const stored = z.strictObject({ version: z.literal(FORMAT_VERSION), ...recordShape });

export function recordText(record: TokenRecord): string {
  return JSON.stringify({ version: FORMAT_VERSION, ...record });
}

/** @returns undefined where the text is no record */
export function parseRecord(text: string): TokenRecord | undefined {
  if (Buffer.byteLength(text) > MAX_RECORD_BYTES) return undefined;
  try {
    const { version: _, ...record } = stored.parse(JSON.parse(text));
    return record;
  } catch {
    return undefined;
  }
}
