// "VNC servers" that do as they are told, on plain TCP: greeting, echoing, flooding, silent, rude.
// Each connection notes the bytes that it got and how it ended.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { atEnd } from './lifetime.ts';
import { waitFor } from './wait.ts';

export const rfbGreeting = 'RFB 003.008\n';

export interface TargetConnection {
  socket: Socket;
  /** Everything that was read; a behaviour that does not read leaves it empty. */
  received(): Buffer;
  receivedBytes(): number;
  /** Waits until so many bytes were read. */
  waitForBytes(bytes: number): Promise<Buffer>;
  /** The other side has sent FIN. */
  ended(): boolean;
  closed(): boolean;
  /** ECONNRESET, where the other side reset the connection. */
  error(): string | undefined;
}

/** What the server does with a connection. Nothing is read unless the behaviour reads it. */
export type Behaviour = (socket: Socket) => void;

/** Reads on and on; `received()` has it. */
export const silent: Behaviour = (socket) => {
  socket.resume();
};

export const greet: Behaviour = (socket) => {
  socket.write(rfbGreeting);
  socket.resume();
};

/** After the greeting everything comes back. */
export const greetAndEcho: Behaviour = (socket) => {
  socket.write(rfbGreeting);
  socket.pipe(socket);
};

/** Greets and never reads a byte. */
export const greetAndStall: Behaviour = (socket) => {
  socket.write(rfbGreeting);
};

export const closeAtOnce: Behaviour = (socket) => {
  socket.end();
};

export const resetAtOnce: Behaviour = (socket) => {
  socket.resetAndDestroy();
};

/** Sends any bytes in the place of the greeting, and reads on. */
export function greetWith(banner: string | Buffer): Behaviour {
  return (socket) => {
    socket.write(banner);
    socket.resume();
  };
}

/** Greets, sends `bytes`, ends its side and goes on reading until the other side ends as well. */
export function greetAndHalfClose(bytes: string | Buffer = ''): Behaviour {
  return (socket) => {
    socket.write(rfbGreeting);
    socket.end(bytes);
    socket.resume();
  };
}

/** Greets and resets the connection when the first bytes arrive. */
export const greetAndReset: Behaviour = (socket) => {
  socket.write(rfbGreeting);
  socket.once('data', () => socket.resetAndDestroy());
  socket.resume();
};

/** Greets and sends as fast as it is taken, up to `bytes`, then ends. Byte n has the value n mod 251. */
export function greetAndFlood(bytes: number): Behaviour {
  return (socket) => {
    socket.write(rfbGreeting);
    socket.resume();
    let sent = 0;
    const more = () => {
      while (sent < bytes && socket.writable) {
        const chunk = floodBytes(sent, Math.min(64 * 1024, bytes - sent));
        sent += chunk.length;
        if (!socket.write(chunk)) return void socket.once('drain', more);
      }
      socket.end();
    };
    more();
  };
}

/** The bytes of a flood from `offset` on. */
export function floodBytes(offset: number, length: number): Buffer {
  const start = offset % floodPeriod;
  const whole = Buffer.alloc(start + length, floodPattern);
  return whole.subarray(start);
}

const floodPeriod = 251;
const floodPattern = Buffer.from(Array.from({ length: floodPeriod }, (_value, index) => index));

export interface VncTarget {
  host: string;
  port: number;
  connections: TargetConnection[];
  /** The n-th connection, when it has come. */
  connection(index?: number): Promise<TargetConnection>;
  stop(): Promise<void>;
}

export async function startVncTarget(
  behaviour: Behaviour,
  { host = '127.0.0.1', port = 0 } = {},
): Promise<VncTarget> {
  const connections: TargetConnection[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    connections.push(observe(socket));
    behaviour(socket);
  });
  server.listen({ host, port, backlog: 1024 });
  await once(server, 'listening');
  const stop = async () => {
    if (!server.listening) return;
    server.close();
    for (const { socket } of connections) socket.destroy();
    await once(server, 'close');
  };
  atEnd(stop);
  return {
    host,
    port: (server.address() as AddressInfo).port,
    connections,
    connection: (index = 0) =>
      waitFor(() => connections[index], { what: `connection ${index} at the VNC server` }),
    stop,
  };
}

function observe(socket: Socket): TargetConnection {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let ended = false;
  let closed = false;
  let problem: string | undefined;
  // Sees what is read without making it flow: that is for the behaviour to decide.
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
  });
  socket.pause();
  socket.once('end', () => {
    ended = true;
    // A real server ends when its client does.
    if (!socket.writableEnded) socket.end();
  });
  socket.once('close', () => {
    closed = true;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    problem = error.code ?? error.message;
  });
  return {
    socket,
    received: () => Buffer.concat(chunks),
    receivedBytes: () => bytes,
    waitForBytes: async (count) => {
      await waitFor(() => bytes >= count, { what: `${count} bytes at the VNC server` });
      return Buffer.concat(chunks);
    },
    ended: () => ended,
    closed: () => closed,
    error: () => problem,
  };
}
