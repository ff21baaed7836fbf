// One user's load is nobody else's wait: with somebody flooding in any of these ways, the median call of another stays
// within three times its quiet time, and none of his fails. Both are taken in the same run, and the best of five rounds
// counts, since the machine has others' work to do as well.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Flood, medianOf, postOf, startFlood } from '../support/flood.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { exchange, type Flags, oneReply, type Service, startService } from '../support/service.ts';
import { vmXml } from '../support/vm.ts';
import { greet, startVncTarget } from '../support/vnc-target.ts';
import { openRawWebSocket } from '../support/ws-client.ts';
import { encodeCall, encodeValue } from '../support/xmlrpc.ts';

const alices = 7;
const mallorys = 8;
const ROUNDS = 5;
const CALLS = 25;
const MAX_RATIO = 3;

const issued = [true, expect.stringMatching(/^\S{25,}$/) as unknown, 0];
const strangers = ['203.0.113.1', '203.0.113.2', '203.0.113.3'];
const small = encodeCall('one.vm.vnctokenonly', ['mallory:right', mallorys]);

interface Scene {
  readonly oned: TestOned;
  readonly service: Service;
  /** A call of alice, through a portal that names no client. */
  readonly call: () => Promise<void>;
  /** Opens a console of alice's. */
  readonly open: () => Promise<void>;
}

async function startScene(flags: Flags = {}): Promise<Scene> {
  const oned = await startTestOned();
  const target = await startVncTarget(greet);
  for (const id of [alices, mallorys]) {
    const vm = { vm: { id, hosts: [target.host], graphics: { PORT: target.port }, uid: 2 } };
    const refused = { error: "[one.vm.info] User couldn't be authenticated, aborting call.", code: 0x0100 };
    oned.answer(id, ({ session }) => (session.endsWith(':right') ? vm : refused));
  }
  for (const [name, id] of [['alice', 2] as const, ['mallory', 3] as const])
    oned.user(`${name}:right`, { id, name, gids: [1] });
  const many = { max_tokens_per_vm: 100_000, max_tokens_per_user: 100_000, console_ports: '1-65535' };
  const service = await startService({ oned, flags: { ...many, debug_level: 1, ...flags } });
  const body = encodeCall('one.vm.vnctokenonly', ['alice:right', alices]);
  const call = async () => {
    expect(oneReply(await exchange(`http://127.0.0.1:${service.rpcPort}`, body))).toEqual(issued);
  };
  const open = async () => {
    const token = await service.issueToken(alices, 'alice:right');
    const socket = await openRawWebSocket({ port: service.proxyPort, path: `/?token=${token}` });
    expect(socket.status).toBe(101);
    socket.socket.destroy();
  };
  return { oned, service, call, open };
}

/** Flooded against quiet, the best of some rounds. */
async function ratioOf(work: () => Promise<void>, flood: Flood): Promise<number> {
  await medianOf(3, work);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS && best > MAX_RATIO; round++) {
    const quiet = await medianOf(CALLS, work);
    const running = await startFlood(flood);
    const flooded = await medianOf(CALLS, work);
    best = Math.min(best, flooded / quiet);
    await running.stop();
  }
  return best;
}

/** oned's reply about a VM whose owner has written as much into it as fits. */
function replyOfBigVm(): Buffer {
  const attributes = Array.from({ length: 75_000 }, (_value, i) => `<A${i}><![CDATA[x]]></A${i}>`).join('');
  const xml = vmXml({ id: mallorys, uid: 3 }).replace('<USER_TEMPLATE>', `<USER_TEMPLATE>${attributes}`);
  const values = [true, xml, 0].map(encodeValue).join('');
  const body = `<?xml version="1.0"?><methodResponse><params><param><value><array><data>${values}</data></array></value></param></params></methodResponse>`;
  const head = `HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: ${body.length}`;
  return Buffer.from(`${head}\r\n\r\n${body}`);
}

/** An XML-RPC call that is filled up to the longest that is read. */
function filled(filling: string): string {
  const call = encodeCall('one.vm.vnctokenonly', ['nobody:knows', alices]);
  const room = 65_000 - call.length;
  return call.replace('</params>', `${filling.repeat(Math.floor(room / filling.length))}</params>`);
}

