// Somebody who floods the service, and what that does to the calls of somebody else.
// What always holds: both medians are of the same run, and the flood is known to be answered while they are taken.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { atEnd } from './lifetime.ts';
import { waitFor } from './wait.ts';

const program = join(import.meta.dirname, 'flood.mjs');

export interface Flood {
  readonly host?: string;
  readonly port: number;
  /** Each asks again when it has its answer. */
  readonly connections: number;
  /** Of all of them together: enough to keep the service busy, not so much that the machine is. */
  readonly perSecond: number;
  /** Whole HTTP requests, in turns. */
  readonly requests: readonly (string | Buffer)[];
  /** Without, each request has a connection of its own. */
  readonly keepAlive?: boolean;
}

export interface RunningFlood {
  /** Answers so far, a moment ago. */
  answers(): number;
  stop(): Promise<void>;
}

/** An XML-RPC call as it goes over the wire, from an address that a trusted proxy names. */
export function postOf(body: string | Buffer, from?: string): Buffer {
  const bytes = Buffer.from(body);
  const forwarded = from === undefined ? '' : `X-Forwarded-For: ${from}\r\n`;
  const head = `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\n${forwarded}Content-Length: ${bytes.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), bytes]);
}

/** Floods until it is stopped, or the test ends. Settles when it has had its first answers. */
export async function startFlood(flood: Flood): Promise<RunningFlood> {
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  atEnd(stop);
  let answers = 0;
  child.stdout.on('data', (text: Buffer) => {
    answers = Number(text.toString().trim().split('\n').at(-1));
  });
  const requests = flood.requests.map((request) => Buffer.from(request).toString('base64'));
  child.stdin.end(JSON.stringify({ host: '127.0.0.1', keepAlive: true, ...flood, requests }));
  await waitFor(() => answers > flood.connections, {
    what: 'the first answers of a flood',
    deadlineMs: 25_000,
  });
  return { answers: () => answers, stop };
}

/** Milliseconds that a call takes, the one in the middle of so many one after the other. */
export async function medianOf(calls: number, call: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < calls; i++) {
    const startedAt = performance.now();
    await call();
    times.push(performance.now() - startedAt);
  }
  return times.toSorted((one, other) => one - other)[Math.floor(calls / 2)] ?? 0;
}
