// Real proxies before a gate of the test's own process: one that calls the gate, or one that stands for a worker, with
// messages in between as between processes: copied, in order, a turn of the event loop later, and cut when it dies.
import pino from 'pino';
import { TrustedProxies } from '../../src/client-address.ts';
import { DoorChannel } from '../../src/cluster/door-channel.ts';
import type { ToPrimary, ToWorker } from '../../src/cluster/messages.ts';
import { WorkerPlace } from '../../src/cluster/worker-place.ts';
import { type ConsoleGate, type Door, doorOf } from '../../src/console/gate.ts';
import { toGatewayError } from '../../src/errors.ts';
import { ConsoleProxy } from '../../src/proxy/proxy.ts';
import { connectTcp } from '../../src/transport/tcp.ts';
import { atEnd } from './lifetime.ts';
import { type HandshakeOptions, openRawWebSocket, type RawWebSocket } from './ws-client.ts';

export interface ProxyStage {
  proxy: ConsoleProxy;
  port: number;
  /** Opens a console as a browser at that address would, through a proxy that names it. */
  open(token: string, client?: string, options?: Partial<HandshakeOptions>): Promise<RawWebSocket>;
  stop(): Promise<void>;
}

/** A proxy in the process of its gate. */
export function startLocalProxy(gate: ConsoleGate): Promise<ProxyStage> {
  const door: Door = {
    open: (knock) => doorOf(gate, proxy).open(knock),
    closed: (session, end) => gate.closed(session, end),
  };
  const proxy: ConsoleProxy = createProxy(door);
  return started(proxy);
}

export interface WorkerStage extends ProxyStage {
  /** The process is gone: nothing of it is heard any more, and its sockets are reset. */
  kill(): Promise<void>;
}

/** A proxy behind a channel, as in a worker. */
export async function startWorkerProxy(gate: ConsoleGate): Promise<WorkerStage> {
  let alive = true;
  const pass = <M>(message: M, receive: (message: M) => void) => {
    const copy = JSON.parse(JSON.stringify(message)) as M;
    setImmediate(() => {
      if (alive) receive(copy);
    });
  };
  const toPrimary = (message: ToPrimary) => pass(message, atPrimary);
  const toWorker = (message: ToWorker) => pass(message, atWorker);
  const place = new WorkerPlace(1, toWorker);
  const channel = new DoorChannel(toPrimary);
  const proxy = createProxy(channel);
  const atPrimary = (message: ToPrimary) => {
    if (message.type === 'closed') gate.closed(message.session, message.end);
    if (message.type === 'probed' || message.type === 'counted') place.heard(message);
    if (message.type !== 'open') return;
    const { question, knock } = message;
    void doorOf(gate, place)
      .open(knock)
      .then(
        (admitted) => {
          if (alive) toWorker({ type: 'opened', question, answer: { admitted } });
          else gate.lost(place);
        },
        (error: unknown) => {
          const { code, detail } = toGatewayError(error);
          toWorker({ type: 'opened', question, answer: { refused: code, detail } });
        },
      );
  };
  const atWorker = async (message: ToWorker) => {
    if (message.type === 'opened') channel.opened(message.question, message.answer);
    if (message.type === 'end') proxy.end(message.session, message.code, message.reason);
    if (message.type === 'probe') {
      toPrimary({ type: 'probed', question: message.question, alive: await proxy.probe(message.session) });
    }
    if (message.type === 'count') {
      toPrimary({ type: 'counted', question: message.question, traffic: [...(await proxy.traffic())] });
    }
  };
  const stage = await started(proxy);
  return {
    ...stage,
    kill: async () => {
      alive = false;
      gate.lost(place);
      await proxy.stop(0);
    },
  };
}

function createProxy(door: Door): ConsoleProxy {
  const trustedProxies = new TrustedProxies(['127.0.0.1']);
  return new ConsoleProxy({
    door,
    connect: connectTcp,
    secure: async (connection) => connection,
    logger: pino({ level: 'silent' }),
    wss: 'no',
    certificateFiles: { cert: undefined, key: undefined },
    settings: () => ({
      ...{ trustedProxies, publicUrl: undefined, allowedOrigins: [] },
      ...{ pingIntervalMs: 30_000, connectTimeoutMs: 1_000 },
    }),
  });
}

async function started(proxy: ConsoleProxy): Promise<ProxyStage> {
  const [address] = await proxy.start([{ host: '127.0.0.1', port: 0 }]);
  const port = address?.port ?? 0;
  const stop = () => proxy.stop(0);
  atEnd(stop);
  return {
    ...{ proxy, port, stop },
    open: (token, client = '192.0.2.1', { headers, ...options } = {}) =>
      openRawWebSocket({
        port,
        path: `/?token=${token}`,
        headers: { 'X-Forwarded-For': client, ...headers },
        ...options,
      }),
  };
}
