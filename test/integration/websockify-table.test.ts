// What "websockify-compatible" means, row by row: each test is a row of the table measured on the real one.
import { beforeAll, describe, expect, it } from 'vitest';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { freePort } from '../support/ports.ts';
import {
  greet,
  greetAndEcho,
  greetAndFlood,
  greetAndHalfClose,
  greetWith,
  rfbGreeting,
  silent,
} from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { closePayload, frame, opcode } from '../support/ws-client.ts';

let consoles: Consoles;
const greetingLength = rfbGreeting.length;

beforeAll(async () => {
  consoles = await startConsoles({ flags: { proxy_connect_timeout: 2 } });
});

async function echoConsole(options: Parameters<Consoles['open']>[1] = {}) {
  const { token, target } = await consoles.console(greetAndEcho);
  const webSocket = await consoles.open(token, options);
  return { token, target, webSocket };
}

describe('the token', () => {
  it.each(['/', '/websockify', '/x/vnc.html'])('in the query is taken on the path %s', async (path) => {
    const { token } = await consoles.console(greet);
    const webSocket = await consoles.open(token, { path: `${path}?token=${token}` });
    expect(webSocket.status).toBe(101);
    expect((await webSocket.waitForData(greetingLength)).toString()).toBe(rfbGreeting);
  });

  it.each([
    ['given twice, the first wins', (token: string) => `/?token=${token}&token=wrong`],
    [
      'is percent-decoded',
      (token: string) => `/?token=%${token.charCodeAt(0).toString(16)}${token.slice(1)}`,
    ],
    ['loses one trailing newline', (token: string) => `/?token=${token}%0A`],
    ['may be empty first', (token: string) => `/?token=&token=${token}`],
    ['is the last path segment', (token: string) => `/websockify/${token}`],
    ['is the only path segment', (token: string) => `/${token}`],
    ['is found behind dot segments', (token: string) => `/a/../websockify/${token}`],
  ])('%s', async (_what, path) => {
    const { token } = await consoles.console(greet);
    expect((await consoles.open(token, { path: path(token) })).status).toBe(101);
  });

  it.each([
    ['missing', () => '/'],
    ['empty', () => '/?token='],
    ['unknown', () => '/?token=nosuchtokennosuchtokennosuch'],
    ['wrong first, right second', (token: string) => `/?token=wrong&token=${token}`],
    ['with two newlines', (token: string) => `/?token=${token}%0A%0A`],
    ['too long', () => `/?token=${'a'.repeat(8000)}`],
    ['no last segment', (token: string) => `/${token}/x`],
  ])('%s is refused with 401 to a program', async (_what, path) => {
    const { token } = await consoles.console(greet);
    const refused = await consoles.open(token, { path: path(token) });
    expect(refused.status).toBe(401);
    await waitFor(() => /not valid any more \(ref [2-9A-Z]{6}\)\n$/.test(refused.body()), {
      what: 'the reason',
    });
    await refused.ended();
  });
});

describe('the subprotocol', () => {
  it.each([
    [undefined, 101, undefined],
    ['binary', 101, 'binary'],
    ['binary, base64', 101, 'binary'],
    ['base64, binary', 101, 'binary'],
    ['base64', 400, undefined],
    ['nosuch', 400, undefined],
    ['', 101, undefined],
    [' ,', 101, undefined],
    ['binary,', 101, 'binary'],
    ['binary, binary', 101, 'binary'],
    ['binary, a b', 400, undefined],
  ])('%s is answered with %d and %s', async (offered, status, answered) => {
    const { token } = await consoles.console(greet);
    const reply = await consoles.open(token, { headers: { 'Sec-WebSocket-Protocol': offered } });
    expect([reply.status, reply.headers['sec-websocket-protocol']]).toEqual([status, answered]);
  });

  it('carries the token beside binary, and only binary is answered', async () => {
    const { token } = await consoles.console(greet);
    const headers = { 'Sec-WebSocket-Protocol': `binary, vnctoken.${token}` };
    const reply = await consoles.open(token, { path: '/websockify', headers });
    expect([reply.status, reply.headers['sec-websocket-protocol']]).toEqual([101, 'binary']);
  });

  it('carries no token alone: answering would echo it', async () => {
    const { token } = await consoles.console(greet);
    const reply = await consoles.open(token, {
      path: '/',
      headers: { 'Sec-WebSocket-Protocol': `vnctoken.${token}` },
    });
    expect(reply.status).toBe(400);
    expect(JSON.stringify(reply.headers) + reply.body()).not.toContain(token);
  });

  it('counts less than the query and the path', async () => {
    const { token } = await consoles.console(greet);
    const headers = { 'Sec-WebSocket-Protocol': 'binary, vnctoken.nosuchtokennosuchtokennosuch' };
    expect((await consoles.open(token, { headers })).status).toBe(101);
    expect((await consoles.open(token, { path: `/${token}`, headers })).status).toBe(101);
    const other = await consoles.open(token, {
      path: '/nosuchtokennosuchtokennosuch',
      headers: { 'Sec-WebSocket-Protocol': `binary, vnctoken.${token}` },
    });
    expect(other.status).toBe(401);
  });
});

