// Targets that offer a security type which then does not work, beside others: the next best is taken over a new
// connection, each type once, never below what is required, and never after something was proved.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { secureTarget } from '../../src/rfb/secure-target.ts';
import type { SecurityOptions } from '../../src/rfb/security-options.ts';
import { answerChallenge } from '../../src/rfb/vnc-response.ts';
import { makePki, type Pki } from '../support/certificates.ts';
import { atEnd } from '../support/lifetime.ts';
import { u32 } from '../support/rfb-messages.ts';
import { greet } from '../support/rfb-scenes.ts';
import { playScript, reason, type Script, type Stage } from '../support/rfb-script.ts';
import { dial } from '../support/rfb-viewer.ts';
import type { VncTarget } from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';

const password = 'secret12';
const challenge = Buffer.from('03727513da4ef9f18f15872b9d051187', 'hex');
let pki: Pki;

beforeAll(async () => {
  pki = await makePki();
});

const tlsOptions = () => ({ cert: readFileSync(pki.server.cert), key: readFileSync(pki.server.key) });

/** What a target of these tests does once VeNCrypt was taken. */
type Vencrypt = (stage: Stage) => Promise<void> | void;

/** Greets with these types; VncAuth and None work, VeNCrypt is as it is given. */
function offering(types: readonly number[], vencrypt: Vencrypt, own: Record<number, Vencrypt> = {}): Script {
  return async (stage) => {
    await greet(stage);
    stage.send([types.length, ...types]);
    const [type = 0] = await stage.read(1);
    const play = own[type] ?? { 19: vencrypt, 2: vncAuth, 1: nothing }[type];
    await play?.(stage);
  };
}

const vncAuth: Vencrypt = async ({ send, read }) => {
  send(challenge);
  const answer = await read(16);
  send(u32(answer.equals(answerChallenge(challenge, password)) ? 0 : 1));
};
const nothing: Vencrypt = ({ send }) => send(u32(0));
const leave: Vencrypt = ({ end }) => end();

/** VeNCrypt 0.2 with a list; `consents` are to the types that may be chosen. */
function listing(types: readonly number[], consents: Record<number, Vencrypt> = {}): Vencrypt {
  return async (stage) => {
    stage.send([0, 2]);
    await stage.read(2);
    stage.send([0, types.length]);
    for (const type of types) stage.send(u32(type));
    const chosen = (await stage.read(4)).readUInt32BE();
    await consents[chosen]?.(stage);
  };
}

const refuse: Vencrypt = ({ send }) => send([0]);
const consent =
  (then: Vencrypt): Vencrypt =>
  async (stage) => {
    stage.send([1]);
    stage.beginTls(tlsOptions());
    await then(stage);
  };

async function secure(target: VncTarget, asked: Partial<SecurityOptions> = {}, signal?: AbortSignal) {
  const told: string[] = [];
  const tls = { ca: readFileSync(pki.ca.cert) };
  const options = { host: target.host, credentials: { password }, require: [], tls, ...asked };
  const next = { reconnect: () => dial(target), told: (why: string) => told.push(why) };
  const present = signal ?? new AbortController().signal;
  const secured = await within(secureTarget(await dial(target), options, present, next), {
    what: 'the handshake',
  });
  atEnd(() => secured.connection.destroy());
  return { ...secured, told };
}

async function outcome(target: VncTarget, asked: Partial<SecurityOptions> = {}): Promise<string> {
  try {
    return (await secure(target, asked)).security;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    await waitFor(() => target.connections.every(({ closed }) => closed()), {
      what: 'the end of all of them',
    });
    return error.detail;
  }
}

const nameless = { password };
const alice = { password, username: 'alice' };

interface Case {
  what: string;
  script: Script;
  taken: string;
  connections: number;
  asked?: Partial<SecurityOptions>;
}

