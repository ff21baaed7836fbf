// Targets that break RFB, stall, babble or leave, over real sockets: one clear reason each, in bounded time and
// memory, and nothing left of the connection.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { REASON_WAIT_MS } from '../../src/rfb/failure.ts';
import { type SecuredTarget, secureTarget } from '../../src/rfb/secure-target.ts';
import type { SecurityOptions } from '../../src/rfb/security-options.ts';
import { answerChallenge } from '../../src/rfb/vnc-response.ts';
import { makePki, type Pki } from '../support/certificates.ts';
import { atEnd } from '../support/lifetime.ts';
import { u32 } from '../support/rfb-messages.ts';
import { askNothing, beginVencrypt, greet, offer, vencrypt } from '../support/rfb-scenes.ts';
import { playScript, reason, type Script, type Stage } from '../support/rfb-script.ts';
import { dial, listen } from '../support/rfb-viewer.ts';
import type { VncTarget } from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';

const password = 'secret12';
const challenge = Buffer.from('03727513da4ef9f18f15872b9d051187', 'hex');
const serverInit = Buffer.from('after the handshake');
let pki: Pki;

beforeAll(async () => {
  pki = await makePki();
});

async function secure(
  target: VncTarget,
  asked: Partial<SecurityOptions> = {},
  signal = new AbortController().signal,
): Promise<SecuredTarget> {
  const options = { host: target.host, credentials: { password }, require: [], ...asked };
  const secured = await within(secureTarget(await dial(target), options, signal), { what: 'the handshake' });
  atEnd(() => secured.connection.destroy());
  return secured;
}

async function failure(target: VncTarget, asked: Partial<SecurityOptions> = {}): Promise<GatewayError> {
  const error: unknown = await secure(target, asked).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof GatewayError)) throw new Error(`no refusal, but ${String(error)}`);
  const peer = await target.connection();
  await waitFor(() => peer.closed(), { what: 'the end of the connection' });
  return error;
}

const vncAuth = async ({ send, read }: Stage) => {
  send(challenge);
  const answer = await read(16);
  send(u32(answer.equals(answerChallenge(challenge, password)) ? 0 : 1));
};

const tlsOptions = () => ({ cert: readFileSync(pki.server.cert), key: readFileSync(pki.server.key) });
const trusting = () => ({ ca: readFileSync(pki.ca.cert) });

/** What a good target does, in each of the ways there are; then ClientInit, and something in return. */
const good: Record<string, Script> = {
  'RFB 3.3 without a password': async (stage) => {
    await greet(stage, '003.003');
    stage.send(u32(1));
  },
  'RFB 3.3 with a password': async (stage) => {
    await greet(stage, '003.003');
    stage.send(u32(2));
    await vncAuth(stage);
  },
  'RFB 3.5, which is 3.3': async (stage) => {
    await greet(stage, '003.005');
    stage.send(u32(1));
  },
  // macOS leaves when it is asked for 3.3.
  ...Object.fromEntries(
    ['003.889', '004.000', '004.001', '005.000', '055.008', '003.009'].map((number): [string, Script] => [
      `RFB ${number}, in 3.8 and no other`,
      async (stage) => {
        stage.send(`RFB ${number}\n`);
        if ((await stage.read(12)).toString() !== 'RFB 003.008\n') return stage.end();
        stage.send([2, 30, 2]);
        await stage.read(1);
        await vncAuth(stage);
      },
    ]),
  ),
  'RFB 3.7 without a password': async (stage) => {
    await greet(stage, '003.007');
    stage.send([2, 5, 1]);
    await stage.read(1);
  },
  'RFB 3.8 without a password': askNothing,
  'RFB 3.8 with a password': async (stage) => {
    await offer(stage, 1, 16, 2);
    await vncAuth(stage);
  },
  'VeNCrypt without TLS': async (stage) => {
    const { send, read } = stage;
    await beginVencrypt(stage, 1);
    send([0, 3]);
    for (const type of [256, 2, 1]) send(u32(type));
    await read(4);
    await vncAuth(stage);
  },
  X509Vnc: async (stage) => {
    await vencrypt(stage, 261);
    stage.beginTls(tlsOptions());
    await vncAuth(stage);
  },
};

