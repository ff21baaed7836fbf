// How the handshake with a target fails. What always holds: what the target wrote is cut and cleaned before anybody
// reads it, and neither text holds a password.
import { GatewayError } from '../errors.js';

/** Of a target's reason, so much is read at most, whatever length it announces. */
export const REASON_BYTES = 1024;
/** For so long it is waited for: some servers announce one and send none, and stay. */
export const REASON_WAIT_MS = 1_000;
/** And so much of it is shown. */
const REASON_CHARACTERS = 256;

/** The target did what RFB does not allow, or went away: the log has `detail`, the person the table's text. */
export function targetFailed(detail: string): GatewayError {
  return new GatewayError('target-failed', { detail });
}

/** The target said no, or we did: the person reads the same as the log, but for a hint to the operator. */
export function targetRefused(text: string, hint = ''): GatewayError {
  return new GatewayError('target-failed', { detail: `${text} ${hint}`.trim(), publicText: text });
}

/**
 * A target's own words as one line of at most 256 characters: no control characters, none that turn the direction of
 * writing or that cannot be seen. Empty where nothing is left. RFC 6143 names no encoding: it is UTF-8 where it can be,
 * else Latin-1, as the rest of RFB.
 */
export function cleanReason(bytes: Buffer): string {
  const line = decode(bytes.subarray(0, REASON_BYTES))
    .replace(/[\p{Cf}\p{Co}\p{Cn}\uFFFD]/gu, '')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim();
  const characters = [...line];
  if (characters.length <= REASON_CHARACTERS) return line;
  return `${characters.slice(0, REASON_CHARACTERS - 1).join('')}…`;
}

function decode(bytes: Buffer): string {
  try {
    // In the middle of a stream: the end may have been cut off in the middle of a character.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return bytes.toString('latin1');
  }
}
