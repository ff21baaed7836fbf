// WebSocket clients. `openRawWebSocket` sends any bytes whatsoever, the handshake included, and shows every
// frame that comes back; `openConsole` is npm's ws for tests that only want to talk.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type ClientOptions, WebSocket } from 'ws';
import { atEnd } from './lifetime.ts';
import { waitFor } from './wait.ts';

export const opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface FrameOptions {
  opcode?: number;
  payload?: Buffer | string;
  fin?: boolean;
  /** Clients must mask; false is a violation. */
  masked?: boolean;
  /** The three reserved bits, 0-7. */
  reserved?: number;
  /** A length to claim in the place of the payload's own. */
  length?: number | bigint;
}

/** The bytes of one frame, as wrong as asked for. */
export function frame(options: FrameOptions = {}): Buffer {
  const { opcode: code = opcode.binary, fin = true, masked = true, reserved = 0 } = options;
  const payload = Buffer.from(options.payload ?? '');
  const length = options.length ?? payload.length;
  const first = (fin ? 0x80 : 0) | (reserved << 4) | code;
  const head = Buffer.concat([Buffer.from([first]), encodedLength(length, masked)]);
  if (!masked) return Buffer.concat([head, payload]);
  const mask = randomBytes(4);
  const body = Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
  return Buffer.concat([head, mask, body]);
}

/** The payload of a Close frame. */
export function closePayload(code: number, reason: string | Buffer = ''): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return Buffer.concat([head, Buffer.from(reason)]);
}

function encodedLength(length: number | bigint, masked: boolean): Buffer {
  const bit = masked ? 0x80 : 0;
  if (length < 126) return Buffer.from([bit | Number(length)]);
  if (length < 65_536) {
    const short = Buffer.from([bit | 126, 0, 0]);
    short.writeUInt16BE(Number(length), 1);
    return short;
  }
  const long = Buffer.alloc(9);
  long[0] = bit | 127;
  long.writeBigUInt64BE(BigInt(length), 1);
  return long;
}

export interface ServerFrame {
  opcode: number;
  fin: boolean;
  reserved: number;
  masked: boolean;
  payload: Buffer;
}

export interface HandshakeOptions {
  port: number;
  host?: string;
  path?: string;
  method?: string;
  /** Over the usual ones, by their usual spelling; undefined leaves one out. */
  headers?: Record<string, string | undefined>;
  /** Bytes to send in the same packet, right behind the handshake. */
  firstBytes?: Buffer;
  /** TLS without checking the certificate. */
  tls?: boolean;
  /** Bytes to send in the place of a handshake. */
  request?: string | Buffer;
  /** How long the reply to the handshake may take. */
  replyWithinMs?: number;
  /** The address to come from, another one of loopback. */
  localAddress?: string;
}

export interface RawWebSocket {
  socket: Socket;
  status: number;
  statusText: string;
  /** Names in small letters. */
  headers: Record<string, string>;
  /** What followed the head of a reply that was no upgrade, so far. */
  body(): string;
  send(...frames: Buffer[]): void;
  /** Complete frames so far, and the payloads of all data frames in one. */
  frames: ServerFrame[];
  data(): Buffer;
  /** The next frame, in order. */
  nextFrame(): Promise<ServerFrame>;
  /** Waits until so many bytes of data have come. */
  waitForData(bytes: number): Promise<Buffer>;
  /** The server's Close frame; code 1005 where it has no payload. */
  closeFrame(): Promise<{ code: number; reason: string }>;
  /** When the server has ended or reset the connection. */
  ended(): Promise<void>;
}

/** Connects, sends the handshake, and gives back once the head of the reply is there, whatever it says. */
export async function openRawWebSocket(options: HandshakeOptions): Promise<RawWebSocket> {
  const { port, host = '127.0.0.1', tls = false, replyWithinMs: deadlineMs = 10_000, localAddress } = options;
  const to = { port, host, ...(localAddress === undefined ? {} : { localAddress }) };
  const socket = tls ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
  atEnd(() => {
    socket.destroy();
  });
  await once(socket, tls ? 'secureConnect' : 'connect');
  let pending: Buffer = Buffer.alloc(0);
  let head: Head | undefined;
  let ended = false;
  const frames: ServerFrame[] = [];
  socket.setNoDelay(true);
  socket.on('error', () => undefined);
  socket.once('end', () => {
    ended = true;
  });
  socket.once('close', () => {
    ended = true;
  });
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    if (!head) [head, pending] = takeHead(pending);
    if (head?.status === 101) pending = takeFrames(pending, frames);
  });
  const key = randomBytes(16).toString('base64');
  socket.write(Buffer.concat([handshake(options, key), options.firstBytes ?? Buffer.alloc(0)]));
  await waitFor(() => head !== undefined || ended, { what: 'the reply to the handshake', deadlineMs });
  if (!head) throw new Error(`the connection ended without a reply, after "${pending.toString('latin1')}"`);
  const { status, statusText, headers } = head;
  if (status === 101 && !options.request) checkAccept(headers, options.headers?.['Sec-WebSocket-Key'] ?? key);
  const payloads = () =>
    frames.filter(({ opcode: code }) => code <= opcode.binary).map(({ payload }) => payload);
  const data = () => Buffer.concat(payloads());
  let read = 0;
  return {
    socket,
    status,
    statusText,
    headers,
    body: () => pending.toString('utf8'),
    send: (...bytes) => {
      socket.write(Buffer.concat(bytes));
    },
    frames,
    data,
    nextFrame: async () => {
      const next = await waitFor(() => frames[read], { what: `frame ${read} of the server` });
      read++;
      return next;
    },
    waitForData: async (bytes) => {
      if (status !== 101) throw new Error(`no data follow a refusal: ${status} ${pending.toString('utf8')}`);
      await waitFor(() => totalLength(payloads()) >= bytes, { what: `${bytes} bytes of data` });
      return data();
    },
    closeFrame: async () => {
      const find = () => frames.find(({ opcode: code }) => code === opcode.close);
      const { payload } = await waitFor(find, { what: 'a Close frame' });
      if (payload.length === 0) return { code: 1005, reason: '' };
      return { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString('utf8') };
    },
    ended: async () => {
      await waitFor(() => ended, { what: 'the end of the connection' });
    },
  };
}

