// Connections that have not shown a token yet: counted by address, and forgotten without a trace.
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { Handshakes } from '../../src/proxy/handshakes.ts';

const address = '192.0.2.1';

function connection(remotePort: number): Socket {
  return Object.assign(new EventEmitter(), { remoteAddress: address, remotePort }) as unknown as Socket;
}

it('gives the place of a connection back once, when it is admitted or closed, and listens to it no longer', () => {
  const handshakes = new Handshakes(2);
  const [console, vanished, third] = [connection(1), connection(2), connection(3)];
  expect(handshakes.enterConnection(console, address)).toBe(true);
  expect(handshakes.enterConnection(vanished, address)).toBe(true);
  expect(handshakes.enterConnection(third, address)).toBe(false);
  expect(third.listenerCount('close')).toBe(0);

  handshakes.admitConnection(console);
  expect(console.listenerCount('close')).toBe(0);
  handshakes.admitConnection(console);
  console.emit('close');
  expect(handshakes.enterConnection(third, address)).toBe(true);
  expect(handshakes.enterConnection(connection(4), address)).toBe(false);

  vanished.emit('close');
  expect(handshakes.enterConnection(connection(5), address)).toBe(true);
});
