// Several processes: sessions spread, a worker that dies, a reload with live consoles, a stop, each under load.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startTestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { childrenOf } from '../support/processes.ts';
import { runMain, type Service, startService } from '../support/service.ts';
import { greetAndEcho } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { closePayload, frame, opcode, type RawWebSocket } from '../support/ws-client.ts';

/** Many consoles on one token, so that they come to lie in both workers. */
const many = { token_sessions: 'shared', max_sessions_per_vm: 256, max_sessions_per_user: 10_000 };
const twoWorkers = { flags: { workers: 2, stop_timeout: 3, ...many } };

/** Sockets of a process that are connected: how many sessions it carries is half of the number's growth. */
function workerOf(service: Service, ref: unknown): unknown {
  return service.logLines().find((line) => line.msg === 'console opened' && line['ref'] === ref)?.['worker'];
}

async function openMany(consoles: Consoles, token: string, count: number): Promise<RawWebSocket[]> {
  const opened: RawWebSocket[] = [];
  for (let i = 0; i < count; i++) opened.push(await consoles.open(token));
  for (const webSocket of opened) await webSocket.waitForData(12);
  return opened;
}

async function echoes(webSocket: RawWebSocket, text: string): Promise<void> {
  webSocket.send(frame({ payload: text }));
  await waitFor(() => webSocket.data().toString().endsWith(text), { what: `the echo of ${text}` });
}

function ended({ frames, socket }: RawWebSocket): boolean {
  return socket.destroyed || socket.readableEnded || frames.some(({ opcode: code }) => code === opcode.close);
}

describe('two workers', () => {
  it('carry the consoles between them, and the control plane carries none', async () => {
    const consoles = await startConsoles(twoWorkers);
    const { token } = await consoles.console(greetAndEcho);
    const opened: RawWebSocket[] = [];
    const workers = () =>
      new Set(
        consoles.service
          .logLines()
          .map((line) => line['worker'])
          .filter(Boolean),
      );
    // The kernel decides who accepts; sooner or later it is each of them.
    while (workers().size < 2 && opened.length < 240) {
      opened.push(...(await Promise.all(Array.from({ length: 20 }, () => consoles.open(token)))));
    }
    expect([...workers()].toSorted()).toEqual([1, 2]);
    for (const webSocket of opened.slice(-5)) await echoes(webSocket, 'hello');
    const lines = consoles.service.logLines().filter(({ msg }) => msg === 'console opened');
    expect(lines.every((line) => typeof line['worker'] === 'number')).toBe(true);
  });

  it('refuse what the control plane does not know, in HTTP and in RFB', async () => {
    const consoles = await startConsoles(twoWorkers);
    expect((await consoles.open('nosuchtokennosuchtokennosuch')).status).toBe(401);
    const own = { Origin: `http://127.0.0.1:${consoles.service.proxyPort}` };
    const told = await consoles.open('nosuchtokennosuchtokennosuch', { headers: own });
    told.send(frame({ payload: 'RFB 003.008\n' }));
    await told.closeFrame();
    expect(told.data().toString()).toContain('not valid any more');
  });

  it('say 503, not 401, when the control plane does not answer', { timeout: 60_000 }, async () => {
    const consoles = await startConsoles(twoWorkers);
    const { token } = await consoles.console(greetAndEcho);
    consoles.service.signal('SIGSTOP');
    const refused = await consoles.open(token, { replyWithinMs: 25_000 });
    consoles.service.signal('SIGCONT');
    expect(refused.status).toBe(503);
    // Let in too late: told as closed, so that nobody is counted for it.
    await consoles.service.waitForLog(({ reason }) => reason === 'let in too late', 'the late answer');
    expect((await consoles.open(token)).status).toBe(101);
  });

  it('end with the control plane, whatever ended that', async () => {
    const consoles = await startConsoles(twoWorkers);
    const { token } = await consoles.console(greetAndEcho);
    const webSocket = await consoles.open(token);
    const children = childrenOf(consoles.service.child.pid);
    expect(children).toHaveLength(2);
    process.kill(consoles.service.child.pid, 'SIGKILL');
    await webSocket.ended();
    const alive = () => children.filter((pid) => stateOf(pid) !== undefined);
    await waitFor(() => alive().length === 0, { what: 'the workers to end' });
  });

  it('tell in one line what is in the way of a start', async () => {
    const port = await freePort();
    const oned = await startTestOned();
    await startService({ oned, flags: { vnc_proxy_port: port } });
    const flags = ['--workers', '2', '--port', `${await freePort()}`, '--vnc_proxy_port', `${port}`];
    const failed = await runMain(['serve', ...flags]);
    expect(failed.code).toBe(1);
    expect(failed.stderr.trim().split('\n')).toEqual([
      expect.stringMatching(/vnc_proxy_port: .*the port is in use/),
    ]);
  });
});

/** State letter of a process; undefined where there is none, or only its remains. */
function stateOf(pid: number): string | undefined {
  try {
    const state = /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return state === 'Z' ? undefined : state;
  } catch {
    return undefined;
  }
}

