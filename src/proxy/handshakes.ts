// How many connections of an address may be open before they have shown a token. What always holds: every place that
// was taken is given back exactly once, and an address without connections costs no memory.
import type { Socket } from 'node:net';
import { networkOf } from '../client-address.js';

/** A browser opens six for a page and one for the console; an office behind one address has dozens of browsers. */
const MAX_PER_ADDRESS = 256;

export class Handshakes {
  private readonly max: number;
  private readonly counts = new Map<string, number>();
  private readonly connections = new Map<string, () => void>();

  constructor(max = MAX_PER_ADDRESS) {
    this.max = max;
  }

  /** @returns a function that gives the place back (further calls do nothing), or undefined where there is none */
  enter(address: string): (() => void) | undefined {
    const network = networkOf(address);
    const count = this.counts.get(network) ?? 0;
    if (count >= this.max) return undefined;
    this.counts.set(network, count + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const now = (this.counts.get(network) ?? 1) - 1;
      if (now > 0) this.counts.set(network, now);
      else this.counts.delete(network);
    };
  }

  /** Counts a connection until it closes or is admitted. @returns false where its address has too many */
  enterConnection(socket: Socket, address: string): boolean {
    const leave = this.enter(address);
    if (leave === undefined) return false;
    const key = keyOf(socket);
    // Of a console that was admitted nothing is kept here, however long it stays.
    const left = () => {
      leave();
      this.connections.delete(key);
      socket.off('close', left);
    };
    this.connections.set(key, left);
    socket.on('close', left);
    return true;
  }

  /** A token was shown: the connection is a console now. */
  admitConnection(socket: Socket): void {
    this.connections.get(keyOf(socket))?.();
  }
}

/** The same for a TCP socket and the TLS socket on top of it. All listeners of a proxy have one port, ours says nothing. */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
