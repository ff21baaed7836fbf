// Peers that stop reading, fifty at a time: what a stuck session holds is bounded, measured on the memory of the process.
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { type Consoles, manySessions, startConsoles } from '../support/consoles.ts';
import { type Behaviour, greet, greetAndStall, rfbGreeting, silent } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { frame, opcode, type RawWebSocket } from '../support/ws-client.ts';

const megabyte = 1024 * 1024;
const sessions = 50;
/** The process itself grows as it works; this much is no session's. */
const slackBytes = 24 * megabyte;

function memoryBytes({ service }: Consoles): number {
  return (
    Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${service.child.pid}/status`, 'utf8'))?.[1]) * 1024
  );
}

/** Waits until a count has not moved for a while: whatever is on the way is full. */
async function standstill(count: () => number, what: string): Promise<void> {
  let seen = -1;
  let since = performance.now();
  await waitFor(
    () => {
      const now = count();
      if (now !== seen) since = performance.now();
      seen = now;
      return now > 0 && performance.now() - since > 700;
    },
    { what, deadlineMs: 60_000 },
  );
}

/** Writes `bytes` over and over, as long as they are taken. @returns how many bytes have left this process */
function writeOnAndOn(socket: Socket, bytes: Buffer, first: Buffer = bytes): () => number {
  socket.write(first);
  const more = () => {
    while (!socket.destroyed && socket.write(bytes));
  };
  socket.on('drain', more);
  more();
  return () => socket.bytesWritten - socket.writableLength;
}

const sum = (counts: (() => number)[]) => () => counts.reduce((total, count) => total + count(), 0);

async function openSessions(
  consoles: Consoles,
  token: string,
  afterGreeting = true,
): Promise<RawWebSocket[]> {
  const opened: RawWebSocket[] = [];
  for (let i = 0; i < sessions; i++) opened.push(await consoles.open(token));
  if (afterGreeting) await Promise.all(opened.map((one) => one.waitForData(rfbGreeting.length)));
  return opened;
}

/** Once around, so that what every process needs for its work is not counted. */
async function warmedUp(): Promise<Consoles> {
  const consoles = await startConsoles({ flags: { ...manySessions, workers: 1 } });
  const { token } = await consoles.console(greet);
  for (const { socket } of await openSessions(consoles, token)) socket.destroy();
  return consoles;
}

describe('fifty sessions hold a megabyte each at most', () => {
  it('when the browsers do not read what the targets send', async () => {
    const consoles = await warmedUp();
    const counts: (() => number)[] = [];
    const flood: Behaviour = (socket) => {
      socket.write(rfbGreeting);
      // Behind the greeting, which the browser still reads.
      socket.once('data', () => counts.push(writeOnAndOn(socket, Buffer.alloc(256 * 1024, 1))));
      socket.resume();
    };
    const { token } = await consoles.console(flood);
    const opened = await openSessions(consoles, token);
    const before = memoryBytes(consoles);
    for (const { socket, send } of opened) {
      socket.pause();
      send(frame({ payload: 'x' }));
    }
    await waitFor(() => counts.length === sessions, { what: 'the floods' });
    await standstill(sum(counts), 'the floods to stop');
    expect(memoryBytes(consoles) - before).toBeLessThan(sessions * megabyte + slackBytes);
  }, 90_000);

  const small = Buffer.concat(Array.from({ length: 20_000 }, () => frame({ payload: 'x' })));
  const pings = Buffer.concat(
    Array.from({ length: 500 }, () => frame({ opcode: opcode.ping, payload: 'x'.repeat(125) })),
  );

  it.each([
    ['large frames', frame({ payload: Buffer.alloc(256 * 1024) })],
    [
      'frames of 2 KB',
      Buffer.concat(Array.from({ length: 32 }, () => frame({ payload: Buffer.alloc(2048) }))),
    ],
    ['frames of one byte', small],
  ])(
    'when the targets do not read what the browsers send in %s',
    async (_what, bytes) => {
      const consoles = await warmedUp();
      const { token } = await consoles.console(greetAndStall);
      const opened = await openSessions(consoles, token);
      const before = memoryBytes(consoles);
      // Most of what the kernel takes is taken as large frames, which is quicker.
      const first = Buffer.concat(Array(3).fill(frame({ payload: Buffer.alloc(megabyte) })));
      await standstill(
        sum(opened.map(({ socket }) => writeOnAndOn(socket, bytes, first))),
        'the browsers to be stuck',
      );
      expect(memoryBytes(consoles) - before).toBeLessThan(sessions * megabyte + slackBytes);
    },
    90_000,
  );

  it('when the browsers do not read the answers to their pings', async () => {
    const consoles = await warmedUp();
    const { token } = await consoles.console(greet);
    const opened = await openSessions(consoles, token);
    for (const { socket } of opened) socket.pause();
    const before = memoryBytes(consoles);
    await standstill(
      sum(opened.map(({ socket }) => writeOnAndOn(socket, pings))),
      'the browsers to be stuck',
    );
    expect(memoryBytes(consoles) - before).toBeLessThan(sessions * megabyte + slackBytes);
  }, 90_000);

  it.each([
    ['large frames', frame({ payload: Buffer.alloc(256 * 1024) })],
    ['frames of one byte', small],
  ])(
    'when the browsers send %s before the targets have greeted',
    async (_what, bytes) => {
      const consoles = await warmedUp();
      const { token } = await consoles.console(silent);
      const opened = await openSessions(consoles, token, false);
      const before = memoryBytes(consoles);
      await standstill(
        sum(opened.map(({ socket }) => writeOnAndOn(socket, bytes))),
        'the browsers to be stuck',
      );
      expect(memoryBytes(consoles) - before).toBeLessThan(sessions * megabyte + slackBytes);
    },
    90_000,
  );
});
