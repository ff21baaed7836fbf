// The versions of RFB that the service agrees on with a target and with a browser (RFC 6143 section 7.1.1).
// What always holds: the target speaks first, strictly twelve bytes, and is answered with one of the three versions that
// there are, none above what it announced.
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
 * What a version message means. Everything above 3.8 is spoken to in 3.8, as noVNC does: such numbers (003.889 of macOS,
 * 004.000 of Intel's AMT, 004.001 and 005.000 of RealVNC, 055.008) are those of products, and some refuse what is older.
 * What lies between 3.3 and 3.7 is 3.3, as RFC 6143 section 7.1.1 has it.
 * @returns undefined for what is older than 3.3, and for what is no version message
 */
export function interpretVersion(message: Buffer): RfbVersion | undefined {
  if (checkGreeting(message) !== 'right') return undefined;
  const number = message.toString('latin1', 4, 11);
  if (number >= '003.008') return '3.8';
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