const thenServe =
  (handshake: Script): Script =>
  async (stage) => {
    await handshake(stage);
    await stage.read(1);
    stage.send(serverInit);
  };

describe('a target that does everything right', () => {
  test.each(
    Object.entries(good).flatMap(([name, script]) => [
      [name, 'at once', script, false] as const,
      [name, 'byte by byte', script, true] as const,
    ]),
  )('in %s, %s, is taken, and stands right before ClientInit', async (_name, _how, script, bytewise) => {
    const target = await playScript(thenServe(script), { bytewise });
    const { connection } = await secure(target, { tls: trusting() });
    const viewer = listen(connection);
    connection.write(Buffer.from([1]));
    expect(await viewer.take(serverInit.length)).toEqual(serverInit);
  });

  test.each<[string, Script]>([
    [
      'RFB 3.3',
      async (stage) => {
        await greet(stage, '003.003');
        stage.send(Buffer.concat([u32(1), serverInit]));
      },
    ],
    [
      'RFB 3.8',
      async (stage) => {
        await offer(stage, 1);
        stage.send(Buffer.concat([u32(0), serverInit]));
      },
    ],
    [
      'TLS',
      async (stage) => {
        await vencrypt(stage, 260);
        stage.beginTls(tlsOptions());
        stage.send(Buffer.concat([u32(0), serverInit]));
      },
    ],
  ])('and speaks too early in %s, loses no byte of it, and its end comes after them', async (_in, script) => {
    const target = await playScript(async (stage) => {
      await script(stage);
      stage.end();
    });
    const { connection } = await secure(target, { tls: trusting() });
    const viewer = listen(connection);
    expect(await viewer.take(serverInit.length)).toEqual(serverInit);
    await waitFor(() => viewer.endedBy(), { what: 'the end' });
    expect(viewer.endedBy()).toBe('the target closed the connection');
  });
});

describe('a target that leaves', () => {
  const bytesOf: Record<string, number> = {
    'RFB 3.3 with a password': 12 + 4 + 16 + 4,
    'RFB 3.7 without a password': 12 + 3,
    'RFB 3.8 with a password': 12 + 4 + 16 + 4,
    'VeNCrypt without TLS': 12 + 3 + 2 + 2 + 12 + 16 + 4,
  };

  test.each(Object.entries(bytesOf))(
    'in %s, after any of its bytes, is told as that',
    async (name, bytes) => {
      for (let cutAt = 0; cutAt < bytes; cutAt++) {
        const target = await playScript(good[name] ?? (() => undefined), { cutAt });
        const { detail } = await failure(target);
        expect(detail).toMatch(/^the target (closed|reset) the connection before its /);
      }
    },
  );

  test('in the TLS handshake, wherever that is, is told as that', async () => {
    for (const bytes of [1, 5, 6, 100, 400, 700]) {
      const target = await playScript(async (stage) => {
        await vencrypt(stage, 261);
        stage.beginTls(tlsOptions(), bytes);
      });
      const { detail } = await failure(target, { tls: trusting() });
      expect(detail).toMatch(/^the target closed the connection in the TLS handshake$/);
    }
  });

  test('while it says why it refuses, is told with what it had said', async () => {
    const target = await playScript(async (stage) => {
      await greet(stage);
      stage.send([0]);
      stage.send(u32(100));
      stage.send('too many');
      stage.end();
    });
    expect((await failure(target)).publicText).toBe('the target refused the connection: too many');
  });
});

interface Hostile {
  what: string;
  script: Script;
  told: string;
  /** Where the person is told more than "Failed to connect". */
  toPerson?: boolean;
  /** What the log says after it. */
  hint?: string;
  asked?: Partial<SecurityOptions>;
  /** Too much of it to be sent byte by byte. */
  endless?: boolean;
}

