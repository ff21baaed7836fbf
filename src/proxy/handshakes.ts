// Connections that have not shown a token yet: each has one of its address's places until it has, or is closed.
// What always holds: of a console that was admitted nothing is kept here, however long it stays.
import type { Socket } from 'node:net';
import { AddressPlaces, type LeavePlace, type PlacePool } from '../address-places.js';

/** A browser opens six for a page and one for the console; an office behind one address has dozens of browsers. */
export const MAX_HANDSHAKES_PER_ADDRESS = 256;

export class Handshakes {
  private readonly places: AddressPlaces;
  private readonly connections = new Map<string, LeavePlace>();

  /** @param places so many for each address, or where those of the host are borrowed */
  constructor(places: number | PlacePool = MAX_HANDSHAKES_PER_ADDRESS) {
    this.places = new AddressPlaces(places);
  }

  /** @returns a function that gives the place back (further calls do nothing), or undefined where there is none */
  enter(address: string): LeavePlace | undefined | Promise<LeavePlace | undefined> {
    return this.places.enter(address);
  }

  /**
   * Counts a connection until it closes or is admitted.
   * @returns false where its address has too many; a promise of that where the host has to be asked
   */
  enterConnection(socket: Socket, address: string): boolean | Promise<boolean> {
    const entered = this.enter(address);
    if (entered instanceof Promise) return entered.then((leave) => this.hold(socket, leave));
    return this.hold(socket, entered);
  }

  /** A token was shown: the connection is a console now. */
  admitConnection(socket: Socket): void {
    this.connections.get(keyOf(socket))?.();
  }

  private hold(socket: Socket, leave: LeavePlace | undefined): boolean {
    if (leave === undefined) return false;
    if (socket.destroyed) {
      leave();
      return false;
    }
    const key = keyOf(socket);
    const left = () => {
      leave();
      this.connections.delete(key);
      socket.off('close', left);
    };
    this.connections.set(key, left);
    socket.on('close', left);
    return true;
  }
}

/** The same for a TCP socket and the TLS socket on top of it. All listeners of a proxy have one port, ours says nothing. */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
