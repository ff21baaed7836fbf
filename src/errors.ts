// The one error type and the one table of everything that can be refused or end badly.
// What always holds: `publicText` is all that a peer is told; `detail` goes to the log only, and neither holds a secret.

/** OpenNebula's own error codes (include/ErrorXML.h in OpenNebula's sources), the third element of a refusal. */
export const OneCode = {
  authentication: 0x0100,
  authorization: 0x0200,
  noExists: 0x0400,
  action: 0x0800,
  xmlRpcApi: 0x1000,
  internal: 0x2000,
  allocate: 0x4000,
} as const;

type LogLevel = 'error' | 'warn' | 'info' | 'debug';

interface ErrorKind {
  /** Third element of `[false, message, code]`. */
  readonly oneCode: number;
  /** Status of an HTTP answer, before an upgrade. */
  readonly httpStatus: number;
  /** What the peer reads where the error brings no text of its own. */
  readonly publicText: string;
  /** Whether the peer's text ends in `(ref XXXXXX)`, to be found again in the log. */
  readonly tellsRef: boolean;
  readonly logLevel: LogLevel;
}

const kind = (
  oneCode: number,
  httpStatus: number,
  publicText: string,
  logLevel: LogLevel,
  tellsRef = false,
): ErrorKind => ({ oneCode, httpStatus, publicText, tellsRef, logLevel });

const errorKinds = {
  // Asking oned
  'oned-refused': kind(OneCode.noExists, 403, 'OpenNebula refused the call', 'info'),
  'oned-unreachable': kind(OneCode.internal, 503, 'OpenNebula cannot be reached', 'error', true),
  'oned-timeout': kind(OneCode.internal, 503, 'OpenNebula did not answer in time', 'error', true),
  'oned-nonsense': kind(
    OneCode.internal,
    503,
    'OpenNebula gave an answer that makes no sense',
    'error',
    true,
  ),
  // The policy
  'wrong-state': kind(OneCode.action, 409, 'Unsupported VM state!', 'info'),
  'no-console': kind(OneCode.noExists, 404, 'The VM has no VNC console', 'info'),
  // The call
  'unknown-method': kind(OneCode.xmlRpcApi, 400, 'Unknown method', 'info'),
  'bad-parameters': kind(OneCode.xmlRpcApi, 400, 'Wrong parameters', 'info'),
  'no-public-url': kind(OneCode.internal, 503, 'public_url is not set', 'warn'),
  'over-limit': kind(OneCode.internal, 429, 'Too many calls are waiting, try again later', 'warn', true),
  'caller-gone': kind(OneCode.internal, 499, 'The caller did not wait for the answer', 'debug'),
  stopping: kind(OneCode.internal, 503, 'The service is stopping', 'info', true),
  // Tokens
  'store-failed': kind(OneCode.allocate, 503, 'The token could not be stored', 'error', true),
  'store-unavailable': kind(OneCode.internal, 503, 'The token store cannot be reached', 'error', true),
  'token-not-valid': kind(
    OneCode.authentication,
    401,
    'This console link is not valid any more',
    'info',
    true,
  ),
  'cannot-check': kind(
    OneCode.internal,
    503,
    'This console link cannot be checked just now, try again in a moment',
    'warn',
    true,
  ),
  'token-in-use': kind(OneCode.authorization, 429, 'This console is in use in another window', 'info', true),
  'too-many-tokens': kind(
    OneCode.internal,
    429,
    'This VM has too many console links, try again later',
    'warn',
    true,
  ),
  'too-many-sessions': kind(
    OneCode.internal,
    429,
    'Too many consoles are open, close one first',
    'warn',
    true,
  ),
  'too-many-unknown-tokens': kind(
    OneCode.internal,
    429,
    'Too many console links that are not valid, try again in a minute',
    'warn',
    true,
  ),
  'too-many-calls': kind(
    OneCode.internal,
    429,
    'Too many calls from this address, try again later',
    'warn',
    true,
  ),
  'too-many-logins': kind(OneCode.internal, 429, 'Too many failed logins, try again later', 'warn', true),
  // The upgrade
  'bad-upgrade': kind(OneCode.xmlRpcApi, 400, 'Not a valid WebSocket upgrade', 'info'),
  'headers-too-many': kind(OneCode.xmlRpcApi, 431, 'More headers than are read here', 'warn'),
  'bad-subprotocol': kind(
    OneCode.xmlRpcApi,
    400,
    'Of the subprotocols offered, `binary` is the one that is spoken here',
    'info',
  ),
  'wrong-version': kind(OneCode.xmlRpcApi, 426, 'WebSocket version 13 is spoken here', 'info'),
  'origin-refused': kind(
    OneCode.authorization,
    403,
    'This web site may not open consoles here (see allowed_origins)',
    'warn',
    true,
  ),
  'browser-refused': kind(
    OneCode.authorization,
    403,
    'Web pages may not call this service (see allowed_origins, allowed_hosts)',
    'warn',
    true,
  ),
  'too-many-connections': kind(OneCode.internal, 429, 'Too many connections from this address', 'warn'),
  // The target
  'target-failed': kind(OneCode.internal, 502, 'Failed to connect to downstream server', 'warn'),
  // Anything unforeseen
  internal: kind(OneCode.internal, 500, 'Internal error', 'error', true),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

export interface GatewayErrorOptions {
  /** For the log alone: what happened, without secrets. */
  readonly detail?: string;
  /** For the peer, instead of the table's text. */
  readonly publicText?: string;
  /** Instead of the table's OpenNebula code (oned's own is passed on). */
  readonly oneCode?: number;
}

/** Whatever is refused or fails on the way from a call or an upgrade to a console. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly publicText: string;
  readonly oneCode: number;

  constructor(code: ErrorCode, options: GatewayErrorOptions = {}) {
    const detail = options.detail ?? options.publicText ?? errorKinds[code].publicText;
    super(detail);
    this.name = 'GatewayError';
    this.code = code;
    this.detail = detail;
    this.publicText = options.publicText ?? errorKinds[code].publicText;
    this.oneCode = options.oneCode ?? errorKinds[code].oneCode;
  }

  get httpStatus(): number {
    return errorKinds[this.code].httpStatus;
  }

  get logLevel(): LogLevel {
    return errorKinds[this.code].logLevel;
  }

  /** The text for the peer, with the reference where this kind of error has one. */
  toldAs(ref: string): string {
    return errorKinds[this.code].tellsRef ? `${this.publicText} (ref ${ref})` : this.publicText;
  }
}

/** Anything thrown, as a GatewayError; a stranger becomes `internal`, its message for the log only. */
export function toGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError('internal', {
    detail: error instanceof Error ? (error.stack ?? error.message) : 'not an Error',
  });
}

/** The service cannot start or run; the message names the setting or the thing, a line for each problem. Exit code 1. */
export class StartError extends Error {}

/** What a system call said, for a message: its code and nothing that could quote data. */
export function causeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return causeOf(error.errors[0]);
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return error instanceof Error ? error.message : 'unknown';
}
