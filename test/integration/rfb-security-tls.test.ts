// What is left after the handshake: a connection as any other, inside of TLS too. Bytes to the byte, back-pressure
// both ways, both kinds of end. The target is Node's own TLS server.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { secureTarget } from '../../src/rfb/secure-target.ts';
import { WireStream } from '../../src/rfb/wire-stream.ts';
import { HEAD_ROOM } from '../../src/transport/read-memory.ts';
import type { TargetConnection } from '../../src/transport/transport.ts';
import { makePki, type Pki } from '../support/certificates.ts';
import { atEnd } from '../support/lifetime.ts';
import { u32 } from '../support/rfb-messages.ts';
import { askNothing, vencrypt } from '../support/rfb-scenes.ts';
import { playScript, type Stage } from '../support/rfb-script.ts';
import { dial, type Listener, listen } from '../support/rfb-viewer.ts';
import { floodBytes, startVncTarget } from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';

const MIB = 1024 * 1024;

let pki: Pki;

beforeAll(async () => {
  pki = await makePki();
});

interface Secured {
  connection: TargetConnection;
  stage: Stage;
  /** What is below TLS, at the target. */
  closed(): boolean;
}

/** A target that has let us in, in one of the two ways. */
async function secured(kind: 'open' | 'x509'): Promise<Secured> {
  let stage: Stage | undefined;
  const target = await playScript(async (own) => {
    if (kind === 'open') await askNothing(own);
    else {
      await vencrypt(own, 260);
      own.beginTls({ cert: readFileSync(pki.server.cert), key: readFileSync(pki.server.key) });
      own.send(u32(0));
    }
    stage = own;
  });
  const options = {
    host: 'localhost',
    credentials: { password: '' },
    require: [],
    tls: { ca: readFileSync(pki.ca.cert) },
  };
  const signal = new AbortController().signal;
  const shaken = secureTarget(await dial(target), options, signal);
  const { connection } = await within(shaken, { what: 'the handshake' });
  atEnd(() => connection.destroy());
  const peer = await target.connection();
  const ready = await waitFor(() => stage, { what: 'the target' });
  return { connection, stage: ready, closed: peer.closed };
}

describe.each(['open', 'x509'] as const)('after the handshake, %s,', (kind) => {
  test('bytes of both directions come through to the byte', async () => {
    const { connection, stage } = await secured(kind);
    const viewer = listen(connection);
    const down = floodBytes(0, 3 * MIB + 7);
    stage.send(down);
    const up = floodBytes(5, MIB + 3);
    for (let at = 0; at < up.length; at += 1000) connection.write(up.subarray(at, at + 1000));
    expect((await stage.read(up.length)).equals(up)).toBe(true);
    expect((await viewer.take(down.length)).equals(down)).toBe(true);
  });

  test('every read leaves room for a header in front, and a slow browser stops the target', async () => {
    const { connection, stage } = await secured(kind);
    const pieces: Buffer[] = [];
    const rooms: number[] = [];
    let held = true;
    let reads = 0;
    connection.start({
      data: (memory, start, end) => {
        reads++;
        rooms.push(start);
        memory.fill(0xee, start - HEAD_ROOM, start);
        pieces.push(Buffer.from(memory.subarray(start, end)));
        return !held;
      },
      drain: () => undefined,
      ended: () => undefined,
    });
    const stream = stage.stream();
    const all = floodBytes(0, 32 * MIB);
    let written = 0;
    const more = () => {
      while (written < all.length) {
        const next = all.subarray(written, written + 64 * 1024);
        written += next.length;
        if (!stream.write(next)) return void stream.once('drain', more);
      }
    };
    more();
    await waitFor(() => reads === 1, { what: 'the first read' });
    const stuckAt = await standstill(() => written);
    // What the kernel takes on both sides is not ours to say, but it is not all of it.
    expect(stuckAt).toBeLessThan(all.length);
    expect(reads).toBe(1);
    connection.resume();
    await waitFor(() => reads === 2, { what: 'one more read' });
    await standstill(() => written);
    expect(reads).toBe(2);
    held = false;
    connection.resume();
    await waitFor(() => pieces.reduce((sum, { length }) => sum + length, 0) === all.length, {
      what: 'all that was sent',
    });
    expect(Buffer.concat(pieces).equals(all)).toBe(true);
    expect(Math.min(...rooms)).toBeGreaterThanOrEqual(HEAD_ROOM);
  });

  test('a slow target says so, and says when it is no longer', async () => {
    const { connection, stage } = await secured(kind);
    const viewer = listen(connection);
    await fill(connection, viewer, stage);
    const drains = viewer.drains();
    stage.socket.resume();
    await waitFor(() => viewer.drains() > drains, { what: 'drain' });
    expect(connection.write(Buffer.from([1]))).toBe(true);
  });

  test('what a slow target has not read yet still arrives when the browser leaves', async () => {
    const { connection, stage, closed } = await secured(kind);
    const written = await fill(connection, listen(connection), stage);
    connection.end();
    await standstill(() => Number(closed()));
    stage.socket.resume();
    expect((await stage.read(written)).equals(floodBytes(0, written))).toBe(true);
    await waitFor(closed, { what: 'the end at the target' });
  });

  test('what was written last still arrives when the browser leaves', async () => {
    const { connection, stage, closed } = await secured(kind);
    listen(connection);
    const last = floodBytes(0, 200_000);
    connection.write(last);
    connection.end();
    expect((await stage.read(last.length)).equals(last)).toBe(true);
    await waitFor(closed, { what: 'the end at the target' });
  });

  test('what the target sent last still arrives, then its end, once', async () => {
    const { connection, stage, closed } = await secured(kind);
    const viewer = listen(connection);
    const last = floodBytes(0, 200_000);
    stage.send(last);
    stage.end();
    expect((await viewer.take(last.length)).equals(last)).toBe(true);
    await waitFor(() => viewer.endedBy(), { what: 'the end' });
    expect(viewer.endedBy()).toBe('the target closed the connection');
    connection.end();
    await waitFor(closed, { what: 'the end at the target' });
  });

  test('a reset of the target is told as that', async () => {
    const { connection, stage } = await secured(kind);
    const viewer = listen(connection);
    stage.socket.resetAndDestroy();
    await waitFor(() => viewer.endedBy(), { what: 'the end' });
    expect(viewer.endedBy()).toBe('the target reset the connection');
  });

  test('destroy() ends it at once, and nothing is told any more', async () => {
    const { connection, stage, closed } = await secured(kind);
    const viewer = listen(connection);
    connection.destroy();
    await waitFor(closed, { what: 'the end at the target' });
    stage.send('more');
    expect(connection.write(Buffer.from('more'))).toBe(true);
    connection.resume();
    connection.end();
    expect(viewer.endedBy()).toBeUndefined();
    expect(viewer.received()).toHaveLength(0);
  });
});

