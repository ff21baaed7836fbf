// Sessions that begin and end in every way there is, hundreds of them at random: afterwards nothing is counted, and no
// token has a lease. A session whose end is never told would be in the way for as long as the service runs.
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { TrustedProxies } from '../../src/client-address.ts';
import type { Door, SessionEnd } from '../../src/console/gate.ts';
import { GatewayError } from '../../src/errors.ts';
import { Handshakes } from '../../src/proxy/handshakes.ts';
import { createUpgrade } from '../../src/proxy/upgrade.ts';
import { RefusalLog } from '../../src/refusal-log.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import { buildGate, type Stage } from '../support/gate.ts';
import {
  type ProxyStage,
  startLocalProxy,
  startWorkerProxy,
  type WorkerStage,
} from '../support/gate-proxy.ts';
import { atEnd } from '../support/lifetime.ts';
import { type Random, seededRandom } from '../support/random.ts';
import {
  closeAtOnce,
  greetAndEcho,
  greetAndHalfClose,
  greetAndReset,
  greetWith,
  resetAtOnce,
  silent,
  startVncTarget,
} from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';
import { closePayload, frame, opcode, type RawWebSocket } from '../support/ws-client.ts';

const behaviours = {
  greetAndEcho,
  silent,
  closeAtOnce,
  resetAtOnce,
  greetAndReset,
  halfClose: greetAndHalfClose('bye'),
  noRfb: greetWith('SSH-2.0-OpenSSH\r\n'),
};

/** What a browser may do once it has its answer. */
const leaving: ((browser: RawWebSocket) => void)[] = [
  ({ socket }) => socket.destroy(),
  ({ socket }) => socket.resetAndDestroy(),
  ({ socket }) => socket.end(),
  ({ send }) => send(frame({ opcode: opcode.close, payload: closePayload(1000) })),
  ({ send }) => send(frame({ payload: 'not masked', masked: false })),
  ({ send, socket }) => {
    send(frame({ payload: 'typed' }));
    setTimeout(() => socket.destroy(), 20);
  },
  // Nothing: the token is revoked, taken over, or the process killed, sooner or later.
  () => {},
];

async function targets(): Promise<{ host: string; port: number }[]> {
  const started = await Promise.all(Object.values(behaviours).map((behaviour) => startVncTarget(behaviour)));
  const gone = await startVncTarget(silent);
  await gone.stop();
  return [...started, gone].map(({ host, port }) => ({ host, port }));
}

const HANDSHAKE = [
  'GET /?token=x HTTP/1.1',
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`,
  '\r\n',
].join('\r\n');

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)] as T;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function expectNothingLeft(stage: Stage): Promise<void> {
  await waitFor(() => stage.sessions.size === 0, { what: 'no session', deadlineMs: 15_000 });
  await waitFor(async () => (await stage.leases()).length === 0, { what: 'the leases to be given back' });
  // Some still wait for a probe on behalf of a browser that has left.
  const arriving = () => stage.knocked.filter((id) => stage.sessions.arrival(id) !== undefined).length;
  await waitFor(() => arriving() === 0, { what: 'every knock to be answered' });
  const count = (event: string) => stage.audit.filter((line) => line.event === event).length;
  expect(count('ended')).toBe(count('redeemed'));
  // All places are free again: a limit of one would do for the next one.
  Object.assign(stage.limits, { perVm: 1, perUser: 1, perAddress: 1, perHost: 1 });
  const place = stage.place();
  await stage.open(await stage.token(), '192.0.2.1', place);
}

describe('hundreds of sessions that begin and end at random', () => {
  it.each([
    ['in one process', startLocalProxy, 'single'],
    ['in one process, shared', startLocalProxy, 'shared'],
    ['in workers that are killed', startWorkerProxy, 'single'],
    ['in workers that are killed, shared', startWorkerProxy, 'shared'],
  ] as const)('%s leave nothing behind', { timeout: 60_000 }, async (_name, start, sessions) => {
    const seed = 20_260_801;
    const random = seededRandom(seed);
    let calm = false;
    const stage = buildGate({
      rules: { sessions, maxUnknownTokens: 100_000 },
      limits: { perVm: 6, perUser: 12, perAddress: 12, perHost: 30 },
      recheck: async (grant) => {
        if (calm) return grant;
        const fate = random(10);
        if (fate < 3) await pause(random(15));
        if (fate === 9) throw new GatewayError('token-not-valid', { detail: 'gone' });
        return grant;
      },
    });
    // A store that takes its time, and now and then is not there, before or after it has done it.
    stage.store.before = async () => {
      if (random(4) === 0) await pause(random(15));
      if (random(25) === 0) throw new Error('ECONNREFUSED');
    };
    stage.store.after = async () => {
      if (random(25) === 0) throw new Error('ECONNRESET');
    };
    const places = await targets();
    const proxies: (ProxyStage | WorkerStage)[] = [await start(stage.gate), await start(stage.gate)];
    const tokens: string[] = [];
    const one = async () => {
      const vmId = random(8);
      const target = pick(random, places);
      if (random(3) === 0 || tokens.length === 0) {
        tokens.push(await stage.token({ vmId, user: `user${random(4)}`, target }));
      }
      const token = random(8) === 0 ? 'nosuchtokennosuchtokennosuch' : pick(random, tokens.slice(-6));
      const at = random(2);
      const proxy = proxies[at] as ProxyStage | WorkerStage;
      const origin = random(2) === 0 ? {} : { headers: { Origin: `http://127.0.0.1:${proxy.port}` } };
      // Another address at times only: each of those waits for a probe.
      const client = `192.0.2.${random(15) === 0 ? 1 : 0}`;
      const opening = proxy.open(token, client, origin);
      const opened = await opening.catch(() => undefined);
      if (random(3) === 0) await pause(random(30));
      if (opened !== undefined) pick(random, leaving)(opened);
      if (random(12) === 0) await stage.revocation.revokeVm(vmId, { user: undefined }, 'bob').catch(() => 0);
      if (random(12) === 0) await stage.upkeep.renewAll();
      stage.store.time += random(500);
      if (random(40) === 0 && 'kill' in proxy) {
        const next = await start(stage.gate);
        // Somebody else may have killed it meanwhile.
        if (proxies[at] !== proxy) return next.stop();
        proxies[at] = next;
        await proxy.kill();
      }
    };
    const streams = Array.from({ length: 16 }, async () => {
      for (let i = 0; i < 25; i++) await one();
    });
    await Promise.all(streams);
    expect(stage.audit.filter(({ event }) => event === 'redeemed').length, `seed ${seed}`).toBeGreaterThan(
      50,
    );
    // From here on the store answers, and who is left is shown out.
    calm = true;
    stage.store.before = undefined;
    stage.store.after = undefined;
    for (const proxy of proxies) await proxy.stop();
    await waitFor(() => stage.sessions.size === 0, { what: `no session (seed ${seed})`, deadlineMs: 15_000 });
    // Leases that could not be given back while the store was away run out by themselves.
    stage.store.time += 60_000;
    await expectNothingLeft(stage);
  });

  it('browsers that vanish while the store is asked leave nothing behind', async () => {
    const stage = buildGate({ rules: { sessions: 'shared' } });
    const proxy = await startLocalProxy(stage.gate);
    const target = await startVncTarget(greetAndEcho);
    const token = await stage.token({ target });
    stage.store.before = () => pause(30);
    const sockets = Array.from({ length: 50 }, () => proxy.open(token).catch(() => undefined));
    await waitFor(() => stage.store.operations.length >= 51, { what: 'the knocks' });
    await proxy.stop();
    await Promise.all(sockets);
    await expectNothingLeft(stage);
  });
});

