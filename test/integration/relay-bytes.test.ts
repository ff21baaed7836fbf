// What goes in comes out, to the byte: fast writers, readers that stop until the other end is stuck, both directions at
// once, several consoles in one process while others vanish. Every console has a sequence of its own, so that a byte
// of another one, or of an earlier read, is found wherever it turns up.
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { makePki } from '../support/certificates.ts';
import { type Consoles, manySessions, startConsoles } from '../support/consoles.ts';
import { atEnd } from '../support/lifetime.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { rfbGreeting } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';

const megabyte = 1024 * 1024;
/** Of every console that is read to its end. */
const bytesToBrowser = 96 * megabyte;
const bytesToTarget = 24 * megabyte;

let consoles: Consoles;
let token: string;

beforeAll(async () => {
  const { server } = await makePki();
  consoles = await startConsoles({
    flags: {
      ...manySessions,
      workers: 1,
      vnc_proxy_support_wss: 'yes',
      vnc_proxy_cert: server.cert,
      vnc_proxy_key: server.key,
    },
  });
  token = await consoles.tokenFor('127.0.0.1', await startTarget());
});

/** A counter of 32 bits that begins somewhere else for every seed, its words spread over all values. */
function sequenceBytes(seed: number, offset: number, length: number): Buffer {
  const first = Math.floor(offset / 4);
  const words = new Uint32Array(Math.ceil((offset + length) / 4) - first);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(seed + first + i, 0x9e3779b1);
  return Buffer.from(words.buffer, offset - first * 4, length);
}

/** One direction of a console: what was sent and what has come, compared as it comes. */
class Stream {
  sent = 0;
  received = 0;
  private readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
  }

  next(length: number): Buffer {
    const bytes = sequenceBytes(this.seed, this.sent, length);
    this.sent += length;
    return bytes;
  }

  /** @throws where a byte is not the one that was sent */
  check(bytes: Buffer): void {
    const expected = sequenceBytes(this.seed, this.received, bytes.length);
    if (!expected.equals(bytes)) {
      const at = expected.findIndex((byte, index) => byte !== bytes[index]);
      const found = bytes.subarray(at, at + 16).toString('hex');
      throw new Error(
        `wrong bytes at ${this.received + at}: ${found} and not ${expected.subarray(at, at + 16).toString('hex')}`,
      );
    }
    this.received += bytes.length;
  }
}

interface Course {
  readonly seed: number;
  readonly toBrowser: Stream;
  readonly toTarget: Stream;
  readonly bytesToBrowser: number;
  readonly bytesToTarget: number;
  target?: Socket;
  /** Whatever went wrong on either side. */
  problem?: Error;
}

/** Both ends of every console are in this process: they know each other by the seed, the first bytes of a browser. */
const courses = new Map<number, Course>();

function startCourse(seed: number, sizes: Pick<Course, 'bytesToBrowser' | 'bytesToTarget'>): Course {
  const course = { seed, toBrowser: new Stream(seed), toTarget: new Stream(~seed), ...sizes };
  courses.set(seed, course);
  return course;
}

/** Chunks of all sizes: floods, what a screen sends, and a trickle around the sizes at which the memory is changed. */
function chunkSizes(random: Random): () => number {
  const edges = [1, 2, 125, 126, 127, 1023, 1024, 1025, 2048];
  const modes = [
    () => 1 + random(300_000),
    () => 1 + random(16_384),
    () => 1 + random(1500),
    () => edges[random(edges.length)] ?? 1,
  ];
  let mode = modes[0];
  let left = 0;
  return () => {
    if (left-- <= 0) {
      const kind = random(modes.length);
      mode = modes[kind];
      left = random(kind < 2 ? 40 : 400);
    }
    return mode?.() ?? 1;
  };
}

/** Writes `total` bytes as fast as they are taken, now and then with a breath in between. */
function writeAll(socket: Socket, total: number, random: Random, write: (size: number) => number): void {
  const size = chunkSizes(random);
  let written = 0;
  const more = () => {
    while (written < total && !socket.destroyed) {
      written += write(Math.min(size(), total - written));
      if (socket.writableNeedDrain) return void socket.once('drain', more);
      if (random(8) === 0) return void setImmediate(more);
    }
  };
  more();
}

