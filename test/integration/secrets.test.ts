// Everything that can be said to the service is said once, at debug_level 3; then every place where it could have
// been written down is searched. What always holds: session strings, tokens and VNC passwords are in none of them,
// but for the directory that is there for websockify.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import type { OnedCall } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { greet, greetWith } from '../support/vnc-target.ts';
import { closePayload, frame, opcode, type RawWebSocket } from '../support/ws-client.ts';
import { encodeCall, encodeValue } from '../support/xmlrpc.ts';

const password = 'Vnc&Pw<7';
const sessions = {
  right: 'alice:sesame-right',
  wrong: 'alice:sesame-wrong',
  withoutColon: 'sesame-without-colon',
  special: 'alice:sesame <&>"]]>é',
  malformed: 'alice:sesame-malformed',
};

/** Tokens that were issued, and texts that were tried as if they were. */
const tokens: string[] = [];
const forged = 'forgedforgedforgedforged0';
let consoles: Consoles;

/** Everything that must not stand anywhere, in every spelling in which it could. */
function secrets(): string[] {
  const plain = ['sesame', password, forged, ...tokens];
  const spellings = plain.flatMap((secret) => [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
    secret.replace(/&/g, '&amp;').replace(/</g, '&lt;'),
    Buffer.from(secret).toString('base64').replace(/=+$/, ''),
    Buffer.from(secret).toString('hex'),
  ]);
  for (const session of Object.values(sessions))
    spellings.push(Buffer.from(session).toString('base64').slice(0, -4));
  return [...new Set(spellings)];
}

const found = (text: string) => secrets().filter((secret) => text.includes(secret));

beforeAll(async () => {
  consoles = await startConsoles({
    flags: {
      ...{ debug_level: 3, proxy_connect_timeout: 1, oned_timeout: 1, max_body: 8192 },
      public_url: 'https://cloud.example/vnc',
    },
  });
  await everyCall();
  await everyUpgrade();
  const issued = consoles.service.logLines().filter(({ msg }) => msg === 'token issued');
  expect(issued.length).toBeGreaterThanOrEqual(8);
});