/** Sends on and on, as fast as it is taken. */
const chatter = async (stage: Stage, bytes: Buffer) => {
  const stream = stage.stream();
  while (!stream.destroyed) if (!stream.write(bytes)) await once(stream, 'drain');
};

const hostile: Hostile[] = [
  ...['SSH-2.0-OpenSSH_9.2p1\r\n', 'HTTP/1.1 400 Bad', 'RFB 3.8\n', 'RFB 003.008\r', 'R\0\0\0', '\n'].map(
    (greeting) => ({
      what: `greets with ${JSON.stringify(greeting)}`,
      script: ({ send }: Stage) => send(greeting),
      told: 'the target is no RFB server',
    }),
  ),
  {
    what: 'greets with a version that is too old',
    script: ({ send }) => send('RFB 003.002\n'),
    told: 'the target speaks a version of RFB that is older than 3.3',
  },
  {
    what: 'offers 255 types and none of ours',
    script: async (stage) => {
      await greet(stage);
      stage.send([255, ...Array.from({ length: 255 }, (_none, index) => (index % 200) + 40)]);
    },
    told: 'the target offers no security type that is spoken here: type 40, type 41, type 42, type 43, type 44, type 45, type 46, type 47 and 247 more',
  },
  {
    what: 'offers nothing, and says why',
    script: async (stage) => {
      await greet(stage);
      stage.send([0]);
      stage.send(reason('Too many\u001b[31m\r\n \u202eviewers\u2028\0'));
    },
    told: 'the target refused the connection: Too many [31m viewers',
    toPerson: true,
  },
  {
    what: 'refuses in RFB 3.3, and says why',
    script: async (stage) => {
      await greet(stage, '003.003');
      stage.send(u32(0));
      stage.send(reason('Too many security failures'));
    },
    told: 'the target refused the connection: Too many security failures',
    toPerson: true,
  },
  {
    what: 'says why in Latin-1',
    script: async (stage) => {
      await offer(stage, 1);
      stage.send(u32(1));
      stage.send(u32(17));
      stage.send('Zugriff für\x85\0nein');
    },
    told: 'the target refused the connection: Zugriff für nein',
    toPerson: true,
  },
  {
    what: 'gives an endless reason',
    endless: true,
    script: async (stage) => {
      await greet(stage);
      stage.send([0]);
      stage.send(u32(0xffffffff));
      await chatter(stage, Buffer.alloc(4096, 'x'));
    },
    told: `the target refused the connection: ${'x'.repeat(255)}…`,
    toPerson: true,
  },
  {
    what: 'gives a reason of nothing',
    script: async (stage) => {
      await offer(stage, 1);
      stage.send(u32(1));
      stage.send(u32(0));
    },
    told: 'the target refused the connection',
    toPerson: true,
  },
  {
    what: 'refuses the password',
    script: async (stage) => {
      await offer(stage, 2);
      stage.send(challenge);
      await stage.read(16);
      stage.send(u32(2));
      stage.send(reason('Too many tries'));
    },
    told: 'the target refused the VNC password: Too many tries',
    toPerson: true,
  },
  {
    what: 'gives a nonsense result',
    script: async (stage) => {
      await offer(stage, 1);
      stage.send(u32(0x52464220));
    },
    told: 'the target sent the security result 1380336160, which RFB does not know',
  },
  {
    what: 'dictates a type that nobody offers in RFB 3.3',
    script: async (stage) => {
      await greet(stage, '003.003');
      stage.send(u32(0xdeadbeef));
    },
    told: 'the target offers no security type that is spoken here: type 3735928559',
  },
  {
    what: 'speaks an old VeNCrypt',
    script: async (stage) => {
      await offer(stage, 19);
      stage.send([0, 1]);
    },
    told: 'the target speaks a VeNCrypt that is older than 0.2',
  },
  {
    what: 'refuses the VeNCrypt that it has named',
    script: async (stage) => {
      await beginVencrypt(stage);
      stage.send([255]);
    },
    told: 'the target does not speak VeNCrypt 0.2',
  },
  {
    what: 'offers VeNCrypt without a type',
    script: async (stage) => {
      await beginVencrypt(stage);
      stage.send([0, 0]);
    },
    told: 'the target speaks VeNCrypt and offers no type of it',
  },
  {
    what: 'wants the password in clear',
    script: async (stage) => {
      await beginVencrypt(stage);
      stage.send([0, 1]);
      stage.send(u32(256));
    },
    asked: { credentials: { password, username: 'alice' } },
    told: 'the target offers no security type that is spoken here: Plain',
  },
  {
    what: 'refuses the type that it has offered',
    script: async (stage) => {
      await vencrypt(stage, 260, 0);
    },
    told: 'the target offers X509None and then refuses it (has it a certificate?)',
  },
  {
    what: 'answers TLS with something else',
    script: async (stage) => {
      await vencrypt(stage, 260);
      stage.send('HTTP/1.1 400 Bad Request\r\n\r\n');
    },
    told: 'TLS with the target failed: ERR_SSL_WRONG_VERSION_NUMBER',
  },
  {
    what: 'answers anonymous TLS with noise',
    script: async (stage) => {
      await vencrypt(stage, 257);
      stage.send(Buffer.alloc(3_000, 0x16));
    },
    told: 'TLS with the target failed: ERR_SSL_WRONG_VERSION_NUMBER',
  },
  {
    what: 'sends a TLS handshake without an end',
    endless: true,
    script: async (stage) => {
      await vencrypt(stage, 260);
      // Records of TLS 1.2 with the beginning of a message that is never complete.
      const record = Buffer.concat([Buffer.from([22, 3, 3, 0x40, 0]), Buffer.alloc(0x4000)]);
      record.set([11, 0xff, 0xff, 0xff], 5);
      await chatter(stage, record);
    },
    told: 'TLS with the target failed: ',
  },
  {
    what: 'asks for a name that there is none of',
    script: async (stage) => {
      await vencrypt(stage, 262);
    },
    told: 'the target needs a user name, and none is set for it',
    toPerson: true,
    hint: ' (vnc_user)',
  },
];

