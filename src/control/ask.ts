// A question to the running service, from the other end of the control socket.
// What always holds: whoever asks is told in one line why there is no answer, and never waits without an end.
import { connect } from 'node:net';
import { causeOf, StartError } from '../errors.js';
import { type ControlAnswer, type ControlRequest, parseAnswer } from './messages.js';

/** A service that is at work says so every 5 s. */
const SILENCE_MS = 30_000;

/** Bounded, but longer than any row: a name is at most as long as a whole call of XML-RPC. */
const MAX_LINE_CHARS = 64 * 1024 * 1024;

/** More rows than a service gives. */
const MAX_ANSWERS = 1_000_000;

/** Answers but for `working` and `error`; the last one is `end`. */
export type Told = Exclude<ControlAnswer, { error: string } | { working: true }>;

/**
 * Asks the service that listens on a socket.
 * @throws StartError naming `control_socket`, or with what the service said
 */
export function ask(path: string, request: ControlRequest, silenceMs = SILENCE_MS): Promise<readonly Told[]> {
  return new Promise((resolve, reject) => {
    const told: Told[] = [];
    let pending = '';
    let heard = false;
    const socket = connect({ path });
    const fail = (text: string) => {
      reject(new StartError(text));
      socket.destroy();
    };
    const failHere = (what: string) => fail(`control_socket ${path}: ${what}`);
    const take = (line: string) => {
      const answer = parseAnswer(line);
      if (answer === undefined) return failHere('what answers there is no vnctoken-server of this version');
      if ('error' in answer) return fail(answer.error);
      if ('working' in answer) return;
      told.push(answer);
      if ('end' in answer) {
        resolve(told);
        socket.destroy();
      }
    };
    socket.setEncoding('utf8');
    socket.setTimeout(silenceMs, () => failHere('the service does not answer'));
    socket.once('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('data', (text: string) => {
      heard = true;
      const lines = (pending + text).split('\n');
      pending = lines.pop() ?? '';
      if (pending.length > MAX_LINE_CHARS || told.length > MAX_ANSWERS) return failHere('too long an answer');
      for (const line of lines) if (!socket.destroyed) take(line);
    });
    socket.once('error', (error) =>
      failHere(socket.connecting || !heard ? reasonOf(error) : 'the answer broke off'),
    );
    socket.once('close', () =>
      failHere(
        heard
          ? 'the answer broke off'
          : 'the service hung up: it is stopping, or is asked too much at a time',
      ),
    );
  });
}

function reasonOf(error: Error): string {
  const cause = causeOf(error);
  if (cause === 'ENOENT' || cause === 'ECONNREFUSED') return 'no service answers';
  if (cause === 'EACCES' || cause === 'EPERM')
    return 'permission denied; only the user of the service and root may ask';
  if (cause === 'ECONNRESET' || cause === 'EPIPE')
    return 'the service hung up: it is stopping, or is asked too much at a time';
  return `cannot be asked: ${cause}`;
}
