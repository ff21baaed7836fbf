// HTTP as bytes: requests that no library would send, and whatever comes back.
import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { atEnd } from './lifetime.ts';
import { within } from './wait.ts';

export interface RawExchange {
  port: number;
  host?: string;
  /** The request as it goes out; header lines end in CRLF. */
  request: string | Buffer;
  /** Without checking the certificate. */
  tls?: boolean;
  /** The address to come from, another one of loopback. */
  localAddress?: string;
}

export interface RawReply {
  /** 0 where the connection ended without a reply. */
  status: number;
  /** Of the first reply, in small letters: `name: value`. */
  headers: string[];
  /** Everything behind the first reply's head. */
  rest: string;
}

/** Sends a request and reads until the other side ends the connection, or has answered in full. */
export async function rawExchange(exchange: RawExchange): Promise<RawReply> {
  const { port, host = '127.0.0.1', request, tls = false, localAddress } = exchange;
  const to = { port, host, ...(localAddress === undefined ? {} : { localAddress }) };
  const socket = tls ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
  atEnd(() => void socket.destroy());
  let received = '';
  socket.on('error', () => {});
  const ended = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    socket.on('data', (chunk: Buffer) => {
      received = (received + chunk.toString('latin1')).replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
      if (isWhole(received)) resolve();
    });
  });
  await once(socket, tls ? 'secureConnect' : 'connect');
  socket.write(request);
  const first = String(request).split('\r\n', 1)[0]?.slice(0, 100);
  await within(ended, { what: `an answer to ${first}`, deadlineMs: 20_000 });
  socket.destroy();
  const [head = '', ...rest] = received.split('\r\n\r\n');
  const [line = '', ...headers] = head.split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(line)?.[1] ?? 0);
  return { status, headers: headers.map((header) => header.toLowerCase()), rest: rest.join('\r\n\r\n') };
}

/** An upgrade needs no more than its head; of others the length is told, or the connection ends. */
function isWhole(received: string): boolean {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return false;
  if (received.startsWith('HTTP/1.1 101')) return true;
  const length = /\r\ncontent-length: *(\d+)/i.exec(received.slice(0, end))?.[1];
  return length !== undefined && received.length >= end + 4 + Number(length);
}
