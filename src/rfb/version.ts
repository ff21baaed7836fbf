// The versions of RFB that the service and a target agree on (RFC 6143 section 7.1.1).
// What always holds: the target speaks first, strictly twelve bytes, and we answer with no more than it announced.
import { checkGreeting } from '../transport/greeting.js';
import type { Exchange } from './exchange.js';
import { targetFailed } from './failure.js';

export type RfbVersion = '3.3' | '3.7' | '3.8';

const GREETING_BYTES = 12;

/** Reads the target's greeting and answers it. */
export async function agreeOnVersion(exchange: Exchange): Promise<RfbVersion> {
  const version = interpretVersion(await readGreeting(exchange));
  if (version === undefined) throw targetFailed('the target speaks a version of RFB that is older than 3.3');
  exchange.write(versionMessage(version));
  return version;
}

/** `RFB 003.008\n` for '3.8'. */
export function versionMessage(version: RfbVersion): Buffer {
  return Buffer.from(`RFB 003.00${version.at(-1)}\n`, 'latin1');
}

/**
 * What a well-formed version message means. All but 3.7 and 3.8 are to be taken for 3.3, those of servers that announce
 * 3.889, 4.1 or 5.0 as well: RFC 6143 section 7.1.1.
 * @returns undefined for what is older than 3.3
 */
export function interpretVersion(message: Buffer): RfbVersion | undefined {
  const number = message.toString('latin1', 4, 11);
  if (number === '003.008') return '3.8';
  if (number === '003.007') return '3.7';
  return number < '003.003' ? undefined : '3.3';
}

/** Refused at its first wrong byte: something that is no RFB server may never send twelve. */
async function readGreeting(exchange: Exchange): Promise<Buffer> {
  let greeting: Buffer = Buffer.alloc(0);
  for (;;) {
    const piece = await exchange.readSome(GREETING_BYTES - greeting.length);
    if (piece === undefined) throw exchange.endedBefore('its greeting');
    greeting = Buffer.concat([greeting, piece]);
    const state = checkGreeting(greeting);
    if (state === 'wrong') throw targetFailed('the target is no RFB server');
    if (state === 'right') return greeting;
  }
}