/** Each method with each session, each refusal, and each way in which oned can repeat what it was asked. */
async function everyCall(): Promise<void> {
  const { service, oned } = consoles;
  oned.runVm(1, { host: '127.0.0.1', port: await freePort() }, { PASSWD: password });
  for (const session of [sessions.right, sessions.special, sessions.withoutColon])
    for (const method of ['one.vm.vnctoken', 'one.vm.vnctokenonly', 'one.vm.vnc', 'one.vm.vncurl']) {
      const reply = JSON.stringify(await service.call(method, [session, 1]));
      tokens.push(...(reply.match(/\b[a-z0-9]{25}\b/g) ?? []));
    }

  const echoes: ((call: OnedCall) => Parameters<typeof oned.answer>[1])[] = [
    ({ session, body }) => ({ error: `[one.vm.info] ${session} may not. ${body}`, code: 0x0100 }),
    ({ session }) => ({ fault: `no ${session}`, code: -1 }),
    ({ session }) => ({
      body: `<methodResponse><fault>${encodeValue({ faultCode: session, faultString: session })}</fault></methodResponse>`,
    }),
    ({ body }) => ({ body: `<html><title>502</title>${body}</html>`, status: 502, type: 'text/html' }),
    ({ session }) => ({ body: `<${session.replace(/\W/g, '')}>`, status: 500 }),
    ({ session }) => ({ raw: `HTTP/1.1 200 ${session.replace(/[^\x20-\x7e]/g, '')}\r\n\r\n${session}` }),
    ({ session }) => ({ raw: `${session}\r\n` }),
    ({ session }) => ({ value: `<VM>${session}</VM>` }),
    ({ session }) => ({ value: `<VM><STATE>${session}</STATE></VM>` }),
    ({ session }) => ({ value: session }),
    () => ({ vm: { id: 2, state: 8, graphics: { PASSWD: password } } }),
    () => ({ vm: { id: 2, graphics: { TYPE: 'SPICE', PASSWD: password } } }),
    () => ({ vm: { id: 2, graphics: { PORT: 22, PASSWD: password } } }),
    () => ({ vm: { id: 2, hosts: [], graphics: { PASSWD: password } } }),
    () => ({ vm: { id: 2, hosts: ['a b'], graphics: { PASSWD: password } } }),
    () => 'hang-up',
    () => 'hang',
  ];
  for (const echo of echoes) {
    oned.answer(2, (call) => {
      const script = echo(call);
      return typeof script === 'function' ? script(call) : script;
    });
    for (const session of [sessions.wrong, sessions.special])
      await service.call('one.vm.vnctoken', [session, 2]);
  }

  // Secrets in the wrong place of a call.
  await service.call(sessions.right, [sessions.right, 1]);
  await service.call('one.vm.vnctoken', [1, sessions.right]);
  await service.call('one.vm.vnctoken', [sessions.right, sessions.right]);
  await service.call('one.vm.vnctoken', [sessions.right, sessions.right, sessions.right, sessions.right]);
  await service.call('one.vm.vnctoken', [sessions.right, 1, { [sessions.right]: sessions.right }]);

  const body = encodeCall('one.vm.vnctoken', [sessions.malformed, 1]);
  const malformed = [
    body.slice(0, -30),
    body.replace('alice', '&alice;'),
    body.replace('alice', 'alice\x01'),
    body.replace('alice', '&#1;'),
    body.replace('<?xml version="1.0"?>', `<!DOCTYPE ${sessions.malformed}>`),
    body.replace('version="1.0"', `version="1.0" encoding="${sessions.malformed}"`),
    body.replace('methodCall', sessions.malformed),
    body.replaceAll('methodCall', 'sesame'),
    `<a ${sessions.malformed}/>`,
    sessions.malformed,
    `${body}${sessions.malformed.repeat(1000)}`,
  ];
  for (const text of malformed) await service.rawCall(text);
  const path = `/x?session=${sessions.right}&token=${tokens[0]}`;
  for (const method of ['GET', 'PUT'])
    for (const where of [path, path.replace('/x', '/RPC2'), path.replace('/x', '/healthz')])
      await service.rawCall(body, { method, path: where });
  const headers = {
    authorization: `Basic ${Buffer.from(sessions.right).toString('base64')}`,
    cookie: `session=${sessions.right}`,
    referer: `https://portal.example/?token=${tokens[0]}`,
    'x-forwarded-for': `${tokens[0]}, ${sessions.right}`,
    'user-agent': sessions.right,
  };
  tokens.push(String((await service.call('one.vm.vnctokenonly', [sessions.right, 1], { headers }))[1]));
  await service.rawCall(body, { headers: { 'content-encoding': sessions.right } });
  await service.rawCall(body, { headers: { 'content-type': `text/xml; charset=${sessions.right}` } });
  await service.rawCall(body, { headers: { 'content-encoding': 'gzip' } });
}

