// Names of hypervisors to addresses, remembered briefly: a look-up costs more than the rest of a connect.
// What always holds: an answer is not older than a few seconds, and failures are not remembered.
import { type LookupAddress, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';

const REMEMBER_MS = 10_000;
const MAX_NAMES = 1_000;

interface Answer {
  readonly addresses: LookupAddress[];
  readonly until: number;
}

const answers = new Map<string, Answer>();

/** In place of `dns.lookup` for `net.connect`, which asks for all addresses and tries them in turn. */
export const rememberedLookup: LookupFunction = (name, options, callback) => {
  const known = answers.get(name);
  if (known !== undefined && known.until > performance.now()) return give(known.addresses);
  lookup(name, { all: true }, (error, addresses) => {
    if (error) return callback(error, '', 0);
    if (answers.size >= MAX_NAMES) answers.clear();
    answers.set(name, { addresses, until: performance.now() + REMEMBER_MS });
    give(addresses);
  });

  function give(all: LookupAddress[]): void {
    const fitting =
      options.family === 4 || options.family === 6 ? all.filter((one) => one.family === options.family) : all;
    const first = fitting[0];
    if (first === undefined) callback(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }), '', 0);
    else if (options.all === true) callback(null, fitting);
    else callback(null, first.address, first.family);
  }
};