describe('the target', () => {
  it('refuses the connection: 101, then 1011', async () => {
    const token = await consoles.tokenFor('127.0.0.1', await freePort());
    const webSocket = await consoles.open(token);
    expect(webSocket.status).toBe(101);
    expect(await webSocket.closeFrame()).toEqual({
      code: 1011,
      reason: 'Failed to connect to downstream server',
    });
  });

  it.each([
    ['is no RFB server', greetWith('SSH-2.0-OpenSSH_9.2\r\n')],
    ['is one of HTTP', greetWith('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['begins like RFB and goes on otherwise', greetWith('RFB 003.0x8\n')],
    ['says too little', greetWith('RFB 003.')],
    ['says nothing', silent],
    ['ends before its greeting', (socket: { end(text: string): unknown }) => void socket.end('RFB 00')],
  ])('%s: 1011, and no byte of it reaches the browser', async (_what, behaviour) => {
    const { token } = await consoles.console(behaviour);
    const webSocket = await consoles.open(token);
    expect(await webSocket.closeFrame()).toEqual({
      code: 1011,
      reason: 'Failed to connect to downstream server',
    });
    expect(webSocket.data()).toHaveLength(0);
  });

  it('may greet byte by byte', async () => {
    const { token } = await consoles.console((socket) => {
      const bytes = [...rfbGreeting];
      const timer = setInterval(() => {
        const next = bytes.shift();
        if (next === undefined) clearInterval(timer);
        else socket.write(next);
      }, 2);
      socket.resume();
    });
    const webSocket = await consoles.open(token);
    expect((await webSocket.waitForData(greetingLength)).toString()).toBe(rfbGreeting);
  });

  it('ends: what it had sent still arrives, then 1000 Target closed', async () => {
    const { token } = await consoles.console(greetAndHalfClose('the last words'));
    const webSocket = await consoles.open(token);
    expect(await webSocket.closeFrame()).toEqual({ code: 1000, reason: 'Target closed' });
    expect(webSocket.data().toString()).toBe(`${rfbGreeting}the last words`);
  });

  it('floods and ends: every byte arrives before the Close', async () => {
    const bytes = 8 * 1024 * 1024;
    const { token } = await consoles.console(greetAndFlood(bytes));
    const webSocket = await consoles.open(token);
    expect(await webSocket.closeFrame()).toEqual({ code: 1000, reason: 'Target closed' });
    expect(webSocket.data()).toHaveLength(greetingLength + bytes);
  });
});

describe('the browser', () => {
  it.each([1000, 1001, 3000, 4999])('closes with %d and gets it back', async (code) => {
    const { webSocket, target } = await echoConsole();
    await webSocket.waitForData(greetingLength);
    webSocket.send(frame({ opcode: opcode.close, payload: closePayload(code, 'bye') }));
    expect((await webSocket.closeFrame()).code).toBe(code);
    const connection = await target.connection();
    await waitFor(() => connection.ended(), { what: 'the end of the target connection' });
  });

  it('sends its last bytes and closes: the target has them', async () => {
    const { webSocket, target } = await echoConsole();
    await webSocket.waitForData(greetingLength);
    webSocket.send(frame({ payload: 'last' }), frame({ opcode: opcode.close, payload: closePayload(1000) }));
    const connection = await target.connection();
    await waitFor(() => connection.ended(), { what: 'the end of the target connection' });
    expect(connection.received().toString()).toBe('last');
  });

  it('sends frames in the same packet as the handshake: they are relayed', async () => {
    const { webSocket } = await echoConsole({ firstBytes: frame({ payload: 'early' }) });
    expect((await webSocket.waitForData(greetingLength + 5)).toString()).toBe(`${rfbGreeting}early`);
  });

  it('sends a fragmented message, an empty frame and a ping in between: all is relayed, and ponged', async () => {
    const { webSocket } = await echoConsole();
    webSocket.send(
      frame({ payload: 'one ', fin: false }),
      frame({ opcode: opcode.ping, payload: 'still there?' }),
      frame({ opcode: opcode.continuation, payload: '', fin: false }),
      frame({ opcode: opcode.continuation, payload: 'two', fin: true }),
      frame({ payload: '' }),
    );
    expect((await webSocket.waitForData(greetingLength + 7)).toString()).toBe(`${rfbGreeting}one two`);
    const pong = webSocket.frames.find(({ opcode: code }) => code === opcode.pong);
    expect(pong?.payload.toString()).toBe('still there?');
  });

  it.each([
    ['a text frame', 1003, frame({ opcode: opcode.text, payload: 'hello' })],
    ['an unmasked frame', 1002, frame({ payload: 'x', masked: false })],
    ['reserved bit 1', 1002, frame({ payload: 'x', reserved: 4 })],
    ['reserved bit 2', 1002, frame({ payload: 'x', reserved: 2 })],
    ['reserved bit 3', 1002, frame({ payload: 'x', reserved: 1 })],
    ['an unknown opcode', 1002, frame({ opcode: 3, payload: 'x' })],
    ['an unknown control opcode', 1002, frame({ opcode: 11, payload: 'x' })],
    ['a continuation of nothing', 1002, frame({ opcode: opcode.continuation, payload: 'x' })],
    ['a fragmented ping', 1002, frame({ opcode: opcode.ping, payload: 'x', fin: false })],
    ['a ping of 126 bytes', 1002, frame({ opcode: opcode.ping, payload: 'x'.repeat(126) })],
    ['a Close of one byte', 1002, frame({ opcode: opcode.close, payload: 'x' })],
    ['a Close with code 1005', 1002, frame({ opcode: opcode.close, payload: closePayload(1005) })],
    ['a Close with code 999', 1002, frame({ opcode: opcode.close, payload: closePayload(999) })],
    [
      'a Close whose reason is not UTF-8',
      1007,
      frame({ opcode: opcode.close, payload: closePayload(1000, Buffer.from([0xff, 0xfe])) }),
    ],
    ['a frame of 32 MiB', 1009, frame({ payload: '', length: 32 * 1024 * 1024 })],
    ['an absurd length', 1009, frame({ payload: '', length: 2n ** 62n })],
  ])('sends %s: Close %i', async (_what, code, bytes) => {
    const { webSocket, target } = await echoConsole();
    await webSocket.waitForData(greetingLength);
    webSocket.send(bytes);
    expect((await webSocket.closeFrame()).code).toBe(code);
    const connection = await target.connection();
    await waitFor(() => connection.ended(), { what: 'the end of the target connection' });
    expect(connection.received()).toHaveLength(0);
  });
});

describe('the upgrade', () => {
  it.each(['7', '14', '0', 'x', undefined])(
    'of version %s gets 426 and the version spoken here',
    async (version) => {
      const { token } = await consoles.console(greet);
      const reply = await consoles.open(token, { headers: { 'Sec-WebSocket-Version': version } });
      expect([reply.status, reply.headers['sec-websocket-version']]).toEqual([426, '13']);
    },
  );

  it('of version 8 is accepted', async () => {
    const { token } = await consoles.console(greet);
    expect((await consoles.open(token, { headers: { 'Sec-WebSocket-Version': '8' } })).status).toBe(101);
  });

  it.each([
    ['another protocol', { headers: { Upgrade: 'h2c' } }],
    ['no key', { headers: { 'Sec-WebSocket-Key': undefined } }],
    ['a bad key', { headers: { 'Sec-WebSocket-Key': 'short' } }],
    ['the verb POST', { method: 'POST' }],
  ])('with %s is refused with 400', async (_what, options) => {
    const { token } = await consoles.console(greet);
    expect((await consoles.open(token, options)).status).toBe(400);
  });

  it.each(['/', '/websockify', '/x/vnc.html', '/?token=x'])('missing on GET %s gets 426', async (path) => {
    const reply = await fetch(`http://127.0.0.1:${consoles.service.proxyPort}${path}`);
    expect(reply.status).toBe(426);
    expect(reply.headers.get('upgrade')).toBe('websocket');
  });

  it('missing on other verbs gets 405', async () => {
    const reply = await fetch(`http://127.0.0.1:${consoles.service.proxyPort}/websockify`, {
      method: 'POST',
      body: 'x',
    });
    expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('is not needed for /healthz', async () => {
    const reply = await fetch(`http://127.0.0.1:${consoles.service.proxyPort}/healthz`);
    expect([reply.status, await reply.text()]).toEqual([200, 'ok']);
  });
});