/** A token in each place, good and bad, and each way in which a session can go. */
async function everyUpgrade(): Promise<void> {
  const { service } = consoles;
  const places = (token: string) => [
    { path: `/?token=${token}` },
    { path: `/websockify?token=${token}&password=${encodeURIComponent(password)}` },
    { path: `/websockify/${token}` },
    { path: `/${token}` },
    { path: '/websockify', headers: { 'Sec-WebSocket-Protocol': `binary, vnctoken.${token}` } },
  ];
  const origin = `http://127.0.0.1:${service.proxyPort}`;
  for (const behaviour of [greet, greetWith('SSH-2.0-x\r\n')]) {
    const { token } = await consoles.console(behaviour);
    tokens.push(token);
    for (const place of places(token)) {
      const webSocket = await consoles.open(token, place);
      expect(webSocket.status).toBe(101);
      webSocket.send(frame({ opcode: opcode.close, payload: closePayload(1000, token) }));
      await webSocket.ended();
    }
  }
  const dead = await consoles.tokenFor('127.0.0.1', await freePort());
  tokens.push(dead);
  await untilClosed(await consoles.open(dead));
  const refusals = [...places(forged), ...places(`${dead}x`)].flatMap(({ path, headers }) => [
    { path, headers },
    { path, headers: { ...headers, Origin: origin } },
    { path, headers: { ...headers, Origin: 'https://evil.example' } },
    { path, headers: { ...headers, 'Sec-WebSocket-Version': '7' } },
    { path, headers: { ...headers, 'Sec-WebSocket-Key': dead } },
    { path, headers: { ...headers, Upgrade: dead } },
    { path, method: 'POST', headers: { ...headers } },
    { path, headers: { ...headers, 'X-Forwarded-For': dead, Referer: `${origin}/?token=${dead}` } },
  ]);
  refusals.push({ path: '/', headers: { 'Sec-WebSocket-Protocol': `vnctoken.${dead}` } });
  for (const { headers = {}, ...refusal } of refusals) {
    const webSocket = await consoles.open(forged, { ...refusal, headers });
    await (webSocket.status === 101 ? untilClosed(webSocket) : webSocket.ended());
  }
  for (const path of [`/?token=${dead}`, `/${dead}`, `/console/?token=${dead}`, `/console/%zz?token=${dead}`])
    for (const method of ['GET', 'POST'])
      await fetch(`${origin}${path}`, { method }).then((response) => response.arrayBuffer());
  const broken = await consoles.open(dead, {
    request: `GET /?token=${dead} HTTP/9.9\r\n${sessions.right}\r\n\r\n`,
  });
  await broken.ended();
}

/** Answers a refusal in RFB, and leaves when the service has said its last word. */
async function untilClosed(webSocket: RawWebSocket): Promise<void> {
  webSocket.send(frame({ payload: 'RFB 003.008\n' }));
  await webSocket.closeFrame();
  webSocket.socket.destroy();
}

describe('what nobody may read', () => {
  it('is not in the log, which has a line for each of these cases', async () => {
    const { service } = consoles;
    const expected = [
      ...['token issued', 'oned-refused', 'oned-unreachable', 'oned-nonsense', 'oned-timeout', 'wrong-state'],
      ...[
        'no-console',
        'unknown-method',
        'bad-parameters',
        'token-not-valid',
        'origin-refused',
        'wrong-version',
      ],
      ...['bad-upgrade', 'bad-subprotocol'],
    ];
    for (const expectedCode of expected)
      await service.waitForLog(({ code, msg }) => (code ?? msg) === expectedCode, expectedCode);
    expect(found(service.child.stdout())).toEqual([]);
  });

  it('is named by fingerprints and by the user alone', () => {
    const issued = consoles.service.logLines().filter(({ msg }) => msg === 'token issued');
    for (const { fingerprint } of issued) expect(fingerprint).toMatch(/^[0-9a-f]{12}$/);
    expect(new Set(consoles.service.logLines().map(({ user }) => user))).toEqual(
      new Set([undefined, 'alice', 'oneadmin', '']),
    );
  });

  it('is not in standard error, nor in the process list', () => {
    const { child } = consoles.service;
    expect(child.stderr()).toBe('');
    expect(found(readFileSync(`/proc/${child.pid}/cmdline`, 'utf8'))).toEqual([]);
    expect(found(readFileSync(`/proc/${child.pid}/environ`, 'utf8'))).toEqual([]);
    expect(found(readFileSync(`/proc/${child.pid}/comm`, 'utf8'))).toEqual([]);
  });

  it("is nowhere below the state folder but in websockify's files, where the password is not either", () => {
    const { oneLocation, stateFolder, tokenFolder } = consoles.service;
    const files = readdirSync(oneLocation, { recursive: true, encoding: 'utf8' })
      .map((name) => join(oneLocation, name))
      .filter((path) => statSync(path).isFile());
    expect(files.filter((path) => path.startsWith(stateFolder)).length).toBeGreaterThanOrEqual(8);
    const theirs = files.filter((path) => path.startsWith(tokenFolder));
    expect(theirs.length).toBeGreaterThan(0);
    for (const path of files) {
      expect(found(path)).toEqual([]);
      const inside = found(readFileSync(path, 'utf8'));
      if (theirs.includes(path)) expect(inside.every((secret) => tokens.includes(secret))).toBe(true);
      else expect(inside).toEqual([]);
    }
  });
});
