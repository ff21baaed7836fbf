// Why there is no console on the screen, in words a person can act on.
// Whatever the server said is only ever shown as text, in one line, at a bounded length.

/** How an attempt, or a live console, came to its end. */
export type Ending =
  | {
      readonly kind: 'closed';
      readonly code: number;
      readonly reason: string;
      readonly wasConnected: boolean;
    }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'password'; readonly reason: string }
  | {
      readonly kind: 'protocol' | 'identity' | 'timeout' | 'viewer' | 'damaged-link' | 'no-link' | 'reloaded';
    };

/** What the page shows: a heading, a sentence or two, the server's own words, and whether a new try makes sense. */
export interface Words {
  readonly title: string;
  readonly text: string;
  readonly detail: string;
  readonly retry: boolean;
}

const fromPortal = 'Open the console again from your portal.';

type Sentence = readonly [title: string, text: string, retry: boolean];

// RFC 6455, 7.4.1, and the service's own codes from 4001 on.
const byCode: Readonly<Record<number, Sentence>> = {
  1000: [
    'The console has ended',
    'The machine closed its console. It may have been powered off, restarted or moved to another host.',
    true,
  ],
  1001: [
    'The console service is restarting',
    'It closed the connection on purpose and should be back soon.',
    true,
  ],
  1002: [
    'The connection was broken off',
    'The console service got data that it does not understand. Something on the way may have changed the data, or ' +
      'the machine’s console sends what the service does not know.',
    true,
  ],
  1003: ['The connection was broken off', 'The console service got data of a kind it does not take.', true],
  1007: [
    'The connection was broken off',
    'Something between you and the console service changed the data.',
    true,
  ],
  1009: ['The connection was broken off', 'A message was larger than the console service allows.', true],
  1011: [
    'The machine’s console does not answer',
    'The console service could not reach it. The machine may be starting, stopping or moving to another host.',
    true,
  ],
  4001: [
    'Opened in another window',
    'This console was taken over by another window, which has it now.',
    true,
  ],
  4002: ['Access was withdrawn', 'Somebody ended the access to this console.', false],
  4003: ['The time for this console is over', `Consoles stay open for a limited time. ${fromPortal}`, false],
  4004: ['The machine is gone', 'It was removed, or you no longer have the right to see it.', false],
  4005: [
    'Too many consoles',
    'A limit of the console service was reached. Close another console, then try again.',
    true,
  ],
};

const lost: Sentence = ['The connection was lost', 'The network, or a proxy on the way, dropped it.', true];
const neverUp: Sentence = [
  'No connection',
  'The console service could not be reached. Either the network or a proxy is in the way, your browser does not ' +
    'trust the certificate, or the service does not let this site open consoles.',
  true,
];
const otherCode: Sentence = ['The console has ended', 'The console service closed the connection.', true];

const byKind: Readonly<Record<Exclude<Ending['kind'], 'closed'>, Sentence>> = {
  refused: ['The console cannot be opened', 'It was refused for now. Try again in a moment.', true],
  password: ['The password was not accepted', 'Type the console’s password again.', true],
  protocol: ['The console cannot be shown', 'It speaks in a way that this page does not understand.', true],
  identity: [
    'The console cannot be shown',
    'It wants its identity confirmed, which this page does not offer.',
    false,
  ],
  timeout: ['No answer', 'The console did not answer in time.', true],
  viewer: [
    'The viewer could not be loaded',
    'Check the network and reload; a browser of the last few years is needed.',
    false,
  ],
  'damaged-link': ['This link is damaged', `Part of it was lost or changed on the way. ${fromPortal}`, false],
  'no-link': [
    'No console chosen',
    'This page shows the console of a machine. Open one from your portal.',
    false,
  ],
  reloaded: [
    'The page was loaded anew',
    `For safety a console link is used once and not kept. ${fromPortal}`,
    false,
  ],
};

// The service's one sentence for a token that is unknown, expired, used up or forged: no use in trying again.
const invalidLink = /^This console link is not valid any more\b/;
const linkIsOver: Sentence = ['The console cannot be opened', fromPortal, false];

// The service's sentence where somebody answers in the window that has the console.
const inUse = /^This console is in use in another window\b/;
const isElsewhere: Sentence = [
  'In use in another window',
  'Somebody has this console open. Close that window, then try again.',
  true,
];

// The service's sentence for a machine's console that it did not reach; another one says what went wrong there.
const notReached = /^(Failed to connect to downstream server)?$/;
const wentWrong: Sentence = [
  'The console cannot be opened',
  'The machine’s console and the service did not come together. The reason below is for whoever runs the service.',
  true,
];

// Control characters and marks that turn the writing direction could make a hostile text look like ours.
const unprintable = /[\p{Cc}\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu;

/** A text from the other side, as one printable line of at most `limit` characters. */
export function printable(text: string, limit = 200): string {
  const line = [...text.replace(unprintable, ' ').trim()];
  return line.length > limit ? `${line.slice(0, limit - 1).join('')}…` : line.join('');
}

function sentenceFor(ending: Ending): Sentence {
  if (ending.kind === 'refused' && invalidLink.test(ending.reason)) return linkIsOver;
  if (ending.kind === 'refused' && inUse.test(ending.reason)) return isElsewhere;
  if (ending.kind !== 'closed') return byKind[ending.kind];
  if (ending.code === 1011 && !notReached.test(ending.reason)) return wentWrong;
  if (ending.code === 1006) return ending.wasConnected ? lost : neverUp;
  return byCode[ending.code] ?? otherCode;
}

/** The words for an ending. `detail` is for the support desk: the server's reason, with the close code. */
export function explain(ending: Ending): Words {
  const [title, text, retry] = sentenceFor(ending);
  const reason = 'reason' in ending ? printable(ending.reason) : '';
  const code = ending.kind === 'closed' ? `code ${ending.code}` : '';
  const detail = [reason, code].filter((part) => part !== '').join(' · ');
  return { title, text, detail, retry };
}
