// A client that never stops, in a process of its own, so that what it costs is not the test's. Told on standard input, as
// JSON: { host, port, connections, perSecond, requests (base64), keepAlive }. Says on standard output, a line a second,
// how many answers it had.
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const { host, port, connections, perSecond, requests, keepAlive } = JSON.parse(await standardInput());
const bytes = requests.map((text) => Buffer.from(text, 'base64'));
let sent = 0;
let answers = 0;
let nextAt = performance.now();

setInterval(() => process.stdout.write(`${answers}\n`), 200);
for (let i = 0; i < connections; i++) void client();

async function client() {
  for (;;) {
    try {
      await converse();
    } catch {
      // Refused or cut off: that is what a flood meets.
      await pause(50);
    }
  }
}

/** One connection, for as long as it is kept. */
async function converse() {
  const socket = connect({ host, port, noDelay: true });
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  try {
    do {
      await turn();
      socket.write(bytes[sent++ % bytes.length]);
      if (!(await answered(socket, closed))) return;
      answers++;
    } while (keepAlive);
  } finally {
    socket.destroy();
  }
}

/** Waits until the pace allows another request. */
async function turn() {
  nextAt = Math.max(nextAt + 1000 / perSecond, performance.now() - 1000);
  const wait = nextAt - performance.now();
  if (wait > 0) await pause(wait);
}

/** Whether there was a whole answer. */
function answered(socket, closed) {
  let head = '';
  let left = Number.POSITIVE_INFINITY;
  return Promise.race([
    closed.then(() => head !== ''),
    new Promise((resolve) => {
      const read = (chunk) => {
        if (left === Number.POSITIVE_INFINITY) {
          head += chunk.toString('latin1');
          const end = head.indexOf('\r\n\r\n');
          if (end === -1) return;
          const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
          left = length - (head.length - end - 4);
        } else left -= chunk.length;
        if (left > 0) return;
        socket.off('data', read);
        resolve(true);
      };
      socket.on('data', read);
    }),
  ]);
}

async function standardInput() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
