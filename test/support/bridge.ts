// What a front does with a connection: hands it through to a TCP port of this host, both ways, ends included.
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { atEnd } from './lifetime.ts';

export function bridge(front: Duplex, port: number): void {
  const back = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  front.pipe(back).pipe(front);
  for (const [one, other] of [
    [front, back],
    [back, front],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => {
      if (!one.readableEnded) other.destroy();
    });
  }
  atEnd(() => {
    front.destroy();
    back.destroy();
  });
}