interface Head {
  status: number;
  statusText: string;
  headers: Record<string, string>;
}

function handshake(options: HandshakeOptions, key: string): Buffer {
  if (options.request !== undefined) return Buffer.from(options.request);
  const { port, host = '127.0.0.1', path = '/', method = 'GET' } = options;
  const headers: Record<string, string | undefined> = {
    Host: `${host}:${port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': key,
    ...options.headers,
  };
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return Buffer.from([`${method} ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n'), 'latin1');
}

function takeHead(bytes: Buffer): [Head | undefined, Buffer] {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return [undefined, bytes];
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const [, status, statusText] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(first) ?? [];
  if (status === undefined) throw new Error(`no HTTP reply: ${first}`);
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  const head = { status: Number(status), statusText: statusText ?? '', headers: Object.fromEntries(headers) };
  return [head, bytes.subarray(end + 4)];
}

/** Moves complete frames to `frames`, gives back the rest. */
function takeFrames(bytes: Buffer, frames: ServerFrame[]): Buffer {
  let rest = bytes;
  for (;;) {
    const taken = takeFrame(rest);
    if (!taken) return rest;
    frames.push(taken[0]);
    rest = rest.subarray(taken[1]);
  }
}

function takeFrame(bytes: Buffer): [ServerFrame, number] | undefined {
  const [first, second] = bytes;
  if (first === undefined || second === undefined) return undefined;
  const masked = (second & 0x80) !== 0;
  const short = second & 0x7f;
  const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
  const start = 2 + lengthBytes + (masked ? 4 : 0);
  if (bytes.length < start) return undefined;
  const length =
    lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : lengthBytes === 2 ? bytes.readUInt16BE(2) : short;
  if (bytes.length < start + length) return undefined;
  const payload = bytes.subarray(start, start + length);
  const fields = { opcode: first & 0x0f, fin: (first & 0x80) !== 0, reserved: (first >> 4) & 7, masked };
  return [{ ...fields, payload }, start + length];
}

/** RFC 6455, 4.2.2: the server proves that it read the key. */
function checkAccept(headers: Record<string, string>, key: string): void {
  const expected = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  if (headers['sec-websocket-accept'] !== expected) throw new Error('wrong Sec-WebSocket-Accept');
}

function totalLength(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}

export interface ConsoleOptions {
  protocols?: readonly string[];
  origin?: string;
  headers?: Record<string, string>;
  /** More of ws's own options. */
  ws?: ClientOptions;
}

export interface ConsoleClient {
  socket: WebSocket;
  /** The HTTP status: 101, or that of the refusal. */
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** The body of a refusal. */
  body: string;
  /** All data so far. */
  data(): Buffer;
  waitForData(bytes: number): Promise<Buffer>;
  closed: Promise<{ code: number; reason: string }>;
}

/** Opens a console with ws. A refusal is a result (`status`), a connection that breaks is an error. */
export function openConsole(url: string, options: ConsoleOptions = {}): Promise<ConsoleClient> {
  const { protocols = [], origin, headers = {} } = options;
  const socket = new WebSocket(url, [...protocols], {
    rejectUnauthorized: false,
    headers,
    ...(origin === undefined ? {} : { origin }),
    ...options.ws,
  });
  atEnd(() => socket.terminate());
  const chunks: Buffer[] = [];
  socket.binaryType = 'nodebuffer';
  socket.on('message', (chunk: Buffer) => chunks.push(chunk));
  const data = () => Buffer.concat(chunks);
  const waitForData = async (bytes: number) => {
    await waitFor(() => totalLength(chunks) >= bytes, { what: `${bytes} bytes of data` });
    return data();
  };
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString('utf8') }));
  });
  return new Promise((resolve, reject) => {
    const client = { socket, data, waitForData, closed };
    let accepted: Record<string, string | string[] | undefined> = {};
    socket.once('upgrade', (response) => {
      accepted = response.headers;
    });
    socket.once('open', () => resolve({ ...client, status: 101, headers: accepted, body: '' }));
    socket.once('unexpected-response', (request, response) => {
      const body: Buffer[] = [];
      response.on('data', (chunk: Buffer) => body.push(chunk));
      response.once('close', () => {
        const text = Buffer.concat(body).toString('utf8');
        resolve({ ...client, status: response.statusCode ?? 0, headers: response.headers, body: text });
        request.destroy();
      });
    });
    socket.on('error', reject);
  });
}
