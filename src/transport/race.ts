// IPv4 and IPv6 raced (RFC 8305): the addresses of a host are tried one after the other, each a moment after the last
// or as soon as that has failed; the first connection wins. Node's own autoSelectFamily gives an attempt up when its
// moment is over, so that a host far away would be reached by its last address alone.
// What always holds: at most one socket ever connects, and when the race is over no other is left.
import type { LookupAddress } from 'node:dns';
import { connect, type OnReadOpts, type Socket } from 'node:net';
import { causeOf } from '../errors.js';

/** Until the next address is tried beside the last one (RFC 8305 section 5: 250 ms recommended). */
const STAGGER_MS = 250;
/** More addresses of one host are not tried. */
const MAX_ADDRESSES = 8;
/** A target that vanished without a word is noticed by the kernel after this and its probes. */
const KEEP_ALIVE_DELAY_MS = 60_000;

export interface RaceOptions {
  readonly addresses: readonly LookupAddress[];
  readonly port: number;
  /** The address to come from. */
  readonly localAddress?: string | undefined;
  readonly onread?: OnReadOpts | undefined;
}

/**
 * @returns a connected socket, with a listener for its errors
 * @throws an Error whose message names each address and its cause; the signal's reason when it fires first
 */
export function race(options: RaceOptions, signal: AbortSignal): Promise<Socket> {
  const { port, localAddress, onread } = options;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const waiting = alternate(options.addresses).slice(0, MAX_ADDRESSES);
    const running = new Set<Socket>();
    const failures: string[] = [];
    let stagger: NodeJS.Timeout | undefined;
    const over = () => {
      clearTimeout(stagger);
      signal.removeEventListener('abort', abort);
      for (const socket of running) socket.destroy();
    };
    const abort = () => {
      over();
      reject(signal.reason);
    };
    const next = () => {
      clearTimeout(stagger);
      const one = waiting.shift();
      if (one === undefined) {
        if (running.size > 0) return;
        over();
        reject(new Error(failures.join(', ')));
        return;
      }
      const socket = connect({
        host: one.address,
        port,
        localAddress,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
        onread,
      });
      running.add(socket);
      const failed = (error: Error) => {
        running.delete(socket);
        failures.push(`${one.address} ${causeOf(error)}`);
        next();
      };
      socket.once('error', failed);
      socket.once('connect', () => {
        // An error may come before the socket has come to whom it is for; its end tells enough.
        socket.on('error', toldByItsEnd).off('error', failed);
        running.delete(socket);
        over();
        resolve(socket);
      });
      if (waiting.length > 0) stagger = setTimeout(next, STAGGER_MS);
    };
    signal.addEventListener('abort', abort, { once: true });
    next();
  });
}

/** Not made anew for each socket, for it would keep all that the race was about as long as the socket lives. */
function toldByItsEnd(): void {}

/** The families take turns, beginning with the one that the system prefers. */
function alternate(addresses: readonly LookupAddress[]): LookupAddress[] {
  if (addresses.length === 1) return [...addresses];
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family);
  return first
    .flatMap((one, index) => [one, ...second.slice(index, index + 1)])
    .concat(second.slice(first.length));
}
