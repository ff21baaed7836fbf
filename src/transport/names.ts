// Names of hypervisors to addresses, remembered briefly: a look-up costs more than the rest of a connect.
// What always holds: an answer is not older than a few seconds, failures are not remembered, and who asks for the same
// name at the same time waits for the same answer.
import { type LookupAddress, lookup } from 'node:dns';
import { isIP } from 'node:net';
import { untilAborted } from '../until-aborted.js';

const REMEMBER_MS = 10_000;
const MAX_NAMES = 1_000;

interface Answer {
  readonly addresses: Promise<readonly LookupAddress[]>;
  /** Infinity while it is being asked for. */
  until: number;
}

const answers = new Map<string, Answer>();

/**
 * All addresses of a name, at least one, in the system's order of preference; an IP address is its own.
 * @throws the system's error, ENOTFOUND for one; the signal's reason when it fires first
 */
export async function resolveName(name: string, signal: AbortSignal): Promise<readonly LookupAddress[]> {
  signal.throwIfAborted();
  const family = isIP(name);
  if (family !== 0) return [{ address: name, family }];
  const known = answers.get(name);
  const answer = known !== undefined && known.until > performance.now() ? known : ask(name);
  // The system's look-up cannot be called off.
  return untilAborted(answer.addresses, signal);
}

function ask(name: string): Answer {
  const answer: Answer = { addresses: lookUp(name), until: Number.POSITIVE_INFINITY };
  if (answers.size >= MAX_NAMES) answers.clear();
  answers.set(name, answer);
  answer.addresses.then(
    () => {
      answer.until = performance.now() + REMEMBER_MS;
    },
    () => {
      if (answers.get(name) === answer) answers.delete(name);
    },
  );
  return answer;
}

function lookUp(name: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup(name, { all: true }, (error, addresses) => {
      if (error) reject(error);
      else if (addresses.length > 0) resolve(addresses);
      else reject(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }));
    });
  });
}
