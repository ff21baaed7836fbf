// The proxy between real sockets: who is let in, what a slow or vanished side does to the other, and how sessions end.
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Consoles, manySessions, startConsoles } from '../support/consoles.ts';
import { freePort } from '../support/ports.ts';
import { toldInRfb } from '../support/rfb-refusal.ts';
import type { LogLine, Service } from '../support/service.ts';
import {
  type Behaviour,
  closeAtOnce,
  greet,
  greetAndEcho,
  greetAndFlood,
  greetAndReset,
  greetAndStall,
  greetWith,
  rfbGreeting,
  silent,
} from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';
import { frame, opcode } from '../support/ws-client.ts';

const megabyte = 1024 * 1024;
const headers = { Origin: 'https://portal.example' };
let consoles: Consoles;

beforeAll(async () => {
  consoles = await startConsoles({
    flags: { proxy_connect_timeout: 2, allowed_origins: 'https://portal.example', debug_level: 3 },
  });
});

/** With the width of the number of security types. */
const rfbVersions: [version: string, typeBytes: number][] = [
  ['003.008', 1],
  ['003.007', 1],
  ['003.003', 4],
  ['003.005', 4],
];

/** The one log line with which a session ended. */
async function sessionEnd(service: Service, vmId: number): Promise<LogLine> {
  const ends = () => service.logLines().filter(({ msg, vm }) => msg === 'console closed' && vm === vmId);
  await waitFor(() => ends().length > 0, { what: 'the end of the session in the log' });
  expect(ends()).toHaveLength(1);
  return ends()[0] as LogLine;
}

function memoryBytes(service: Service): number {
  return (
    Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${service.child.pid}/status`, 'utf8'))?.[1]) * 1024
  );
}

/** Writes `bytes` over and over until the other side takes no more, or `limit` is reached. @returns how much it was */
async function writeUntilStuck(socket: Socket, bytes: Buffer, limit: number): Promise<number> {
  let written = 0;
  while (written < limit && !socket.destroyed) {
    written += bytes.length;
    if (socket.write(bytes)) continue;
    const drained = await Promise.race([
      new Promise((resolve) => socket.once('drain', () => resolve(true))),
      new Promise((resolve) => setTimeout(() => resolve(false), 500)),
    ]);
    if (drained === false) break;
  }
  return written;
}

describe('an Origin', () => {
  it.each([
    ['none', () => undefined, 101],
    ['its own', () => `http://127.0.0.1:${consoles.service.proxyPort}`, 101],
    ['an allowed one', () => 'https://portal.example', 101],
    ['a foreign one', () => 'https://evil.example', 403],
    ['null', () => 'null', 403],
  ])('%s', async (_what, origin, status) => {
    const { token } = await consoles.console(greet);
    expect((await consoles.open(token, { headers: { Origin: origin() } })).status).toBe(status);
  });

  it('that is foreign is refused before the token is looked at; the log names origin and setting', async () => {
    const headers = { Origin: 'https://evil.example:444' };
    const refused = await consoles.open('nosuchtokennosuchtokennosuch', { headers });
    expect(refused.status).toBe(403);
    const line = await consoles.service.waitForLog(({ origin }) => origin === headers.Origin, 'the refusal');
    expect(line['reason']).toContain('allowed_origins');
    await waitFor(() => refused.body().includes(`(ref ${line['ref']})`), { what: 'the reference' });
  });
});

describe('a refused token', () => {
  const reason = /^This console link is not valid any more \(ref [2-9A-Z]{6}\)$/;

  it.each(rfbVersions)(
    'is told to a browser in RFB %s: no security types, and why',
    async (version, typeBytes) => {
      const refused = await consoles.open('nosuchtokennosuchtokennosuch', { headers });
      expect(refused.status).toBe(101);
      expect((await refused.waitForData(12)).toString()).toBe(rfbGreeting);
      refused.send(frame({ payload: `RFB ${version}\n` }));
      expect((await refused.closeFrame()).code).toBe(1000);
      const text = toldInRfb(refused.data(), typeBytes);
      expect(text).toMatch(reason);
      await consoles.service.waitForLog(({ ref }) => text.includes(String(ref)), 'the refusal');
    },
  );

  it('is told to a browser that says nothing and never answers, and the connection ends all the same', async () => {
    const refused = await consoles.open('nosuchtokennosuchtokennosuch', { headers });
    expect((await refused.closeFrame()).code).toBe(1000);
    expect(refused.data().subarray(17).toString()).toMatch(reason);
    // Earlier than the time that any other browser has for its answer to a Close frame.
    await within(refused.ended(), { what: 'the end', deadlineMs: 8_000 });
  });

  it('is refused in RFB whether it is missing, unknown or expired, in one sentence', async () => {
    const expiring = await startConsoles({ flags: { token_ttl: 1 } });
    const { token } = await expiring.console(greet);
    const file = () => readdirSync(expiring.service.stateFolder).length;
    await waitFor(() => file() === 0, { what: 'the token to expire' });
    for (const path of ['/websockify', '/websockify?token=unknown', `/?token=${token}`]) {
      const own = { Origin: `http://127.0.0.1:${expiring.service.proxyPort}` };
      const refused = await expiring.open('', { path, headers: own });
      refused.send(frame({ payload: rfbGreeting }));
      await refused.closeFrame();
      expect(refused.data().subarray(17).toString()).toMatch(reason);
    }
  });
});

