// What the nginx examples log when things go wrong: the service is down or rude, the request is refused, malformed
// or too long. In none of these cases a part of a token may stand in a log; in each the access log has a line.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { beforeAll, describe, expect, test } from 'vitest';
import { atEnd } from '../support/lifetime.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait.ts';
import { openRawWebSocket } from '../support/ws-client.ts';
import { type Example, type ExampleName, startExample } from './nginx-example.ts';

const token = 'k3v9x0q7m2c8z5b1n6t4r0w8y2j5';
const encoded = percentEncoded(token);
const encodedTwice = percentEncoded(encoded);
/** How many characters in a row of a token, however written, are a leak. */
const leakChars = 12;

interface Case {
  what: string;
  /** The bytes, each `@` standing for the token. */
  request: string;
  status: number;
  /** Without TLS, on the port for TLS. */
  plain?: true;
}

const upgrade = 'Host: one.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n';
const get = (target: string, more = '') => `GET ${target} HTTP/1.1\r\n${upgrade}${more}\r\n`;

/** Refused by nginx itself, whatever the service does. */
const refused: Case[] = [
  { what: 'without a Host', request: 'GET /websockify?token=@ HTTP/1.1\r\n\r\n', status: 400 },
  { what: 'of no known protocol', request: 'GET /websockify?token=@ HTTX/1.1\r\n\r\n', status: 400 },
  { what: 'of HTTP/9', request: 'GET /websockify?token=@ HTTP/9.0\r\n\r\n', status: 505 },
  { what: 'with a space in its address', request: get('/websockify?token=@ @'), status: 400 },
  { what: 'with a broken escape', request: get('/websockify/@%zz'), status: 400 },
  { what: 'with a broken header', request: get('/websockify/@', 'a b: @\r\n\x00: @\r\n'), status: 400 },
  { what: 'too long', request: get(`/websockify/@?token=@&x=${'x'.repeat(70_000)}`), status: 414 },
  { what: 'with too long a header', request: get('/@', `Cookie: ${'x'.repeat(70_000)}\r\n`), status: 400 },
  { what: 'with too large a body', request: post('/websockify?token=@', 5_000), status: 413 },
  { what: 'with too large a body for a call', request: post('/RPC2/vnctoken?token=@', 70_000), status: 413 },
  { what: 'by TRACE', request: `TRACE /@?token=@ HTTP/1.1\r\n${upgrade}\r\n`, status: 405 },
  { what: 'without TLS', request: get('/websockify?token=@'), status: 400, plain: true },
];

/** Passed on, to a service that does not answer properly. */
const passedOn: Case[] = [
  { what: 'with the token in the query', request: get('/websockify?token=@'), status: 502 },
  { what: 'with the token in the path', request: get('/websockify/@'), status: 502 },
  { what: 'with the token in the middle', request: get('/websockify/@/@/vnc.html'), status: 502 },
  { what: 'with an encoded token', request: get(`/websockify/${encoded}`), status: 502 },
  { what: 'with a token encoded twice', request: get(`/websockify/${encodedTwice}`), status: 502 },
  { what: 'with an encoded question mark', request: get('/websockify%3Ftoken=@'), status: 502 },
  { what: 'with a line break before it', request: get('/websockify/%0A@'), status: 502 },
  { what: 'with a Referer', request: get('/console/a.js', 'Referer: https://a/?token=@\r\n'), status: 502 },
  { what: 'with a subprotocol', request: get('/websockify', protocol('vnctoken.@')), status: 502 },
  { what: 'by an odd method', request: `BREW /websockify/@?token=@ HTTP/1.1\r\n${upgrade}\r\n`, status: 502 },
  { what: 'as a call', request: post('/RPC2/vnctoken/@?token=@', 10), status: 502 },
];

const atTheRoot: Record<ExampleName, Case> = {
  vnctoken: { what: 'at the root', request: get('/@?token=@'), status: 502 },
  'opennebula-rpc': { what: 'at the root', request: get('/@?token=@'), status: 404 },
};

const names: ExampleName[] = ['vnctoken', 'opennebula-rpc'];