test('noise inside of TLS ends the connection with a reason', async () => {
  const { connection, stage, closed } = await secured('x509');
  const viewer = listen(connection);
  stage.socket.write(Buffer.alloc(100, 0xff));
  await waitFor(() => viewer.endedBy(), { what: 'the end' });
  expect(viewer.endedBy()).toMatch(
    /^TLS with the target failed: (wrong version number|ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_BAD_RECORD_TYPE)$/,
  );
  await waitFor(closed, { what: 'the end at the target' });
});

test('what comes before TLS stands is bounded', async () => {
  const target = await startVncTarget((socket) => {
    const more = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(4096)));
      socket.once('drain', more);
    };
    more();
    socket.resume();
  });
  const wire = new WireStream(await dial(target));
  let bytes = 0;
  wire.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  let told: Error | undefined;
  wire.on('error', (error) => {
    told = error;
  });
  await waitFor(() => told, { what: 'an end' });
  expect(told?.message).toBe('the TLS handshake of the target does not end');
  expect(bytes).toBeLessThanOrEqual(256 * 1024);
  const peer = await target.connection();
  await waitFor(peer.closed, { what: 'the end of the connection' });
});

/** Writes a flood to a target that has stopped reading, until that is told and stays so. @returns the bytes */
async function fill(connection: TargetConnection, viewer: Listener, stage: Stage): Promise<number> {
  stage.socket.pause();
  const chunk = 251 * 128;
  for (let written = 0; written < 64 * MIB; ) {
    const drains = viewer.drains();
    let more = true;
    while (more && written < 64 * MIB) {
      more = connection.write(floodBytes(0, chunk));
      written += chunk;
      await new Promise(setImmediate);
    }
    // The kernel may have taken some more since.
    if ((await standstill(() => viewer.drains())) === drains) return written;
  }
  throw new Error('nothing stops the writer');
}

/** Waits until a number has stopped changing. */
async function standstill(read: () => number): Promise<number> {
  let [last, rounds] = [read(), 0];
  await waitFor(
    () => {
      rounds = read() === last ? rounds + 1 : 0;
      last = read();
      return rounds >= 8;
    },
    { what: 'a standstill' },
  );
  return last;
}
