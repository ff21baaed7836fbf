// The steps that Redis does in one go, as commands, and what it answers.
// What always holds: each step touches one key, so that it works in a cluster, and tells the server's time; the rules
// about tokens are not in here.
import { z } from 'zod';
import { RedisUnreachable } from './connection.js';
import { MAX_RECORD_BYTES } from './record.js';

/** Milliseconds since 1970; the last argument moves it, for tests that do not wait. */
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[#ARGV]`;

/** One byte more than there may be, so that too much can be told; nothing: an empty text. */
const PRESENT = `redis.call('GETRANGE', KEYS[1], 0, ${MAX_RECORD_BYTES})`;

const READ = `${NOW}
return {${PRESENT}, now}`;

/** Compare and set: ARGV are what was read, what it shall be, and until when. */
const WRITE = `${NOW}
local present = ${PRESENT}
if present ~= ARGV[1] then return {0, present, now} end
local left = math.ceil(ARGV[3] - now)
if ARGV[2] == '' or left <= 0 then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', left)
end
return {1, '', now}`;

/** A token's place in an index: ARGV are its member, until when, and how many there may be. */
const INDEX = `${NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return {0, now} end
if not score or tonumber(score) < tonumber(ARGV[2]) then
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIRE', KEYS[1], math.max(1, math.ceil(last[2] - now)))
return {1, now}`;

/** So many at a time leave an index that has too many. */
const MAX_LEAVING = 100;

/**
 * The same for one that makes room for itself: ARGV are its member, until when, and how many there may be. Those whose
 * time ends first leave, itself perhaps among them, and are told.
 */
const SHELVE = `${NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local over = math.min(redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[3]), ${MAX_LEAVING})
local leaving = {}
if over > 0 then
  leaving = redis.call('ZRANGE', KEYS[1], 0, over - 1)
  for _, member in ipairs(leaving) do redis.call('ZREM', KEYS[1], member) end
end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then redis.call('PEXPIRE', KEYS[1], math.max(1, math.ceil(last[2] - now))) end
return {leaving, now}`;

/** A token leaves an index earlier: ARGV are its member and when. */
const LOWER = `
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) > tonumber(ARGV[2]) then
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
end
return 0`;

const flag = z.union([z.literal(0), z.literal(1)]).transform((value) => value === 1);
/** Milliseconds since 1970 that a Date can hold. */
const time = z.number().min(0).max(8.64e15);
const readReply = z.tuple([z.string(), time]);
const writeReply = z.tuple([flag, z.string(), time]);
const indexReply = z.tuple([flag, time]);
const shelveReply = z.tuple([z.array(z.string()).max(MAX_LEAVING), time]);

/** What stands under a key now, and the server's time, milliseconds since 1970. */
export interface Present {
  /** Empty: nothing. */
  readonly text: string;
  readonly now: number;
}

// The whole script each time: a server that was restarted knows none by its hash.
const evaluate = (script: string, key: string, args: readonly (string | number)[]) => [
  ...['EVAL', script, '1', key],
  ...args.map(String),
];

export function readCommand(key: string, shiftMs: number): string[] {
  return evaluate(READ, key, [shiftMs]);
}

export function readResult(reply: unknown): Present {
  const [text, now] = parsed(readReply, reply);
  return { text, now };
}

/** @param next an empty text removes the key, as does a time that has passed */
export function writeCommand(
  key: string,
  before: string,
  next: string,
  keepUntil: number,
  shiftMs: number,
): string[] {
  return evaluate(WRITE, key, [before, next, keepUntil, shiftMs]);
}

/** Where it was not written, with what stands there instead. */
export function writeResult(reply: unknown): Present & { readonly written: boolean } {
  const [written, text, now] = parsed(writeReply, reply);
  return { written, text, now };
}

export function indexCommand(
  key: string,
  member: string,
  keepUntil: number,
  max: number,
  shiftMs: number,
): string[] {
  return evaluate(INDEX, key, [member, keepUntil, max, shiftMs]);
}

export function indexResult(reply: unknown): { readonly added: boolean; readonly now: number } {
  const [added, now] = parsed(indexReply, reply);
  return { added, now };
}

export function shelveCommand(
  key: string,
  member: string,
  keepUntil: number,
  max: number,
  shiftMs: number,
): string[] {
  return evaluate(SHELVE, key, [member, keepUntil, max, shiftMs]);
}

/** Members that had to leave. */
export function shelveResult(reply: unknown): { readonly left: readonly string[]; readonly now: number } {
  const [left, now] = parsed(shelveReply, reply);
  return { left, now };
}

export function lowerCommand(key: string, member: string, keepUntil: number): string[] {
  return evaluate(LOWER, key, [member, keepUntil]);
}

const scanned = z.tuple([z.union([z.string(), z.number()]).transform(String), z.array(z.string())]);

/** Of SCAN and ZSCAN. @returns the next cursor, `0` at the end, and what was found */
export function scanResult(reply: unknown): { readonly cursor: string; readonly found: readonly string[] } {
  const [cursor, found] = parsed(scanned, reply);
  return { cursor, found };
}

function parsed<T>(form: z.ZodType<T>, reply: unknown): T {
  const result = form.safeParse(reply);
  if (!result.success) throw new RedisUnreachable('an answer that makes no sense');
  return result.data;
}