describe('a target', () => {
  it('is found by its name, the second time from memory', async () => {
    const { target } = await consoles.console(greet);
    const token = await consoles.tokenFor('localhost', target.port);
    for (let i = 0; i < 2; i++) {
      const webSocket = await consoles.open(token);
      expect((await webSocket.waitForData(12)).toString()).toBe(rfbGreeting);
    }
  });

  it('whose name nobody knows is 1011, and the log says why', async () => {
    const token = await consoles.tokenFor('nosuchhost.invalid', 5900);
    const webSocket = await consoles.open(token);
    expect((await webSocket.closeFrame()).code).toBe(1011);
    const told = ({ reason }: LogLine) =>
      /nosuchhost\.invalid cannot be resolved: (ENOTFOUND|EAI_AGAIN)/.test(String(reason));
    await consoles.service.waitForLog(told, 'the reason');
  });
});

describe('a target that fails, before a browser has had a byte', () => {
  const close = { code: 1011, reason: 'Failed to connect to downstream server' };

  it.each(rfbVersions)('is told in RFB %s and by the Close frame', async (version, typeBytes) => {
    const browser = await consoles.open(await consoles.tokenFor('127.0.0.1', await freePort()), { headers });
    expect((await browser.waitForData(12)).toString()).toBe(rfbGreeting);
    browser.send(frame({ payload: `RFB ${version}\n` }));
    expect(await browser.closeFrame()).toEqual(close);
    expect(toldInRfb(browser.data(), typeBytes)).toBe(close.reason);
  });

  it.each([
    ['is no RFB server', greetWith('SSH-2.0-OpenSSH_9.2\r\n')],
    ['ends in its greeting', (socket: Socket) => void socket.end('RFB 00')],
    ['says nothing', silent],
  ])('(it %s) is told to one that sent its version long before', async (_what, behaviour) => {
    const { token } = await consoles.console(behaviour);
    const firstBytes = Buffer.concat([frame({ payload: 'RFB 003' }), frame({ payload: '.003\nmore' })]);
    const browser = await consoles.open(token, { headers, firstBytes });
    expect(await browser.closeFrame()).toEqual(close);
    expect(toldInRfb(browser.data(), 4)).toBe(close.reason);
  });

  it('is told to one that held more back than is read', async () => {
    const { token } = await consoles.console(silent);
    const browser = await consoles.open(token, { headers });
    browser.send(frame({ payload: rfbGreeting }), frame({ payload: Buffer.alloc(megabyte) }));
    expect(await browser.closeFrame()).toEqual(close);
    expect(toldInRfb(browser.data())).toBe(close.reason);
  });

  it('is told to one that never answers, whose session has ended and whose connection ends as well', async () => {
    const { token, vmId } = await consoles.console(closeAtOnce);
    const browser = await consoles.open(token, { headers });
    await sessionEnd(consoles.service, vmId);
    expect(await browser.closeFrame()).toEqual(close);
    expect(toldInRfb(browser.data())).toBe(close.reason);
    // Earlier than the time that any other browser has for its answer to a Close frame.
    await within(browser.ended(), { what: 'the end', deadlineMs: 8_000 });
  });
});

