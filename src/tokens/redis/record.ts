// A record as text. What always holds: what is read back was written by a host of ours for this very key, and has the
// shape of a record, or is none; who else may write to Redis is not for us to know.
import { z } from 'zod';
import type { TokenRecord } from '../record.js';
import { recordShape } from '../record-schema.js';
import type { MacProblem, RedisMac } from './mac.js';

/** Of a record as text, a full house of sessions included. */
export const MAX_RECORD_BYTES = 131_072;

/** Of a new one: the sessions that come have to find room. */
export const MAX_NEW_RECORD_BYTES = MAX_RECORD_BYTES / 2;

/** 1 had no MAC. */
const FORMAT_VERSION = 2;

const stored = z.strictObject({ version: z.literal(FORMAT_VERSION), ...recordShape });

export function recordText(mac: RedisMac, key: string, record: TokenRecord): string {
  return mac.sign('record', key, JSON.stringify({ version: FORMAT_VERSION, ...record }));
}

/** @returns why it is not believed where the text is no record */
export function parseRecord(
  mac: RedisMac,
  key: string,
  text: string,
): TokenRecord | MacProblem | 'no record' {
  if (Buffer.byteLength(text) > MAX_RECORD_BYTES) return 'no record';
  const opened = mac.open('record', key, text);
  if (typeof opened === 'string') return opened;
  try {
    const { version: _, ...record } = stored.parse(JSON.parse(opened.json));
    return record;
  } catch {
    return 'no record';
  }
}
