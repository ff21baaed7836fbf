// How the stream below TLS leaves the connection: what is still being sent at the end must not be cut off.
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { WireStream } from '../../src/rfb/wire-stream.ts';
import type { TargetConnection } from '../../src/transport/transport.ts';

/** A connection that takes everything, and notes how it is ended. */
function noting(): { connection: TargetConnection; calls: string[] } {
  const calls: string[] = [];
  const connection: TargetConnection = {
    start: () => undefined,
    resume: () => undefined,
    write: () => true,
    end: () => void calls.push('end'),
    destroy: () => void calls.push('destroy'),
  };
  return { connection, calls };
}

test('a stream that has ended leaves the rest to its connection', async () => {
  const { connection, calls } = noting();
  const wire = new WireStream(connection);
  wire.end('last words');
  await once(wire, 'finish');
  wire.destroy();
  await once(wire, 'close');
  expect(calls).toEqual(['end']);
});

test('a stream that is destroyed takes its connection with it', async () => {
  const { connection, calls } = noting();
  const wire = new WireStream(connection);
  wire.write('words');
  wire.destroy();
  await once(wire, 'close');
  expect(calls).toEqual(['destroy']);
});