describe('a slow side', () => {
  it('of browsers stops the target from being read, in bounded memory', async () => {
    let sent = 0;
    const flood: Behaviour = (socket) => {
      socket.write(rfbGreeting);
      const chunk = Buffer.alloc(256 * 1024);
      const more = () => {
        while (sent < 512 * megabyte && socket.writable) {
          sent += chunk.length;
          if (!socket.write(chunk)) return void socket.once('drain', more);
        }
      };
      more();
    };
    const { token } = await consoles.console(flood);
    const before = memoryBytes(consoles.service);
    const webSocket = await consoles.open(token);
    webSocket.socket.pause();
    let seen = -1;
    // Until nothing moves any more: the kernel's buffers on the way are full.
    await waitFor(
      async () => {
        const still = sent === seen;
        seen = sent;
        await new Promise((resolve) => setTimeout(resolve, 300));
        return still && sent > 0;
      },
      { what: 'the flood to stop', deadlineMs: 20_000 },
    );
    expect(sent).toBeLessThan(64 * megabyte);
    expect(memoryBytes(consoles.service) - before).toBeLessThan(32 * megabyte);
    webSocket.socket.resume();
    const resumed = sent;
    await waitFor(() => sent > resumed + 16 * megabyte, { what: 'the flood to go on' });
  });

  it('of targets stops the browser from being read, in bounded memory', async () => {
    const { token } = await consoles.console(greetAndStall);
    const before = memoryBytes(consoles.service);
    const { socket, waitForData } = await consoles.open(token);
    await waitForData(rfbGreeting.length);
    const bytes = frame({ payload: Buffer.alloc(64 * 1024) });
    const written = await writeUntilStuck(socket, bytes, 512 * megabyte);
    expect(written).toBeLessThan(64 * megabyte);
    expect(memoryBytes(consoles.service) - before).toBeLessThan(32 * megabyte);
  });

  it('of browsers that ping and never read gets no endless queue of pongs', async () => {
    const { token } = await consoles.console(greetAndEcho);
    const before = memoryBytes(consoles.service);
    const { socket } = await consoles.open(token);
    socket.pause();
    const pings = Buffer.concat(
      Array.from({ length: 500 }, () => frame({ opcode: opcode.ping, payload: 'x'.repeat(125) })),
    );
    const written = await writeUntilStuck(socket, pings, 256 * megabyte);
    expect(written).toBeLessThan(64 * megabyte);
    expect(memoryBytes(consoles.service) - before).toBeLessThan(32 * megabyte);
  });

  it('of targets that are still connecting bounds what a browser may send early', async () => {
    const { token } = await consoles.console(silent);
    const { socket } = await consoles.open(token);
    const bytes = frame({ payload: Buffer.alloc(64 * 1024) });
    const written = await writeUntilStuck(socket, bytes, 64 * megabyte);
    expect(written).toBeLessThan(32 * megabyte);
  });
});

describe('a session ends once, with reason, bytes and length in the log', () => {
  it('when the browser closes', async () => {
    const { token, vmId } = await consoles.console(greetAndEcho);
    const webSocket = await consoles.open(token);
    webSocket.send(frame({ payload: 'hello' }));
    await webSocket.waitForData(17);
    webSocket.send(frame({ opcode: opcode.close }));
    const line = await sessionEnd(consoles.service, vmId);
    expect(line).toMatchObject({
      reason: 'the browser left with close code 1005',
      bytesToBrowser: 17,
      bytesToTarget: 5,
    });
    expect(line).toMatchObject({ client: '127.0.0.1', user: 'oneadmin', seconds: expect.any(Number) });
    expect(line['ref']).toMatch(/^[2-9A-Z]{6}$/);
  });

  it('when the browser vanishes with a reset', async () => {
    const { token, vmId, target } = await consoles.console(greetAndEcho);
    const webSocket = await consoles.open(token);
    await webSocket.waitForData(12);
    webSocket.socket.resetAndDestroy();
    expect((await sessionEnd(consoles.service, vmId))['reason']).toMatch(/the browser/);
    const connection = await target.connection();
    await waitFor(() => connection.ended(), { what: 'the end at the target' });
  });

  it('when the browser ends its side of TCP without a Close', async () => {
    const { token, vmId, target } = await consoles.console(greetAndEcho);
    const webSocket = await consoles.open(token);
    await webSocket.waitForData(12);
    webSocket.socket.end();
    expect((await sessionEnd(consoles.service, vmId))['reason']).toBe(
      'the browser left with close code 1006',
    );
    const connection = await target.connection();
    await waitFor(() => connection.ended(), { what: 'the end at the target' });
  });

  it('when the browser leaves while the target is being reached', async () => {
    const { token, vmId, target } = await consoles.console(silent);
    const webSocket = await consoles.open(token);
    const connection = await target.connection();
    webSocket.socket.destroy();
    expect((await sessionEnd(consoles.service, vmId))['reason']).toMatch(/the browser/);
    await waitFor(() => connection.ended() || connection.closed(), { what: 'the end at the target' });
  });

  it('when the target resets the connection', async () => {
    const { token, vmId } = await consoles.console(greetAndReset);
    const webSocket = await consoles.open(token);
    await webSocket.waitForData(12);
    webSocket.send(frame({ payload: 'x' }));
    expect(await webSocket.closeFrame()).toEqual({ code: 1000, reason: 'Target closed' });
    expect((await sessionEnd(consoles.service, vmId))['reason']).toBe('the target reset the connection');
  });

  it('when the target says nothing: the log names the setting', async () => {
    const { token, vmId } = await consoles.console(silent);
    const webSocket = await consoles.open(token);
    await webSocket.closeFrame();
    expect((await sessionEnd(consoles.service, vmId))['reason']).toContain('proxy_connect_timeout');
  });

  it('when the target ends while the browser does not read', async () => {
    const { token, vmId } = await consoles.console(greetAndFlood(2 * megabyte));
    const webSocket = await consoles.open(token);
    webSocket.socket.pause();
    await waitFor(
      () => consoles.service.logLines().some(({ msg, vm }) => msg === 'console opened' && vm === vmId),
      {
        what: 'the session',
      },
    );
    webSocket.socket.resume();
    expect(await webSocket.closeFrame()).toEqual({ code: 1000, reason: 'Target closed' });
    expect((await sessionEnd(consoles.service, vmId))['bytesToBrowser']).toBe(12 + 2 * megabyte);
  });

  it('when a browser answers no pings, twice; one that answers stays', async () => {
    const pinging = await startConsoles({ flags: { proxy_ping: 0.2 } });
    const dead = await pinging.console(greetAndEcho);
    const deadVm = dead.vmId;
    const silentSocket = await pinging.open(dead.token);
    const alive = await pinging.console(greetAndEcho);
    const answering = await pinging.open(alive.token);
    const pings = () => answering.frames.filter(({ opcode: code }) => code === opcode.ping).length;
    let answered = 0;
    const timer = setInterval(() => {
      for (; answered < pings(); answered++) answering.send(frame({ opcode: opcode.pong }));
    }, 10);
    await silentSocket.ended();
    expect(silentSocket.frames.filter(({ opcode: code }) => code === opcode.ping)).toHaveLength(2);
    expect((await sessionEnd(pinging.service, deadVm))['reason']).toBe('the browser answered no ping');
    await waitFor(() => answered >= 6, { what: 'six pings' });
    clearInterval(timer);
    answering.send(frame({ payload: 'still here' }));
    expect((await answering.waitForData(22)).toString()).toContain('still here');
  });
});

