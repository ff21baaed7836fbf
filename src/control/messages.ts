// What is said through the control socket: one line of JSON asks, lines of JSON answer.
// What always holds: no token and no hash of one is in a message, fingerprints only; whatever is read is checked.
import type { RevokeSelection } from '../config/types.js';

/** Of a request, its end of line included. */
export const MAX_REQUEST_BYTES = 4096;

export type ControlRequest =
  | { readonly command: 'sessions' }
  | { readonly command: 'tokens' }
  | { readonly command: 'revoke'; readonly selection: RevokeSelection };

/** A live session. Times as in ISO 8601, UTC. */
export interface SessionRow {
  readonly fingerprint: string;
  readonly vm: number;
  readonly user: string;
  readonly client: string;
  readonly since: string;
  /** Both ways. */
  readonly bytes: number;
}

/** A token that opens its console. Times as in ISO 8601, UTC. */
export interface TokenRow {
  readonly fingerprint: string;
  readonly vm: number;
  readonly user: string;
  readonly issued: string;
  /** Until then it must have been used for the first time. */
  readonly expires: string;
  readonly firstUsed: string | null;
  readonly sessions: number;
}

/** A line of an answer; the last one is `end`, or `error`. */
export type ControlAnswer =
  | { readonly session: SessionRow }
  | { readonly token: TokenRow }
  /** `note`: what could not be done. */
  | { readonly revoked: number; readonly note?: string | undefined }
  /** The answer takes its time. */
  | { readonly working: true }
  | { readonly error: string }
  /** `more`: there are so many that not all were told. */
  | { readonly end: true; readonly more?: boolean | undefined };

type JsonObject = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string';
const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const isTrue: Check = (value) => value === true;
const isFingerprint: Check = (value) => typeof value === 'string' && /^[0-9a-f]{12}$/.test(value);
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

const selectionMembers: Record<keyof RevokeSelection, Check> = {
  fingerprint: optional(isFingerprint),
  vm: optional(isCount),
  user: optional(isText),
  all: optional(isTrue),
};

const rowMembers = { fingerprint: isFingerprint, vm: isCount, user: isText };

const sessionMembers: Record<keyof SessionRow, Check> = {
  ...rowMembers,
  client: isText,
  since: isText,
  bytes: isCount,
};

const tokenMembers: Record<keyof TokenRow, Check> = {
  ...rowMembers,
  issued: isText,
  expires: isText,
  firstUsed: (value) => value === null || isText(value),
  sessions: isCount,
};

const answerShapes: readonly Record<string, Check>[] = [
  { session: (value) => fits(value, sessionMembers) },
  { token: (value) => fits(value, tokenMembers) },
  { revoked: isCount, note: optional(isText) },
  { working: isTrue },
  { error: isText },
  { end: isTrue, more: optional((value) => typeof value === 'boolean') },
];

/** @returns undefined where it is no request */
export function parseRequest(line: string): ControlRequest | undefined {
  const value = parseJson(line);
  if (fits(value, { command: (word) => word === 'sessions' || word === 'tokens' })) {
    return { command: value['command'] as 'sessions' | 'tokens' };
  }
  const isRevoke = fits(value, {
    command: (word) => word === 'revoke',
    selection: (selection) => fits(selection, selectionMembers),
  });
  if (!isRevoke) return undefined;
  const selection = value['selection'] as RevokeSelection;
  const { all, ...rest } = selection;
  const chosen = Object.values(rest).filter((one) => one !== undefined).length;
  // Exactly one of both: nothing chosen must never mean everything.
  return chosen > 0 === (all === undefined) ? { command: 'revoke', selection } : undefined;
}

/** @returns undefined where it is no answer */
export function parseAnswer(line: string): ControlAnswer | undefined {
  const value = parseJson(line);
  return answerShapes.some((shape) => fits(value, shape)) ? (value as ControlAnswer) : undefined;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Whether it is an object with these members, each as its check wants it, and no others. */
function fits(value: unknown, members: Readonly<Record<string, Check>>): value is JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return (
    Object.keys(value).every((name) => Object.hasOwn(members, name)) &&
    Object.entries(members).every(([name, check]) => check((value as JsonObject)[name]))
  );
}
