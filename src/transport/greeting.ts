// The target's first 12 bytes must be an RFB version (RFC 6143 section 7.1.1): whatever else listens on a port that a
// user wrote into a template is not talked to. What always holds: the bytes stay in the stream for the relay.
import type { Duplex } from 'node:stream';
import { GatewayError } from '../errors.js';

const LENGTH = 12;
const RFB_VERSION = /^RFB \d{3}\.\d{3}\n$/;
/** The shape above, byte by byte, so that a wrong one is refused at its first wrong byte. */
const PATTERN = 'RFB 000.000\n';

/**
 * Waits until the stream has greeted as an RFB server; nothing is consumed.
 * @throws GatewayError `target-failed`; the signal's reason when it fires first
 */
export function awaitGreeting(stream: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen: Buffer = Buffer.alloc(0);
    const settle = (error?: unknown) => {
      stream.off('readable', look).off('end', ended).off('error', failed).off('close', ended);
      signal.removeEventListener('abort', abort);
      if (error !== undefined) return reject(error);
      stream.unshift(seen);
      resolve();
    };
    const refuse = (detail: string) => settle(new GatewayError('target-failed', { detail }));
    const look = () => {
      for (let chunk = read(stream); chunk !== null; chunk = read(stream)) {
        seen = Buffer.concat([seen, chunk]);
        if (!beginsLikeRfb(seen)) return refuse('the target is no RFB server');
        if (seen.length >= LENGTH) return settle();
      }
    };
    const ended = () => refuse('the target closed the connection before its greeting');
    const failed = () => refuse('the target reset the connection before its greeting');
    const abort = () => settle(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    stream.on('readable', look).on('end', ended).on('error', failed).on('close', ended);
  });
}

function read(stream: Duplex): Buffer | null {
  return stream.read() as Buffer | null;
}

function beginsLikeRfb(seen: Buffer): boolean {
  const text = seen.toString('latin1', 0, LENGTH);
  return RFB_VERSION.test(text + PATTERN.slice(text.length));
}