describe('many connections', () => {
  it('of one address without a token are bounded, and others are served', async () => {
    // Loopback is trusted by default, as the address of nginx; here it is a client like any other.
    const strict = await startConsoles({ flags: { trusted_proxies: '192.0.2.1' } });
    const { token } = await strict.console(greet);
    const sockets = Array.from({ length: 256 }, () => connect(strict.service.proxyPort, '127.0.0.1'));
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    await waitFor(
      async () =>
        (await strict.open(token, { path: '/healthz' }).catch(() => ({ status: 0 }))).status === 429,
      { what: 'a refusal with 429' },
    );
    for (const socket of sockets) socket.destroy();
    await waitFor(async () => (await strict.open(token)).status === 101, { what: 'room again' });
  });

  it.each([1, 2, 3])('of one address are so many for the whole host, workers: %s', async (workers) => {
    const strict = await startConsoles({ flags: { workers, trusted_proxies: '192.0.2.1' } });
    const sockets = Array.from({ length: 400 }, () => connect(strict.service.proxyPort, '127.0.0.1'));
    let refused = 0;
    for (const socket of sockets) {
      socket.on('error', () => {});
      socket.once('data', (data: Buffer) => {
        expect(data.toString()).toMatch(/^HTTP\/1\.1 429 /);
        refused++;
      });
    }
    await waitFor(() => refused >= 400 - 256, { what: 'all but 256 to be refused', deadlineMs: 8_000 });
    // With several, a few places may lie with a worker that has no more connections; they are no small part.
    expect(refused).toBeLessThanOrEqual(400 - 128);
    for (const socket of sockets) socket.destroy();
  });

  it('with a token do not count among those without', async () => {
    const strict = await startConsoles({ flags: { ...manySessions, trusted_proxies: '192.0.2.1' } });
    for (const { token } of [await strict.console(greet), await strict.console(greet)])
      for (let i = 0; i < 150; i++) expect((await strict.open(token)).status).toBe(101);
  });

  it('refused in RFB behind a proxy are counted by the client that the proxy names', async () => {
    const own = {
      Origin: `http://127.0.0.1:${consoles.service.proxyPort}`,
      'X-Forwarded-For': '198.51.100.7',
    };
    const opened = await Promise.all(
      Array.from({ length: 257 }, () => consoles.open('unknown', { headers: own })),
    );
    const counts = opened.filter(({ status }) => status === 429).length;
    expect(counts).toBeGreaterThan(0);
    const { token } = await consoles.console(greet);
    const other = { ...own, 'X-Forwarded-For': '198.51.100.8' };
    expect((await consoles.open(token, { headers: other })).status).toBe(101);
  });
});
