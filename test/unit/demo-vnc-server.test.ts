import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ByteReader, StreamEndedError } from '../../src/demo/byte-reader.ts';
import { ProtocolError } from '../../src/demo/rfb-error.ts';
import { respondToChallenge } from '../../src/demo/vnc-auth.ts';
import { viewFirstPicture } from '../../src/demo/vnc-client.ts';
import { type DemoVnc, startDemoVnc } from '../../src/demo/vnc-server.ts';
import { atEnd } from '../support/lifetime.ts';
import { startVncTarget } from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';

const password = 'secret12';
const wholeScreen = Buffer.from([3, 0, 0, 0, 0, 0, 0x02, 0x80, 0x01, 0x90]);
const again = Buffer.from([3, 1, 0, 0, 0, 0, 0x02, 0x80, 0x01, 0x90]);
const soon = () => AbortSignal.timeout(5000);

describe("the demo's VNC server", () => {
  test.each([
    ['a password', password, 'VNC Authentication'],
    ['none', '', 'None'],
  ])('shows its picture to a viewer of RFB 3.8 with %s', async (_what, secret, security) => {
    const vnc = await startServer(secret);
    const seen = await viewFirstPicture(dial(vnc), { password: secret, signal: soon() });
    expect(seen).toMatchObject({
      version: '003.008',
      security,
      width: 640,
      height: 400,
      name: 'vnctoken demo',
    });
    expect(seen.rectangles).toEqual([{ x: 0, y: 0, width: 640, height: 400 }]);
    expect(seen.distinctColours).toBeGreaterThan(100);
  });

  test('tells a viewer of RFB 3.8 that its password is wrong', async () => {
    const vnc = await startServer(password);
    const viewing = viewFirstPicture(dial(vnc), { password: 'secret13', signal: soon() });
    await expect(viewing).rejects.toThrow('the server refused: Authentication failed');
    await waitFor(() => vnc.desktop.viewerCount === 0, { what: 'the viewer to be gone' });
  });

  test.each(['003.003', '003.005', '003.007', '003.889'])('serves a viewer of RFB %s', async (version) => {
    for (const secret of ['', password]) {
      const { socket, reader } = await shakeHands(await startServer(secret), secret, version);
      socket.write(wholeScreen);
      expect((await reader.read(4)).toString('hex')).toBe('00000001');
    }
  });

  test.each(['003.003', '003.007'])('ends a viewer of RFB %s with a wrong password', async (version) => {
    const { socket, reader } = await shakeHands(await startServer(password), 'wrong', version, 1);
    await expect(reader.readUint8()).rejects.toThrow(StreamEndedError);
    expect(socket.destroyed || socket.readableEnded).toBe(true);
  });

  test('takes keys, the pointer and the clipboard', async () => {
    const vnc = await startServer('');
    const { socket } = await shakeHands(vnc, '');
    socket.write(Buffer.from([4, 1, 0, 0, 0, 0, 0, 0x68, 4, 0, 0, 0, 0, 0, 0, 0x68]));
    socket.write(Buffer.from([5, 1, 0, 10, 0, 20, 5, 0, 0xff, 0xff, 0xff, 0xff]));
    socket.write(Buffer.from([6, 0, 0, 0, 0, 0, 0, 2, 0x6f, 0x6b]));
    await waitFor(() => vnc.desktop.clipboard === 'ok', { what: 'the clipboard' });
    expect(vnc.desktop.typed).toEqual([{ label: 'h', named: false }]);
    expect(vnc.desktop.pointer).toEqual({ x: 639, y: 399, buttons: 0 });
  });

  test('sends at most twenty pictures a second, whoever asks for more', async () => {
    const { socket, reader } = await shakeHands(await startServer(''), '');
    const end = performance.now() + 1000;
    let pictures = 0;
    for (; performance.now() < end; pictures++) {
      for (let request = 0; request < 20; request++) socket.write(again);
      await skipUpdate(reader);
    }
    expect(pictures).toBeGreaterThan(3);
    expect(pictures).toBeLessThanOrEqual(22);
  });

  test('sends a small part of the screen where little has changed', async () => {
    const { socket, reader } = await shakeHands(await startServer(''), '');
    socket.write(wholeScreen);
    expect(await skipUpdate(reader)).toBe(640 * 400);
    socket.write(again);
    expect(await skipUpdate(reader)).toBeLessThan((640 * 400) / 4);
  });

  test('outlives whatever bytes are sent to it', async () => {
    const vnc = await startServer(password);
    const greeting = Buffer.from('RFB 003.008\n');
    const beginnings = [Buffer.alloc(0), greeting, Buffer.concat([greeting, Buffer.from([2])])];
    const hostile = Array.from({ length: 60 }, async (_value, index) => {
      const socket = dial(vnc).on('error', () => undefined);
      socket.resume();
      socket.write(Buffer.concat([beginnings[index % 3] ?? greeting, randomBytes(1 + 17 * index)]));
      if (index % 2 === 0) socket.end();
      if (index % 5 === 0) socket.resetAndDestroy();
      if (!socket.destroyed) await once(socket, 'close');
    });
    await within(Promise.allSettled(hostile), {
      what: 'the server to end hostile connections',
      deadlineMs: 15_000,
    });
    const trusted = viewFirstPicture(dial(vnc), { password, signal: soon() });
    await expect(trusted).resolves.toMatchObject({ width: 640 });
  });

  test('outlives hostile messages of a viewer that knows the password', async () => {
    const vnc = await startServer('');
    for (let round = 0; round < 40; round++) {
      const { socket } = await shakeHands(vnc, '');
      socket.resume();
      socket.write(Buffer.concat([Buffer.from([[0, 2, 3, 4, 5, 6][round % 6] ?? 0]), randomBytes(4000)]));
      socket.end(wholeScreen);
      await waitFor(() => socket.destroyed, { what: 'the end of a hostile viewer' });
    }
    await waitFor(() => vnc.desktop.viewerCount === 0, { what: 'all viewers to be gone' });
    await viewFirstPicture(dial(vnc), { password: '', signal: soon() });
  });

  test('has room for sixteen connections, and for others when they are gone', async () => {
    const vnc = await startServer('');
    const idle = await Promise.all(Array.from({ length: 16 }, () => greeted(vnc)));
    const seventeenth = dial(vnc);
    await expect(new ByteReader(seventeenth).read(12)).rejects.toThrow(StreamEndedError);
    for (const socket of idle) socket.destroy();
    await waitFor(() => viewFirstPicture(dial(vnc), { password: '', signal: soon() }), { what: 'room' });
  });

  test('takes its viewers along when it closes', async () => {
    const vnc = await startServer('');
    const { socket, reader } = await shakeHands(vnc, '');
    const closing = vnc.close();
    await expect(reader.readUint8()).rejects.toThrow(StreamEndedError);
    await within(closing, { what: 'the server to close', deadlineMs: 2000 });
    expect(socket.destroyed || socket.readableEnded).toBe(true);
  });
});