describe('a proxy that is stopped twice at once', () => {
  it('has stopped for both who asked', async () => {
    const stage = buildGate();
    const { proxy, open } = await startLocalProxy(stage.gate);
    const target = await startVncTarget(greetAndEcho);
    const browser = await open(await stage.token({ target }));
    await browser.waitForData(12);
    const stopped = Promise.all([proxy.stop(50), proxy.stop(100)]);
    await within(stopped, { what: 'both stops' });
    await expectNothingLeft(stage);
  });
});

describe('a handshake that fails after the door has said yes', () => {
  /** An upgrade whose door does something to the socket, and notes what it is told. */
  async function serve(atDoor: (socket: Socket) => unknown) {
    const closed: [SessionId, SessionEnd][] = [];
    const admitted: unknown[] = [];
    let current: Socket | undefined;
    const door: Door = {
      open: async () => {
        await atDoor(current as Socket);
        const grant = {
          vmId: 7,
          target: { host: '127.0.0.1', port: 1 },
          uid: 2,
          user: 'alice',
          issuedAt: 0,
          expiresAt: 0,
        };
        return { session: 'a1' as SessionId, grant };
      },
      closed: (session, end) => void closed.push([session, end]),
    };
    const upgrade = createUpgrade({
      door,
      handshakes: new Handshakes(),
      logger: pino({ level: 'silent' }),
      refusals: new RefusalLog(pino({ level: 'silent' }), 'console refused', () => false),
      settings: () => ({ trustedProxies: new TrustedProxies([]), publicUrl: undefined, allowedOrigins: [] }),
      stopping: new AbortController().signal,
      onAdmission: (admission) => void admitted.push(admission),
      onRefusal: () => () => {},
    });
    const server = createServer();
    server.on('upgrade', (request, socket, head) => {
      current = socket as Socket;
      upgrade(request, socket, head);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    atEnd(() => {
      server.close();
      server.closeAllConnections();
    });
    return { closed, admitted, port: (server.address() as AddressInfo).port };
  }

  it('is told as closed: the browser has ended its side of TCP', async () => {
    const { closed, admitted, port } = await serve(async (socket) => {
      socket.resume();
      await new Promise((resolve) => socket.once('end', resolve));
      expect(socket.destroyed).toBe(false);
    });
    const half = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    atEnd(() => void half.destroy());
    half.on('error', () => {});
    // Half of the connection ends right after the handshake.
    half.end(HANDSHAKE);
    await waitFor(() => closed.length === 1, { what: 'the door to be told' });
    expect(closed).toEqual([
      ['a1', { reason: 'the handshake failed', bytesToBrowser: 0, bytesToTarget: 0, seconds: 0 }],
    ]);
    expect(admitted).toEqual([]);
  });
});