const works: Case[] = [
  {
    what: 'has an empty list in VeNCrypt',
    script: offering([19, 2], listing([])),
    taken: 'VncAuth',
    connections: 2,
  },
  {
    what: 'wants a user name inside of VeNCrypt, and there is none',
    script: offering([1, 19], listing([262])),
    asked: { credentials: nameless },
    taken: 'None',
    connections: 2,
  },
  {
    what: 'has only what is not spoken here in VeNCrypt',
    script: offering([19, 2, 1], listing([256, 263, 264])),
    asked: { credentials: alice },
    taken: 'VncAuth',
    connections: 2,
  },
  {
    what: 'wants a password inside of VeNCrypt, and the VM has none',
    script: offering([19, 1], listing([261, 258])),
    asked: { credentials: { password: '' } },
    taken: 'None',
    connections: 2,
  },
  {
    what: 'has in VeNCrypt not what is required, and beside it',
    script: offering([19, 2], listing([260, 257])),
    asked: { require: ['password'] },
    taken: 'VncAuth',
    connections: 2,
  },
  {
    what: 'speaks an older VeNCrypt',
    script: offering([19, 2], async ({ send }) => send([0, 1])),
    taken: 'VncAuth',
    connections: 2,
  },
  {
    what: 'refuses the VeNCrypt that it has named',
    script: offering([2, 19], async ({ send, read }) => {
      send([0, 2]);
      await read(2);
      send([255]);
    }),
    taken: 'VncAuth',
    connections: 2,
  },
  {
    what: 'leaves when VeNCrypt is chosen',
    script: offering([19, 2], leave),
    taken: 'VncAuth',
    connections: 2,
  },
  {
    what: 'leaves when one of its VeNCrypt is chosen',
    script: offering([19, 2], listing([261], { 261: leave })),
    taken: 'VncAuth',
    connections: 2,
  },
  {
    what: 'refuses the one type of its VeNCrypt',
    script: offering([19, 2], listing([260], { 260: refuse })),
    taken: 'VncAuth',
    connections: 2,
  },
  {
    what: 'refuses the best type of its VeNCrypt, and not the next',
    script: offering([19], listing([260, 261], { 261: refuse, 260: consent(nothing) })),
    taken: 'X509None',
    connections: 2,
  },
  {
    what: 'refuses one type of its VeNCrypt after the other',
    script: offering([19, 2], listing([260, 261, 262], { 262: refuse, 261: refuse, 260: refuse })),
    asked: { credentials: alice },
    taken: 'VncAuth',
    connections: 4,
  },
  {
    what: 'refuses a type of its VeNCrypt, and has what it has beside it there as well',
    script: offering([19, 2], listing([261, 2], { 261: refuse, 2: vncAuth })),
    taken: 'VncAuth',
    connections: 2,
  },
  {
    what: 'has something weaker in VeNCrypt than beside it',
    script: offering([19, 2], listing([1, 256])),
    taken: 'VncAuth',
    connections: 2,
  },
  {
    what: 'leaves when a password is to be proved, and lets everybody in',
    script: offering([2, 1], leave, { 2: leave }),
    taken: 'None',
    connections: 2,
  },
  {
    what: 'has the same in VeNCrypt as beside it',
    script: offering([19, 2, 1], listing([2, 1], { 2: vncAuth })),
    taken: 'VncAuth',
    connections: 1,
  },
  {
    what: 'has all that it offers',
    script: offering([1, 2, 19], listing([257, 260], { 260: consent(nothing) })),
    taken: 'X509None',
    connections: 1,
  },
];

describe('a target that', () => {
  test.each(works)('$what is taken by $taken', async ({ script, taken, connections, asked }) => {
    const target = await playScript(script);
    expect(await outcome(target, asked)).toBe(taken);
    expect(target.connections).toHaveLength(connections);
    // None but the last is left.
    await waitFor(() => target.connections.filter(({ closed }) => !closed()).length === 1, {
      what: 'the end of the others',
    });
  });

  test.each(works)('$what is told of, each time', async ({ script, asked, connections }) => {
    const { told } = await secure(await playScript(script), asked);
    expect(told).toHaveLength(connections - 1);
    for (const why of told) expect(why).toMatch(/^(the )?(target|VM)/);
  });
});

const refused: (Omit<Case, 'taken'> & { told: string })[] = [
  {
    what: 'has nothing in VeNCrypt where TLS is required',
    script: offering([19, 2, 1], listing([])),
    asked: { require: ['tls'] },
    told: 'the target speaks VeNCrypt and offers no type of it',
    connections: 1,
  },
  {
    what: 'refuses its certificate where one is required, and has anonymous TLS',
    script: offering([19, 2], listing([261, 258, 2], { 261: refuse })),
    asked: { require: ['x509'] },
    told: 'the target offers X509Vnc and then refuses it (has it a certificate?)',
    connections: 1,
  },
  {
    what: 'breaks its VeNCrypt where a password is required, and offers none beside it',
    script: offering([19, 1], leave),
    asked: { require: ['password'] },
    told: 'the target closed the connection before its VeNCrypt version',
    connections: 1,
  },
  {
    what: 'wants a user name, and beside it a password that the VM has not',
    script: offering([19, 2], listing([262])),
    asked: { credentials: { password: '' } },
    told: 'the target needs a user name, and none is set for it (vnc_user)',
    connections: 1,
  },
  {
    what: 'has nothing beside its VeNCrypt',
    script: offering([19, 16, 30], listing([262])),
    told: 'the target needs a user name, and none is set for it (vnc_user)',
    connections: 1,
  },
  {
    what: 'shows a certificate that is not accepted',
    script: offering([19, 2, 1], listing([261, 258], { 261: consent(vncAuth) })),
    asked: { tls: {} },
    told: "the target's certificate is not accepted for 127.0.0.1: UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    connections: 1,
  },
  {
    what: 'shows a certificate for another host',
    script: offering([19, 2, 1], listing([261, 258], { 261: consent(vncAuth) })),
    asked: { host: 'node1' },
    told: "the target's certificate is not accepted for node1: ERR_TLS_CERT_ALTNAME_INVALID",
    connections: 1,
  },
  {
    what: 'answers TLS with something else',
    script: offering(
      [19, 2, 1],
      listing([260], { 260: ({ send }) => send('\x01HTTP/1.1 400 Bad Request\r\n') }),
    ),
    told: 'TLS with the target failed: ERR_SSL_WRONG_VERSION_NUMBER',
    connections: 1,
  },
  {
    what: 'leaves inside of TLS',
    script: offering(
      [19, 2, 1],
      listing([261], {
        261: consent((stage) => {
          stage.send([1]);
          stage.end();
        }),
      }),
    ),
    told: 'the target closed the connection before its challenge (it may want another client certificate)',
    connections: 1,
  },
  {
    what: 'refuses the password inside of TLS',
    script: offering(
      [19, 2, 1],
      listing([261], {
        261: consent(async ({ send, read }) => {
          send(challenge);
          await read(16);
          send(u32(1));
          send(reason('wrong'));
        }),
      }),
    ),
    told: 'the target refused the VNC password: wrong',
    connections: 1,
  },
  {
    what: 'refuses the password',
    script: offering([2, 1], leave, {
      2: async ({ send, read }) => {
        send(challenge);
        await read(16);
        send(u32(1));
        send(reason('wrong'));
      },
    }),
    told: 'the target refused the VNC password: wrong',
    connections: 1,
  },
  {
    what: 'refuses everybody',
    script: async (stage) => {
      await greet(stage);
      stage.send([0]);
      stage.send(reason('locked'));
    },
    told: 'the target refused the connection: locked',
    connections: 1,
  },
  {
    what: 'refuses every type of VeNCrypt, and all beside it',
    script: offering(
      [19, 2, 1],
      listing(
        [257, 258, 259, 260, 261, 262, 2, 1],
        Object.fromEntries(
          [257, 258, 259, 260, 261, 262, 2, 1].map((type) => [type, type > 2 ? refuse : leave]),
        ),
      ),
      { 2: leave, 1: leave },
    ),
    asked: { credentials: alice },
    told: 'the target closed the connection before its security result',
    connections: 10,
  },
];