describe('the viewer without a window', () => {
  const greeting = 'RFB 003.008\n';
  const none = '\x01\x01';
  const fine = '\0\0\0\0';
  const format = '\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0';
  const screen = `\0\x10\0\x10${format}\0\0\0\x01s`;
  const start = greeting + none + fine + screen;

  test.each([
    ['does not speak RFB', 'HTTP/1.1 400', 'did not greet'],
    ['is older than 3.8', 'RFB 003.003\n', 'too old'],
    ['refuses with a reason', `${greeting}\0\0\0\0\x06nobody`, 'the server refused: nobody'],
    ['colours its reason', `${greeting}\0\0\0\0\x05\x1b[31m`, 'the server refused: [31m'],
    ['refuses at length', `${greeting}\0\xff\xff\xff\xff`, 'without a readable reason'],
    ['wants something else', `${greeting}\x02\x02\x13`, 'offers security types 2, 19'],
    ['has no screen', `${greeting}${none}${fine}\0\0\0\x10${format}`, 'a screen of 0x16'],
    [
      'has a long name',
      `${greeting}${none}${fine}\0\x10\0\x10${format}\0\x01\0\0`,
      'a desktop name of 65536',
    ],
    ['sends too many rectangles', `${start}\0\0\xff\xff`, '65535 rectangles'],
    [
      'paints outside of its screen',
      `${start}\0\0\0\x01\0\x01\0\0\0\x10\0\x01\0\0\0\0`,
      'outside the screen',
    ],
    ['uses another encoding', `${start}\0\0\0\x01\0\0\0\0\0\x10\0\x10\0\0\0\x07`, 'encoding 7'],
    ['has an endless clipboard', `${start}\x03\0\0\0\xff\xff\xff\xff`, 'a clipboard of'],
    ['sends what nobody knows', `${start}\x7f`, 'unknown message type 127'],
  ])('gives up where the server %s', async (_what, reply, message) => {
    const target = await startVncTarget((socket) => {
      socket.end(Buffer.from(reply, 'latin1'));
      socket.resume();
    });
    const viewing = viewFirstPicture(connect(target.port, target.host), { password: '', signal: soon() });
    await expect(viewing).rejects.toSatisfy((error: unknown) => {
      return error instanceof ProtocolError && error.message.includes(message);
    });
  });

  test('gives up where the server ends', async () => {
    for (let length = 0; length < start.length; length++) {
      const target = await startVncTarget((socket) => {
        socket.end(Buffer.from(start.slice(0, length), 'latin1'));
        socket.resume();
      });
      const viewing = viewFirstPicture(connect(target.port, target.host), { password: '', signal: soon() });
      await expect(viewing).rejects.toThrow(StreamEndedError);
    }
  });

  test('gives up when its time is over', async () => {
    const target = await startVncTarget((socket) => {
      socket.write(greeting);
      socket.resume();
    });
    const stop = new AbortController();
    const viewing = viewFirstPicture(connect(target.port, target.host), {
      password: '',
      signal: stop.signal,
    });
    await (await target.connection()).waitForBytes(12);
    stop.abort();
    await expect(viewing).rejects.toThrow('abort');
    await waitFor(() => target.connections[0]?.closed(), { what: 'the connection to close' });
  });
});