/** Stops reading now and then: for a moment, or until the writer at the other end is stuck. */
function readSlowly(socket: Socket, random: Random, stream: Stream): void {
  let until = 0;
  socket.on('data', () => {
    if (stream.received < until || socket.isPaused()) return;
    until = stream.received + random(8 * megabyte);
    socket.pause();
    if (random(4) > 0) return void setTimeout(() => socket.resume(), random(5));
    let seen = -1;
    const look = () => {
      if (socket.destroyed) return;
      if (stream.sent === seen) return void socket.resume();
      seen = stream.sent;
      setTimeout(look, 20);
    };
    look();
  });
}

async function startTarget(): Promise<number> {
  const server: Server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.write(rfbGreeting);
    let seed = Buffer.alloc(0);
    let course: Course | undefined;
    socket.on('data', (chunk: Buffer) => {
      let bytes = chunk;
      if (course === undefined) {
        seed = Buffer.concat([seed, chunk]);
        if (seed.length < 4) return;
        bytes = seed.subarray(4);
        course = courses.get(seed.readInt32BE(0));
        if (course === undefined) return void socket.destroy();
        serve(socket, course);
      }
      notingProblems(course, socket, () => course?.toTarget.check(bytes));
    });
  });
  atEnd(() => void server.close());
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1024 });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function serve(socket: Socket, course: Course): void {
  const random = seededRandom(course.seed ^ 0x55555555);
  course.target = socket;
  readSlowly(socket, random, course.toTarget);
  writeAll(socket, course.bytesToBrowser, random, (size) => {
    socket.write(course.toBrowser.next(size));
    return size;
  });
}

function notingProblems(course: Course, socket: Socket, check: () => void): void {
  try {
    check();
  } catch (error) {
    course.problem ??= error as Error;
    socket.destroy();
  }
}