describe('a worker that is killed', () => {
  it('takes only its own consoles with it and is replaced, while others are opened', async () => {
    const consoles = await startConsoles(twoWorkers);
    const { service } = consoles;
    const { token } = await consoles.console(greetAndEcho);
    const opened = await openMany(consoles, token, 40);
    const [victim = 0, survivor = 0] = childrenOf(service.child.pid);
    process.kill(victim, 'SIGKILL');
    await service.waitForLog(
      ({ msg }) => msg === 'a worker ended; it is started again',
      'the end of the worker',
    );
    // New consoles go to the worker that is left, at once.
    await echoes(await consoles.open(token), 'meanwhile');
    await waitFor(() => childrenOf(service.child.pid).length === 2, { what: 'the new worker' });
    expect(childrenOf(service.child.pid)).toContain(survivor);
    const left = opened.filter((webSocket) => !ended(webSocket));
    for (const webSocket of left) await echoes(webSocket, 'still here');
    const survivors = service.logLines().filter((line) => line.msg === 'console opened').length - 1;
    expect(left.length).toBeLessThanOrEqual(survivors);
    expect(
      workerOf(service, service.logLines().find(({ msg }) => msg === 'console opened')?.['ref']),
    ).toBeDefined();
    for (let i = 0; i < 20; i++) expect((await consoles.open(token)).status).toBe(101);
  });
});

describe('a reload', () => {
  const config = (consoles: Consoles) => join(consoles.service.oneLocation, 'etc/vnctoken-server.conf');
  const reloads = (consoles: Consoles) =>
    consoles.service.logLines().filter(({ msg }) => msg === 'configuration reloaded').length;

  async function reload(consoles: Consoles): Promise<void> {
    const before = reloads(consoles);
    consoles.service.signal('SIGHUP');
    await waitFor(() => reloads(consoles) > before, { what: 'the reload' });
  }

  it('starts workers with the new configuration; live consoles go on, and no connection is refused', async () => {
    const consoles = await startConsoles({ ...twoWorkers, ownConfig: ':token_ttl: 600\n' });
    const { token } = await consoles.console(greetAndEcho);
    const live = await openMany(consoles, token, 10);
    let opening = true;
    let opens = 0;
    const others = (async () => {
      while (opening) {
        const webSocket = await consoles.open(token);
        expect(webSocket.status).toBe(101);
        webSocket.socket.destroy();
        opens++;
      }
    })();
    writeFileSync(config(consoles), ':allowed_origins: https://new.example\n');
    await reload(consoles);
    const newcomer = await consoles.open('unknown', { headers: { Origin: 'https://new.example' } });
    const before = opens;
    await waitFor(() => opens > before + 20, { what: 'more consoles' });
    opening = false;
    await others;
    for (const webSocket of live) await echoes(webSocket, 'still here');
    expect(newcomer.status).toBe(101);
  });

  it('keeps at most two old generations: the consoles of the oldest are closed with 1001', async () => {
    const consoles = await startConsoles(twoWorkers);
    const { token } = await consoles.console(greetAndEcho);
    const generations: RawWebSocket[] = [];
    for (let i = 0; i < 4; i++) {
      const webSocket = await consoles.open(token);
      await webSocket.waitForData(12);
      generations.push(webSocket);
      if (i < 3) await reload(consoles);
    }
    expect(await generations[0]?.closeFrame()).toEqual({ code: 1001, reason: 'The service stops' });
    for (const webSocket of generations.slice(1)) await echoes(webSocket, 'still here');
    // Each old generation has ended but for what carries a console.
    await waitFor(() => childrenOf(consoles.service.child.pid).length <= 4, { what: 'idle workers to end' });
  });

  it('with a bad certificate keeps the old workers', async () => {
    const consoles = await startConsoles({ ...twoWorkers, ownConfig: '' });
    const before = childrenOf(consoles.service.child.pid);
    writeFileSync(config(consoles), ':nosuch: 1\n');
    consoles.service.signal('SIGHUP');
    await consoles.service.waitForLog(({ problems }) => problems !== undefined, 'the problem');
    expect(childrenOf(consoles.service.child.pid)).toEqual(before);
  });
});

describe('a stop', () => {
  it('closes all consoles with 1001 and leaves no process behind', async () => {
    const consoles = await startConsoles(twoWorkers);
    const { token } = await consoles.console(greetAndEcho);
    const live = await openMany(consoles, token, 10);
    const children = childrenOf(consoles.service.child.pid);
    for (const webSocket of live) {
      void webSocket.closeFrame().then(() => {
        webSocket.send(frame({ opcode: opcode.close, payload: closePayload(1001) }));
      });
    }
    expect(await consoles.service.stop()).toMatchObject({ code: 0 });
    for (const webSocket of live) expect((await webSocket.closeFrame()).code).toBe(1001);
    expect(children.filter((pid) => stateOf(pid) !== undefined)).toEqual([]);
    const lines = consoles.service.logLines();
    expect(lines.filter(({ msg }) => msg === 'console closed')).toHaveLength(10);
  });

  it('ends in time with consoles that do not answer', async () => {
    const consoles = await startConsoles({ flags: { workers: 2, stop_timeout: 1, ...many } });
    const { token } = await consoles.console(greetAndEcho);
    for (const webSocket of await openMany(consoles, token, 5)) webSocket.socket.pause();
    expect(await consoles.service.stop()).toMatchObject({ code: 0 });
  });
});

describe('SIGUSR2', () => {
  it('opens the log anew in every process', async () => {
    const logFile = join(temporaryFolder(), 'vnctoken.log');
    const consoles = await startConsoles({ flags: { workers: 2, log_file: logFile, ...many } });
    const { token } = await consoles.console(greetAndEcho);
    renameSync(logFile, `${logFile}.1`);
    const before = readFileSync(`${logFile}.1`, 'utf8');
    consoles.service.signal('SIGUSR2');
    await waitFor(async () => (await openMany(consoles, token, 1)) && readFileSync(logFile, 'utf8') !== '', {
      what: 'the new log',
    });
    const grown = () => readFileSync(`${logFile}.1`, 'utf8').length;
    await waitFor(
      async () => {
        const length = grown();
        await openMany(consoles, token, 10);
        return grown() === length;
      },
      { what: 'every process to have left the old log' },
    );
    expect(before).toContain('ready');
  });
});