async function startServer(secret: string): Promise<DemoVnc> {
  const vnc = await startDemoVnc({ host: '127.0.0.1', port: 0, password: secret });
  atEnd(() => vnc.close());
  return vnc;
}

function dial({ port }: DemoVnc): Socket {
  return connect(port, '127.0.0.1');
}

async function greeted(vnc: DemoVnc): Promise<Socket> {
  const socket = dial(vnc).on('error', () => undefined);
  await new ByteReader(socket).read(12);
  return socket;
}

/** A viewer's half of the handshake in any version; a result other than 0 is expected where it is given. */
async function shakeHands(vnc: DemoVnc, secret: string, version = '003.008', result = 0) {
  const socket = dial(vnc);
  const reader = new ByteReader(socket);
  await reader.read(12);
  socket.write(`RFB ${version}\n`);
  const type = secret === '' ? 1 : 2;
  const choosing = version >= '003.007';
  const offer = await reader.read(choosing ? 2 : 4);
  expect([...offer]).toEqual(choosing ? [1, type] : [0, 0, 0, type]);
  if (choosing) socket.write(Buffer.from([type]));
  if (type === 2) socket.write(respondToChallenge(secret, await reader.read(16)));
  if (type === 2 || version >= '003.008') expect(await reader.readUint32()).toBe(result);
  if (result === 0) {
    socket.write(Buffer.from([0]));
    const name = (await reader.read(24)).readUInt32BE(20);
    await reader.skip(name);
  }
  return { socket, reader };
}

/** Reads one FramebufferUpdate and gives the number of its pixels. */
async function skipUpdate(reader: ByteReader): Promise<number> {
  let pixels = 0;
  for (let count = (await reader.read(4)).readUInt16BE(2); count > 0; count--) {
    const head = await reader.read(12);
    const area = head.readUInt16BE(4) * head.readUInt16BE(6);
    await reader.skip(area * 4);
    pixels += area;
  }
  return pixels;
}