/** Ways to flood the XML-RPC port: what is sent, over so many connections. */
const calls: [string, number, (scene: Scene) => (string | Buffer)[]][] = [
  [
    'with a VM as large as oned has them',
    8,
    ({ oned }) => {
      oned.answer(mallorys, { raw: replyOfBigVm() });
      return [postOf(small)];
    },
  ],
  ['with calls through the same portal', 40, () => [postOf(small)]],
  ['with calls from an address of his own', 40, () => [postOf(small, '203.0.113.66')]],
  [
    'with lists of sessions and revocations of a VM with many tokens',
    20,
    () =>
      ['one.vm.vnctokenonly', 'one.vm.vncsessions', 'one.vm.vnctokenonly', 'one.vm.vncrevoke'].map((method) =>
        postOf(encodeCall(method, ['mallory:right', mallorys])),
      ),
  ],
  [
    'with passwords for a name, from everywhere',
    40,
    () =>
      Array.from({ length: 500 }, (_value, i) =>
        postOf(encodeCall('one.vm.vnctokenonly', [`bob:guess-${i}`, alices]), `203.0.113.${i % 250}`),
      ),
  ],
  [
    'with a thousand names and no password',
    40,
    () =>
      Array.from({ length: 1000 }, (_value, i) =>
        postOf(encodeCall('one.vm.vnctokenonly', [`user-${i}:guess`, alices]), strangers[i % 3]),
      ),
  ],
  ...[
    ['empty elements', '<p/>'],
    ['parameters', '<param><value/></param>'],
    [
      'members',
      '<param><value><struct><member><name>a</name><value>b</value></member></struct></value></param>',
    ],
    ['references', '&#x41;'],
    ['comments', '<!-- -->'],
    ['CDATA', '<![CDATA[x]]>'],
    ['depth', '<a>'],
  ].map(([what, filling = '']): [string, number, () => Buffer[]] => [
    `with 64 KiB of XML from three addresses: ${what}`,
    12,
    () => strangers.map((from) => postOf(filled(filling), from)),
  ]),
  ['with 64 KiB of XML through the same portal', 12, () => [postOf(filled('<p/>'))]],
  ['with what is no XML through the same portal', 40, () => [postOf('nonsense')]],
  ['with 64 KiB that are unpacked', 12, () => [postOf(Buffer.alloc(60_000, 'x'))]],
];

describe('a call of alice', { timeout: 300_000 }, () => {
  it.each(calls)('is served as ever while somebody floods %s', async (_what, connections, requestsOf) => {
    const scene = await startScene();
    const requests = requestsOf(scene);
    const flood = { port: scene.service.rpcPort, connections, perSecond: 500, requests };
    expect(await ratioOf(scene.call, flood)).toBeLessThanOrEqual(MAX_RATIO);
  });
});

describe('a console of alice', { timeout: 300_000 }, () => {
  /** Tokens that a host could have made, with its key's name, and others. */
  const forged = () => {
    const header = Buffer.from('{"alg":"dir","enc":"A256GCM","kid":"k1"}').toString('base64url');
    const part = (bytes: number) => randomBytes(bytes).toString('base64url');
    return `${header}..${part(12)}.${part(300)}.${part(16)}`;
  };
  const sealedKeys = () => {
    const file = join(temporaryFolder(), 'sealed_keys');
    writeFileSync(file, `k1 ${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
    return { token_store: 'sealed', token_sessions: 'shared', sealed_keys: file };
  };
  const knock = (token: string, from?: string) =>
    `GET /?token=${token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n` +
    `${from === undefined ? '' : `X-Forwarded-For: ${from}\r\n`}\r\n`;

  it.each<[string, Flags, (scene: Scene) => Promise<string[]>]>([
    ['with forged sealed tokens', sealedKeys(), async () => strangers.map((from) => knock(forged(), from))],
    ['with forged sealed tokens through the same proxy', sealedKeys(), async () => [knock(forged())]],
    [
      'with a sealed token of his own',
      sealedKeys(),
      async ({ service }) => [knock(await service.issueToken(mallorys, 'mallory:right'), '203.0.113.66')],
    ],
    [
      'with tokens that nobody has made',
      {},
      async () => Array.from({ length: 100 }, () => knock(randomBytes(16).toString('hex'))),
    ],
  ])('opens as ever while somebody floods %s', async (_what, flags, requestsOf) => {
    const scene = await startScene(flags);
    const requests = await requestsOf(scene);
    const port = scene.service.proxyPort;
    const flood = { port, connections: 20, perSecond: 500, requests, keepAlive: false };
    expect(await ratioOf(scene.open, flood)).toBeLessThanOrEqual(MAX_RATIO);
  });
});