describe('a target that', () => {
  test.each(hostile)('$what is refused', async ({ script, told, toPerson, hint = '', asked, endless }) => {
    for (const bytewise of endless ? [false] : [false, true]) {
      const error = await failure(await playScript(script, { bytewise }), asked);
      expect(error.code).toBe('target-failed');
      if (told.endsWith(': ')) expect(error.detail.startsWith(told)).toBe(true);
      else expect(error.detail).toBe(`${told}${hint}`);
      expect(error.publicText).toBe(toPerson ? told : 'Failed to connect to downstream server');
      expect(error.detail).not.toContain(password);
    }
  });
});

describe('a target that falls silent', () => {
  const silence: Record<string, Script> = {
    'before its greeting': () => undefined,
    'in its greeting': ({ send }) => send('RFB 00'),
    'before its types': (stage) => greet(stage),
    'in its types': async (stage) => {
      await greet(stage);
      stage.send([5, 1]);
    },
    'before its challenge': async (stage) => {
      await greet(stage);
      stage.send([1, 2]);
    },
    'before its result': async (stage) => {
      await greet(stage);
      stage.send([1, 2]);
      stage.send(challenge);
    },
    'before its VeNCrypt version': async (stage) => {
      await greet(stage);
      stage.send([1, 19]);
    },
    'in its VeNCrypt types': async (stage) => {
      await greet(stage);
      stage.send([1, 19, 0, 2, 0, 200, 0, 0]);
    },
    'in the TLS handshake': (stage) => vencrypt(stage, 260),
    'inside of TLS': async (stage) => {
      await vencrypt(stage, 260);
      stage.beginTls(tlsOptions());
    },
  };

  test.each(Object.entries(silence))('%s is given up when the signal says so', async (_when, script) => {
    const target = await playScript(script);
    const abort = new AbortController();
    const secured = secure(target, { tls: trusting() }, abort.signal);
    const why = new Error('too late');
    const told = expect(secured).rejects.toBe(why);
    const peer = await target.connection();
    await stillFor(() => peer.receivedBytes());
    expect(peer.closed()).toBe(false);
    abort.abort(why);
    await told;
    await waitFor(() => peer.closed(), { what: 'the end of the connection' });
  });

  /** It stays silent, so nothing but the end of our patience lets this be told. */
  const unexplained: Record<string, [Script, string]> = {
    'offers nothing': [
      async (stage) => {
        await greet(stage);
        stage.send([0]);
      },
      'the target refused the connection',
    ],
    'offers nothing, and begins the length of a reason': [
      async (stage) => {
        await greet(stage);
        stage.send([0, 0, 0]);
      },
      'the target refused the connection',
    ],
    'offers nothing, and announces more of a reason than it gives': [
      async (stage) => {
        await greet(stage);
        stage.send([0]);
        stage.send(u32(10));
        stage.send('abc');
      },
      'the target refused the connection: abc',
    ],
    'gives one byte of its reason after the other': [
      async (stage) => {
        await greet(stage);
        stage.send([0]);
        stage.send(u32(1000));
        const drip = setInterval(() => stage.send('x'), 20);
        stage.socket.once('close', () => clearInterval(drip));
      },
      'the target refused the connection: x',
    ],
    'refuses in RFB 3.3': [
      async (stage) => {
        await greet(stage, '003.003');
        stage.send(u32(0));
      },
      'the target refused the connection',
    ],
    'refuses the password': [
      async (stage) => {
        await offer(stage, 2);
        stage.send(challenge);
        await stage.read(16);
        stage.send(u32(1));
      },
      'the target refused the VNC password',
    ],
    'refuses without having asked': [
      async (stage) => {
        await offer(stage, 1);
        stage.send(u32(1));
      },
      'the target refused the connection',
    ],
    'refuses the password inside of TLS': [
      async (stage) => {
        await vencrypt(stage, 261);
        stage.beginTls(tlsOptions());
        stage.send(challenge);
        await stage.read(16);
        stage.send(u32(1));
      },
      'the target refused the VNC password',
    ],
    'says in 3.7 no more than that': [
      async (stage) => {
        await greet(stage, '003.007');
        stage.send([1, 2]);
        await stage.read(1);
        stage.send(challenge);
        await stage.read(16);
        stage.send(u32(1));
      },
      'the target refused the VNC password',
    ],
  };

  test.each(Object.entries(unexplained))(
    'when it %s, is told all the same',
    async (_what, [script, told]) => {
      const error = await failure(await playScript(script), { tls: trusting(), reasonWaitMs: 300 });
      expect(error.publicText.replace(/x+$/, 'x')).toBe(told);
    },
  );

  test('is told within a tenth of the time that a target may take, where nothing else is set', async () => {
    expect(REASON_WAIT_MS).toBe(1_000);
    const target = await playScript(unexplained['offers nothing']?.[0] ?? (() => undefined));
    expect((await failure(target)).publicText).toBe('the target refused the connection');
  });

  test('is not even listened to when the signal has come before', async () => {
    const target = await playScript(good['RFB 3.8 without a password'] ?? (() => undefined));
    await expect(secure(target, {}, AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
    const peer = await target.connection();
    await waitFor(() => peer.closed(), { what: 'the end of the connection' });
  });
});

/** Waits until a number has not changed for some rounds: everything that could happen has. */
async function stillFor(read: () => number): Promise<void> {
  let [last, rounds] = [read(), 0];
  await waitFor(
    () => {
      rounds = read() === last ? rounds + 1 : 0;
      last = read();
      return rounds >= 6;
    },
    { what: 'silence' },
  );
}