describe.each(names)('nginx/%s.conf', (name) => {
  const cases = [...refused, ...passedOn, atTheRoot[name]];
  let rudePort: number;

  beforeAll(async () => {
    rudePort = await startRudeService();
  });

  test('logs no token while the service is down', async () => {
    await expectNoLeak(await startExample(name, await downPorts()), cases);
  });

  test('logs no token while the service hangs up', async () => {
    await expectNoLeak(await startExample(name, { rpcPort: rudePort, proxyPort: rudePort }), cases);
  });

  test('logs no token while the service talks nonsense', async () => {
    const example = await startExample(name, { rpcPort: rudePort, proxyPort: rudePort });
    const nonsense = cases.map((one) => ({
      ...one,
      request: one.request.replace('/websockify', '$&/nonsense'),
    }));
    await expectNoLeak(example, nonsense);
  });

  test('logs no token when a browser leaves before there is an answer', async () => {
    const example = await startExample(name, { rpcPort: rudePort, proxyPort: rudePort });
    const socket = connectTls({ port: example.port, host: '127.0.0.1', rejectUnauthorized: false });
    atEnd(() => {
      socket.destroy();
    });
    await once(socket, 'secureConnect');
    const waiting = waitingAt(rudePort);
    socket.write(get('/websockify/silence/@?token=@').replaceAll('@', token));
    await waiting;
    socket.destroy();
    await waitFor(() => example.accessLines().length === 1, { what: 'the line in the log' });
    expect(example.accessLines()[0]).toContain(' 499 ');
    expectNoPart(example.everythingLogged());
  });

  test('logs no token when a limit of nginx is in force', async () => {
    // As an operator may add it; its refusals are errors, which nginx tells with the request line.
    const http = 'limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m; limit_req zone=one;';
    const example = await startExample(name, { ...(await downPorts()), http });
    const [first, second] = [502, 503].map((status) => ({
      what: '',
      request: get('/websockify/@?token=@'),
      status,
    }));
    if (first && second) await expectNoLeak(example, [first, second]);
  });

  test('logs no token where nginx finds the failure critical', async () => {
    // As it does where SELinux forbids it to connect: any reason but the usual ones of a network.
    const replace = { 'http://127.0.0.1:29876': 'http://unix:/nowhere/socket' };
    await expectNoLeak(await startExample(name, { ...(await downPorts()), replace }), passedOn);

    const log = { 'error_log /dev/null emerg;': 'error_log stderr crit;' };
    const talkative = await startExample(name, { ...(await downPorts()), replace: { ...replace, ...log } });
    await sendAll(talkative, passedOn.slice(0, 1));
    expect(talkative.everythingLogged()).toMatch(new RegExp(`\\[crit\\].*No such file.*${token}`));
  });

  test('would log tokens without its own settings, which these tests would notice', async () => {
    const example = await startExample(name, {
      ...(await downPorts()),
      replace: {
        'error_log /dev/null emerg;': '',
        [`access_log /var/log/nginx/${name}-access.log ${name.replace('-', '_')};`]: `access_log /var/log/nginx/${name}-access.log combined;`,
      },
    });
    await sendAll(example, passedOn.slice(0, 1));
    const [access = ''] = example.accessLines();
    expect(access).toContain(token);
    expect(example.everythingLogged().replace(access, '')).toMatch(
      new RegExp(`connect\\(\\) failed.*${token}`),
    );
  });
});

async function expectNoLeak(example: Example, cases: readonly Case[]): Promise<void> {
  expect(await sendAll(example, cases)).toEqual(cases.map(({ what, status }) => ({ what, status })));
  await waitFor(() => example.accessLines().length >= cases.length, { what: 'a line for each request' });
  const logged = example.accessLines().map((line) => Number(/ (\d{3}) \d+ \d+\.\d+ "/.exec(line)?.[1]));
  expect(logged.sort()).toEqual(cases.map(({ status }) => status).sort());
  expectNoPart(example.everythingLogged());
}

/** One after the other, each on a connection of its own. */
async function sendAll({ port }: Example, cases: readonly Case[]) {
  const seen: { what: string; status: number }[] = [];
  for (const { what, request, plain } of cases) {
    const { status, socket } = await openRawWebSocket({
      port,
      tls: !plain,
      request: request.replaceAll('@', token),
    });
    socket.destroy();
    seen.push({ what, status });
  }
  return seen;
}

function expectNoPart(text: string): void {
  const lowerCase = text.toLowerCase();
  for (const form of [token, encoded, encodedTwice]) {
    for (let at = 0; at + leakChars <= form.length; at++) {
      const part = form.slice(at, at + leakChars);
      // Every percent-encoded character begins in the same way: look for whole ones.
      if (form !== token && !part.startsWith('%')) continue;
      expect(lowerCase.includes(part) ? `${part} in ${text}` : 'no leak').toBe('no leak');
    }
  }
}

function percentEncoded(text: string): string {
  return [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

function post(target: string, bodyBytes: number): string {
  return `POST ${target} HTTP/1.1\r\n${upgrade}Content-Length: ${bodyBytes}\r\n\r\n${'x'.repeat(bodyBytes)}`;
}

function protocol(names: string): string {
  return `Sec-WebSocket-Protocol: ${names}\r\n`;
}

/** Ports where nothing listens. */
async function downPorts() {
  return { rpcPort: await freePort(), proxyPort: await freePort() };
}

const rudeServices = new Map<number, Server>();

/** Answers with nonsense, not at all, or by hanging up, as the path says. */
async function startRudeService(): Promise<number> {
  const server = createServer((socket) => {
    atEnd(() => {
      socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      if (text.includes('/silence')) server.emit('waiting');
      else if (text.includes('/nonsense')) socket.end('HTTP/1.1 200 OK\r\n\x00: 1\r\n\r\n');
      else socket.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  rudeServices.set(port, server);
  return port;
}

/** Settles when a request has come that stays without an answer. */
async function waitingAt(port: number): Promise<void> {
  const server = rudeServices.get(port);
  if (server) await once(server, 'waiting');
}