/** A browser: its payload is checked as it comes. @returns its socket, the handshake done */
async function openBrowser(course: Course, tls: boolean, random: Random): Promise<Socket> {
  const at = { port: consoles.service.proxyPort, host: '127.0.0.1' };
  const socket = tls ? connectTls({ ...at, rejectUnauthorized: false }) : connect(at);
  atEnd(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, tls ? 'secureConnect' : 'connect');
  socket.setNoDelay(true);
  const lines = [
    `GET /?token=${token} HTTP/1.1`,
    `Host: ${at.host}:${at.port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  let head = '';
  while (!head.endsWith('\r\n\r\n')) {
    const byte = socket.read(1) as Buffer | null;
    if (byte === null) await once(socket, 'readable');
    else head += byte.toString('latin1');
  }
  if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(`no upgrade: ${head}`);
  let greeting = '';
  const readFrames = payloadReader((payload) => {
    const more = Math.min(rfbGreeting.length - greeting.length, payload.length);
    greeting += payload.toString('latin1', 0, more);
    if (more < payload.length) course.toBrowser.check(payload.subarray(more));
  });
  socket.removeAllListeners('readable');
  socket.on('data', (chunk: Buffer) => notingProblems(course, socket, () => readFrames(chunk)));
  readSlowly(socket, random, course.toBrowser);
  const seed = Buffer.alloc(4);
  seed.writeInt32BE(course.seed);
  socket.write(maskedFrame(seed, random));
  socket.resume();
  ping(socket, random);
  return socket;
}

/** Pings without payload, at any time: their answers come in between whatever is on its way to the browser. */
function ping(socket: Socket, random: Random): void {
  if (socket.destroyed) return;
  if (!socket.writableNeedDrain) socket.write(Buffer.from([0x89, 0x80, 1, 2, 3, 4]));
  setTimeout(() => ping(socket, random), random(4));
}

/** Takes the headers off a server's frames. A Close frame ends what is looked at. */
function payloadReader(payload: (bytes: Buffer) => void): (chunk: Buffer) => void {
  let header = Buffer.alloc(0);
  let left = 0;
  let over = false;
  return (chunk) => {
    let at = 0;
    while (at < chunk.length && !over) {
      if (left > 0) {
        const to = Math.min(chunk.length, at + left);
        payload(chunk.subarray(at, to));
        left -= to - at;
        at = to;
        continue;
      }
      header = Buffer.concat([header, chunk.subarray(at, ++at)]);
      const short = header[1] ?? 0;
      if (header.length < 2 || header.length < (short === 127 ? 10 : short === 126 ? 4 : 2)) continue;
      const isPong = header[0] === 0x8a && short === 0;
      if (header[0] === 0x88) over = true;
      else if (header[0] !== 0x82 && !isPong)
        throw new Error(`a frame that begins with ${header.toString('hex')}`);
      left =
        short === 127 ? Number(header.readBigUInt64BE(2)) : short === 126 ? header.readUInt16BE(2) : short;
      header = Buffer.alloc(0);
    }
  };
}

function maskedFrame(payload: Buffer, random: Random): Buffer {
  const { length } = payload;
  const size = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const bytes = Buffer.alloc(size + 4 + length);
  bytes[0] = 0x82;
  bytes[1] = 0x80 | (size === 2 ? length : size === 4 ? 126 : 127);
  if (size === 4) bytes.writeUInt16BE(length, 2);
  if (size === 10) bytes.writeBigUInt64BE(BigInt(length), 2);
  const mask = [random(256), random(256), random(256), random(256)] as const;
  bytes.set(mask, size);
  for (let i = 0; i < length; i++) bytes[size + 4 + i] = (payload[i] as number) ^ (mask[i & 3] as number);
  return bytes;
}

/** A console that is read to its end in both directions. */
async function runWhole(seed: number, tls: boolean): Promise<void> {
  const random = seededRandom(seed);
  const course = startCourse(seed, { bytesToBrowser, bytesToTarget });
  const socket = await openBrowser(course, tls, random);
  writeAll(socket, bytesToTarget, random, (size) => {
    socket.write(maskedFrame(course.toTarget.next(size), random));
    return size;
  });
  const { toBrowser, toTarget } = course;
  let last = -1;
  let progress = performance.now();
  await waitFor(
    () => {
      if (course.problem !== undefined) return true;
      if (socket.destroyed) course.problem ??= new Error('the connection is gone');
      const now = toBrowser.received + toTarget.received;
      if (now !== last) progress = performance.now();
      last = now;
      if (performance.now() - progress > 10_000) course.problem ??= new Error('nothing moves any more');
      return toBrowser.received === bytesToBrowser && toTarget.received === bytesToTarget;
    },
    { what: 'all bytes', deadlineMs: 120_000 },
  );
  socket.destroy();
  courses.delete(seed);
  const state = `to the browser ${toBrowser.received}, to the target ${toTarget.received}`;
  if (course.problem) throw new Error(`console with seed ${seed} (${state}): ${course.problem.message}`);
}

/** Consoles that vanish in the middle of a flood, one after the other, each in another way. */
async function comeAndGo(seed: number, tls: boolean, goOn: () => boolean): Promise<number> {
  const random = seededRandom(seed);
  let count = 0;
  for (; goOn(); count++) {
    const course = startCourse((seed + count * 7919) | 0, {
      bytesToBrowser: 64 * megabyte,
      bytesToTarget: 0,
    });
    const socket = await openBrowser(course, tls, random);
    const enough = random(4 * megabyte);
    await waitFor(() => course.toBrowser.received >= enough || socket.destroyed, { what: 'some bytes' });
    if (random(3) === 0) course.target?.resetAndDestroy();
    else if (tls || random(2) === 0) socket.destroy();
    else socket.resetAndDestroy();
    courses.delete(course.seed);
    if (course.problem) throw new Error(`vanishing console ${course.seed}: ${course.problem.message}`);
  }
  return count;
}

describe('what a fast target and a slow browser send each other', () => {
  it.each([
    ['TCP', [false, false, false, false]],
    ['TLS', [true, true, true, true]],
    ['TCP and TLS on one port', [false, true, false, true]],
  ])(
    'arrives to the byte in both directions over %s, while other consoles come and vanish',
    { timeout: 180_000 },
    async (_what, kinds) => {
      const seed = randomInt(2 ** 31);
      let running = true;
      const others = Promise.allSettled(
        [kinds[0], kinds[1]].map((tls, i) => comeAndGo(~seed - i, tls === true, () => running)),
      );
      const results = await Promise.allSettled(
        kinds.map((tls, i) => runWhole((seed + i * 0x1000003) | 0, tls)),
      );
      running = false;
      const vanished = await others;
      const problems = [...results, ...vanished].flatMap((result) =>
        result.status === 'rejected' ? [String(result.reason)] : [],
      );
      expect(problems, `seed ${seed}`).toEqual([]);
      for (const result of vanished) {
        expect(result.status === 'fulfilled' && result.value, 'consoles that vanished').toBeGreaterThan(0);
      }
    },
  );
});
