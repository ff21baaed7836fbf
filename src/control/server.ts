// The control socket of a running service: who is on a console, which tokens live, and their end, for whoever may
// act as the service's user. Runs in the control plane.
// What always holds: a request a connection; connections, their bytes and their time are bounded.
import { createServer, type Socket } from 'node:net';
import type { Revocation } from '../console/revoke.js';
import { toGatewayError } from '../errors.js';
import type { Logger } from '../log.js';
import { answerRequest } from './answer.js';
import { type ControlAnswer, parseRequest } from './messages.js';
import { RequestError, readRequestLine } from './request-line.js';
import { listenPrivately, PlaceError } from './socket-file.js';

export interface ControlServerOptions {
  /** Absolute path of the socket. */
  readonly path: string;
  /** Whether a place that cannot be used is an error; else it is a warning, and nobody can ask. */
  readonly required: boolean;
  readonly revocation: Revocation;
  readonly logger: Logger;
  /** What a revocation cannot do, for whoever asked for one. */
  readonly note?: string | undefined;
  readonly times?: ControlTimes | undefined;
}

/** All in milliseconds. */
export interface ControlTimes {
  /** For a request to arrive. */
  readonly request: number;
  /** For a reader to take what was written, at a time. */
  readonly reader: number;
  /** Whoever waits is told that often that there is still somebody. */
  readonly working: number;
}

export interface ControlServer {
  /** @throws StartError naming `control_socket` */
  start(): Promise<void>;
  /** Waits a moment for what is being answered. Harmless where it was not started. */
  stop(): Promise<void>;
}

/** Administrators are few; who comes on top finds the connection closed. */
const MAX_CONNECTIONS = 16;
const TIMES: ControlTimes = { request: 5_000, reader: 10_000, working: 5_000 };
const STOP_MS = 1_000;
/** Rows are written together, up to about so many characters. */
const GATHER_CHARS = 65_536;

export function createControlServer(options: ControlServerOptions): ControlServer {
  const { path, required, logger } = options;
  const open = new Map<Socket, Connection>();
  let removeFile: (() => void) | undefined;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection: Connection = { answering: false, done: Promise.resolve() };
    open.set(socket, connection);
    connection.done = attend(socket, connection, options).finally(() => open.delete(socket));
  });
  server.maxConnections = MAX_CONNECTIONS;

  return {
    start: async () => {
      try {
        removeFile = await listenPrivately(server, path);
      } catch (error) {
        server.close();
        if (required || !(error instanceof PlaceError)) throw error;
        logger.warn(`${error.message}; sessions, tokens and revoke do not reach this service`);
        return;
      }
      // Out of descriptors: it goes on as soon as it can.
      server.on('error', () => {});
    },
    stop: async () => {
      removeFile?.();
      removeFile = undefined;
      server.close();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, STOP_MS);
      });
      for (const [socket, { answering }] of open) if (!answering) socket.destroy();
      await Promise.race([Promise.all([...open.values()].map(({ done }) => done)), late]);
      clearTimeout(timer);
      for (const socket of open.keys()) socket.destroy();
    },
  };
}

interface Connection {
  /** It has brought its request. */
  answering: boolean;
  done: Promise<void>;
}

/** One connection, from its request to its end. */
async function attend(socket: Socket, connection: Connection, options: ControlServerOptions): Promise<void> {
  // Whoever asked may go at any time.
  socket.on('error', () => {});
  const times = options.times ?? TIMES;
  const working = setInterval(() => {
    if (socket.writableLength === 0 && socket.writable) socket.write(lineOf({ working: true }));
  }, times.working);
  try {
    const request = parseRequest(await readRequestLine(socket, times.request));
    connection.answering = true;
    if (request === undefined) throw new RequestError('this is no request');
    await sendAll(socket, await answerRequest(request, options), times.reader);
  } catch (error) {
    await sendAll(socket, [{ error: publicText(error, options.logger) }], times.reader).catch(() => {});
  } finally {
    clearInterval(working);
    await finish(socket, times.reader);
  }
}

function publicText(error: unknown, logger: Logger): string {
  if (error instanceof RequestError) return error.message;
  const { code, publicText: text, detail, logLevel } = toGatewayError(error);
  logger[logLevel]({ code, detail }, 'a command through the control socket failed');
  return text;
}

/** Writes as fast as it is read. @throws RequestError where it is not read at all */
async function sendAll(socket: Socket, answers: Iterable<ControlAnswer>, readerMs: number): Promise<void> {
  let text = '';
  for (const answer of answers) {
    text += lineOf(answer);
    if (text.length < GATHER_CHARS) continue;
    await send(socket, text, readerMs);
    text = '';
  }
  await send(socket, text, readerMs);
}

function lineOf(answer: ControlAnswer): string {
  return `${JSON.stringify(answer)}\n`;
}

function send(socket: Socket, text: string, readerMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = () => {
      settle(() => reject(new RequestError('nobody reads the answer')));
      socket.destroy();
    };
    const timer = setTimeout(gone, readerMs);
    const settle = (outcome: () => void) => {
      clearTimeout(timer);
      socket.off('close', gone);
      outcome();
    };
    if (socket.destroyed) return gone();
    socket.once('close', gone);
    socket.write(text, () => settle(resolve));
  });
}

/** Says goodbye to a reader; one who does not read has had its time. */
function finish(socket: Socket, readerMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve();
    const timer = setTimeout(() => socket.destroy(), readerMs);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.end(() => socket.destroy());
  });
}
