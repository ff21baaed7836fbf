// One console a token, over real sockets: through one process, through two workers, and through two hosts that share a
// store and a bus. Told to browsers in close codes, to newcomers in RFB or HTTP.
import { describe, expect, it } from 'vitest';
import { buildGate, CountingStore, type Stage, TestBus } from '../support/gate.ts';
import { type ProxyStage, startLocalProxy, startWorkerProxy } from '../support/gate-proxy.ts';
import { greetAndEcho, startVncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { frame, opcode, type RawWebSocket } from '../support/ws-client.ts';

interface Two {
  stages: Stage[];
  first: ProxyStage;
  second: ProxyStage;
}

const arrangements: [name: string, start: () => Promise<Two>][] = [
  [
    'through one process',
    async () => {
      const stage = buildGate();
      const proxy = await startLocalProxy(stage.gate);
      return { stages: [stage], first: proxy, second: proxy };
    },
  ],
  [
    'through two workers',
    async () => {
      const stage = buildGate();
      const [first, second] = await Promise.all([startWorkerProxy(stage.gate), startWorkerProxy(stage.gate)]);
      return { stages: [stage], first, second };
    },
  ],
  [
    'through two hosts',
    async () => {
      const store = new CountingStore();
      const bus = new TestBus();
      const stages = [buildGate({ store, bus: bus.connect() }), buildGate({ store, bus: bus.connect() })];
      const proxies = await Promise.all(stages.map(({ gate }) => startLocalProxy(gate)));
      return { stages, ...pair(proxies) };
    },
  ],
  [
    'through workers of two hosts',
    async () => {
      const store = new CountingStore();
      const bus = new TestBus();
      const stages = [buildGate({ store, bus: bus.connect() }), buildGate({ store, bus: bus.connect() })];
      const proxies = await Promise.all(stages.map(({ gate }) => startWorkerProxy(gate)));
      return { stages, ...pair(proxies) };
    },
  ],
];

function pair([first, second]: readonly ProxyStage[]): { first: ProxyStage; second: ProxyStage } {
  if (first === undefined || second === undefined) throw new Error('two are needed');
  return { first, second };
}

async function consoleToken({ stages: [stage] }: Two): Promise<string> {
  const { host, port } = await startVncTarget(greetAndEcho);
  return (stage as Stage).token({ target: { host, port } });
}

async function echoes(webSocket: RawWebSocket, text: string): Promise<void> {
  webSocket.send(frame({ payload: text }));
  await waitFor(() => webSocket.data().toString().endsWith(text), { what: `the echo of ${text}` });
}

/** Answers the next ping, as every browser does by itself. */
async function answerPing(webSocket: RawWebSocket): Promise<void> {
  const ping = await waitFor(() => webSocket.frames.find(({ opcode: code }) => code === opcode.ping), {
    what: 'a ping',
  });
  webSocket.send(frame({ opcode: opcode.pong, payload: ping.payload }));
}

const sizes = ({ stages }: Two) => stages.reduce((sum, { sessions }) => sum + sessions.size, 0);

describe.each(arrangements)('a second browser, %s', (_name, start) => {
  it('at the same address takes over, and the first reads 4001', async () => {
    const two = await start();
    const token = await consoleToken(two);
    const first = await two.first.open(token);
    await echoes(first, 'one');
    const second = await two.second.open(token);
    await echoes(second, 'two');
    expect(await first.closeFrame()).toEqual({ code: 4001, reason: 'Opened in another window' });
    expect(first.frames.some(({ opcode: code }) => code === opcode.ping)).toBe(false);
    await waitFor(() => sizes(two) === 1, { what: 'the first session to be over' });
    await echoes(second, 'still two');
  });

  it('at another address is refused while the first one answers: 429, or in RFB', async () => {
    const two = await start();
    const token = await consoleToken(two);
    const first = await two.first.open(token);
    await echoes(first, 'one');
    const answered = answerPing(first);
    const program = await two.second.open(token, '198.51.100.1');
    await answered;
    expect(program.status).toBe(429);
    expect(program.body()).toMatch(/^This console is in use in another window \(ref \w{6}\)\n$/);
    const browser = two.second.open(token, '198.51.100.1', {
      headers: { Origin: `http://127.0.0.1:${two.second.port}` },
    });
    // Any sign of life will do.
    const alive = setInterval(() => first.send(frame({ payload: 'x' })), 50);
    const refused = await browser;
    clearInterval(alive);
    refused.send(frame({ payload: 'RFB 003.008\n' }));
    expect(refused.status).toBe(101);
    expect((await refused.closeFrame()).code).toBe(1000);
    expect(refused.data().subarray(12, 13)).toEqual(Buffer.from([0]));
    expect(refused.data().toString()).toContain('in use in another window');
    await echoes(first, 'still one');
    expect(sizes(two)).toBe(1);
  });

  it('at another address takes over where the first one is silent', { timeout: 40_000 }, async () => {
    const two = await start();
    const token = await consoleToken(two);
    const first = await two.first.open(token);
    await echoes(first, 'one');
    const before = performance.now();
    const second = await two.second.open(token, '198.51.100.1');
    expect(performance.now() - before).toBeGreaterThan(4_900);
    await echoes(second, 'two');
    expect((await first.closeFrame()).code).toBe(4001);
    await waitFor(() => sizes(two) === 1, { what: 'the first session to be over' });
  });

  it('at another address need not wait for one that leaves while it is asked', async () => {
    const two = await start();
    const token = await consoleToken(two);
    const first = await two.first.open(token);
    await echoes(first, 'one');
    const before = performance.now();
    const second = two.second.open(token, '198.51.100.1');
    const isPing = ({ opcode: code }: { opcode: number }) => code === opcode.ping;
    await waitFor(() => first.frames.some(isPing), { what: 'a ping' });
    first.socket.destroy();
    await echoes(await second, 'two');
    expect(performance.now() - before).toBeLessThan(3_000);
  });

  it('and a hundred at once: one of them has the console in the end', async () => {
    const two = await start();
    const token = await consoleToken(two);
    const opened = await Promise.all(
      Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? two.first : two.second).open(token)),
    );
    const open = () =>
      opened.filter(
        ({ status, frames }) => status === 101 && !frames.some(({ opcode: code }) => code === opcode.close),
      );
    await waitFor(() => open().length === 1 && sizes(two) === 1, { what: 'one console' });
    for (const one of open()) await echoes(one, 'mine');
    expect(await two.stages[0]?.leases()).toHaveLength(1);
  });
});

describe('an end that comes as the console is opened', () => {
  it.each(['local', 'worker'] as const)('reaches the session in a %s proxy', async (kind) => {
    const stage = buildGate();
    const proxy = await (kind === 'local' ? startLocalProxy : startWorkerProxy)(stage.gate);
    const { host, port } = await startVncTarget(greetAndEcho);
    const token = await stage.token({ target: { host, port } });
    // In the very moment in which it is entered in the list of sessions.
    const add = stage.sessions.add.bind(stage.sessions);
    stage.sessions.add = (session, replaced) => {
      queueMicrotask(() => stage.endings.end([session.id], 'revoked'));
      return add(session, replaced);
    };
    const opened = await proxy.open(token);
    expect(await opened.closeFrame()).toEqual({ code: 4002, reason: 'Access was withdrawn' });
    await waitFor(() => stage.sessions.size === 0, { what: 'the end of the session' });
  });
});