describe('no other type is tried of a target that', () => {
  test.each(refused)('$what', async ({ script, told, connections, asked }) => {
    const target = await playScript(script);
    expect(await outcome(target, asked)).toBe(told);
    expect(target.connections).toHaveLength(connections);
  });
});

/** The n-th connection plays the n-th script; later ones the last. */
function inTurn(...scripts: Script[]): Promise<VncTarget> {
  let turn = 0;
  return playScript((stage) => scripts[Math.min(turn++, scripts.length - 1)]?.(stage));
}

describe('a target whose offer changes', () => {
  test('to VeNCrypt alone, which did not work, is refused', async () => {
    const target = await inTurn(offering([19, 2], listing([])), offering([19], listing([260])));
    expect(await outcome(target)).toBe('the target offers no security type that is spoken here: none');
    expect(target.connections).toHaveLength(2);
  });

  test('is held to what is required each time', async () => {
    const target = await inTurn(
      offering([19], listing([261, 262], { 262: refuse })),
      offering([19, 1, 2], listing([257, 258])),
    );
    expect(await outcome(target, { credentials: alice, require: ['x509'] })).toBe(
      'the target offers TLSNone, TLSVnc, but x509 is required',
    );
    expect(target.connections).toHaveLength(2);
  });

  test('without an end is asked only so often', async () => {
    const target = await playScript(offering([19, 2], (stage) => listing([261, 260, 257, 258], {})(stage)));
    // It says nothing to any choice: the deadline is all that ends it.
    const late = new AbortController();
    const secured = secure(target, {}, late.signal);
    const told = expect(secured).rejects.toThrow('too late');
    const peer = await target.connection();
    await peer.waitForBytes(12 + 1 + 2 + 4);
    late.abort(new Error('too late'));
    await told;
    expect(target.connections).toHaveLength(1);
  });
});

describe('the second attempt', () => {
  test('ends with the deadline of all, and leaves nothing', async () => {
    const target = await inTurn(offering([19, 2], listing([])), () => undefined);
    const late = new AbortController();
    const told = expect(secure(target, {}, late.signal)).rejects.toThrow('too late');
    await target.connection(1);
    late.abort(new Error('too late'));
    await told;
    await waitFor(() => target.connections.every(({ closed }) => closed()), { what: 'the end of both' });
    expect(target.connections).toHaveLength(2);
  });

  test('that cannot connect is the error that is told', async () => {
    const target = await playScript(offering([19, 2], listing([])));
    const options = { host: target.host, credentials: { password }, require: [] };
    const next = { reconnect: () => Promise.reject(new GatewayError('target-failed', { detail: 'gone' })) };
    const shaken = secureTarget(await dial(target), options, new AbortController().signal, next);
    await expect(shaken).rejects.toThrow('gone');
  });

  test('is not made where nobody can connect again', async () => {
    const target = await playScript(offering([19, 2], listing([])));
    const options = { host: target.host, credentials: { password }, require: [] };
    const shaken = secureTarget(await dial(target), options, new AbortController().signal);
    await expect(shaken).rejects.toThrow('offers no type of it');
  });
});
