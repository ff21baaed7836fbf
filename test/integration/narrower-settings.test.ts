// Tokens that were issued before the operator made a setting narrower, through the whole service and a real SIGHUP: each
// setting holds for them from then on, and one that is taken back gives back what it took.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { enterRfb, HANDSHAKE_BYTES, noSecurity } from '../support/open-console.ts';
import { greetAndEcho, type VncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { frame, type HandshakeOptions, type RawWebSocket } from '../support/ws-client.ts';

type Lines = Record<string, string>;

const textOf = (lines: Lines) =>
  Object.entries(lines)
    .map(([key, value]) => `:${key}: ${value}\n`)
    .join('');

const wide: Lines = { console_ports: '1-65535' };

async function startWith(lines: Lines): Promise<Consoles> {
  return startConsoles({ without: ['console_ports'], flags: {}, ownConfig: textOf({ ...wide, ...lines }) });
}

async function reload({ service }: Consoles, lines: Lines): Promise<void> {
  writeFileSync(join(service.oneLocation, 'etc/vnctoken-server.conf'), textOf({ ...wide, ...lines }));
  const seen = service.logLines().length;
  service.signal('SIGHUP');
  const told = () =>
    service
      .logLines()
      .slice(seen)
      .find(({ msg }) => msg === 'configuration reloaded');
  await waitFor(told, { what: 'the new configuration' });
}

const from = (client: string): Partial<HandshakeOptions> => ({ headers: { 'X-Forwarded-For': client } });

async function leave({ service }: Consoles, browser: RawWebSocket): Promise<void> {
  const ended = () => service.logLines().filter(({ audit }) => audit === 'ended').length;
  const before = ended();
  browser.socket.destroy();
  await waitFor(() => ended() > before, { what: 'the end of the session' });
}

async function openAndLeave(consoles: Consoles, token: string, options?: Partial<HandshakeOptions>) {
  const browser = await consoles.open(token, options);
  await browser.waitForData(12);
  await leave(consoles, browser);
}

/** Opens a console that is refused, in the usual words; the log says why. */
async function refused(consoles: Consoles, token: string, why: string, options?: Partial<HandshakeOptions>) {
  const browser = await consoles.open(token, options);
  expect(browser.status).toBe(401);
  expect(browser.body()).toMatch(/^This console link is not valid any more \(ref \w{6}\)\n$/);
  const ref = /ref (\w{6})/.exec(browser.body())?.[1];
  const line = await consoles.service.waitForLog(
    (one) => one['ref'] === ref && one['audit'] === 'refused',
    'the refusal',
  );
  expect(line['reason']).toBe(why);
}

describe('a token from before', () => {
  it('does not open a port that is not in console_ports any more, until it is again', async () => {
    const consoles = await startWith({});
    const { token, target } = await consoles.console(greetAndEcho);
    await reload(consoles, { console_ports: '1-9' });
    await refused(consoles, token, `console_ports: port ${target.port} is not among them any more`);
    expect(target.connections).toEqual([]);
    await reload(consoles, {});
    // As unused as it was: reconnect_grace does not count yet.
    await reload(consoles, { reconnect_grace: '0' });
    await (await consoles.open(token)).waitForData(12);
  });

  it('keeps its console, and cannot come back to it, where it had one', async () => {
    const consoles = await startWith({});
    const { token } = await consoles.console(greetAndEcho);
    const browser = await consoles.open(token);
    await browser.waitForData(12);
    await reload(consoles, { console_ports: '1-9' });
    browser.send(frame({ payload: 'still here' }));
    await waitFor(() => browser.data().toString().endsWith('still here'), { what: 'the echo' });
    await leave(consoles, browser);
    expect((await consoles.open(token)).status).toBe(401);
  });

  it('is over when a shorter token_ttl is', async () => {
    const consoles = await startWith({ token_ttl: '600' });
    const { token } = await consoles.console(greetAndEcho);
    const issued = Date.now();
    await reload(consoles, { token_ttl: '1' });
    await waitFor(() => Date.now() > issued + 1000, { what: 'the end of its time' });
    await refused(consoles, token, 'token: expired');
  });

  it('is over when a shorter token_max_age is', async () => {
    const consoles = await startWith({});
    const { token } = await consoles.console(greetAndEcho);
    const issued = Date.now();
    await openAndLeave(consoles, token);
    await reload(consoles, { token_max_age: '1' });
    await waitFor(() => Date.now() > issued + 1000, { what: 'the end of its time' });
    await refused(consoles, token, 'token: expired');
  });

  it('that was left is over when a shorter reconnect_grace is', async () => {
    const consoles = await startWith({ reconnect_grace: '3600' });
    const { token } = await consoles.console(greetAndEcho);
    await openAndLeave(consoles, token);
    await reload(consoles, { reconnect_grace: '0' });
    await refused(consoles, token, 'token: used');
  });

  it('is bound to the address that used it first, with bind_client: ip', async () => {
    const consoles = await startWith({});
    const { token } = await consoles.console(greetAndEcho);
    await openAndLeave(consoles, token, from('192.0.2.1'));
    await reload(consoles, { bind_client: 'ip' });
    await refused(consoles, token, 'token: other client', from('192.0.2.2'));
    await (await consoles.open(token, from('192.0.2.1'))).waitForData(12);
  });

  it('has one session at a time, with token_sessions: single', async () => {
    const consoles = await startWith({ token_sessions: 'shared' });
    const { token } = await consoles.console(greetAndEcho);
    const both = [await consoles.open(token), await consoles.open(token)];
    for (const one of both) await one.waitForData(12);
    await reload(consoles, { token_sessions: 'single' });
    await (await consoles.open(token)).waitForData(12);
    for (const one of both) expect((await one.closeFrame()).code).toBe(4001);
  });

  it('counts in the limits as they are', async () => {
    const consoles = await startWith({ max_sessions_per_user: '2' });
    const [first, second] = [await consoles.console(greetAndEcho), await consoles.console(greetAndEcho)];
    await (await consoles.open(first.token)).waitForData(12);
    await reload(consoles, { max_sessions_per_user: '1' });
    expect((await consoles.open(second.token)).status).toBe(429);
  });

  it.each([1, 2])('opens from no origin that is not allowed any more, with %i processes', async (workers) => {
    const origin = { headers: { Origin: 'https://portal.example.com' } };
    const consoles = await startConsoles({
      flags: { workers },
      ownConfig: textOf({ allowed_origins: 'https://portal.example.com' }),
    });
    const { token } = await consoles.console(greetAndEcho);
    await openAndLeave(consoles, token, origin);
    await reload(consoles, { allowed_origins: 'https://other.example.com' });
    expect((await consoles.open(token, origin)).status).toBe(403);
  });

  it('goes the way that targets says now', async () => {
    const consoles = await startWith({});
    const { token, target } = await consoles.console(greetAndEcho);
    await reload(consoles, { targets: `[{match: '*', via: tls, fingerprint: '${'ab'.repeat(32)}'}]` });
    const browser = await consoles.open(token);
    expect((await browser.closeFrame()).code).toBe(1011);
    expect(target.connections[0]?.received().toString('latin1')).not.toContain('RFB');
  });
});

/** RFC 6143, 7.5: what a browser says to change something, and what it says to see something. */
const messages = {
  key: Buffer.from([4, 1, 0, 0, 0, 0, 0, 0x61]),
  pointer: Buffer.from([5, 1, 0, 3, 0, 4]),
  clipboard: Buffer.from([6, 0, 0, 0, 0, 0, 0, 2, 0x68, 0x69]),
  look: Buffer.from([3, 0, 0, 0, 0, 0, 0, 16, 0, 16]),
};

/** What of all that reaches the VNC server. */
async function reaches(consoles: Consoles, token: string, target: VncTarget): Promise<string[]> {
  const before = target.connections.length;
  const browser = await consoles.open(token);
  expect(browser.status).toBe(101);
  await enterRfb(browser);
  const all = Buffer.concat(Object.values(messages));
  browser.send(frame({ payload: all }));
  const connection = await target.connection(before);
  const told = () => connection.received().subarray(HANDSHAKE_BYTES);
  await waitFor(() => told().subarray(-messages.look.length).equals(messages.look), {
    what: 'the last message',
  });
  const passed = Object.entries(messages).filter(([, message]) => told().includes(message));
  await leave(consoles, browser);
  return passed.map(([name]) => name);
}

describe('with vnc_auth: proxy, a token from before', () => {
  const proxy = (lines: Lines = {}): Lines => ({ vnc_auth: 'proxy', ...lines });

  it('pastes nothing where clipboard is narrower now, and again where it is not', async () => {
    const consoles = await startWith(proxy());
    const { token, target } = await consoles.console(noSecurity);
    expect(await reaches(consoles, token, target)).toEqual(['key', 'pointer', 'clipboard', 'look']);
    for (const mode of ['off', 'from_vm']) {
      await reload(consoles, proxy({ clipboard: mode }));
      expect(await reaches(consoles, token, target), mode).toEqual(['key', 'pointer', 'look']);
    }
    await reload(consoles, proxy({ clipboard: 'to_vm' }));
    expect(await reaches(consoles, token, target)).toEqual(['key', 'pointer', 'clipboard', 'look']);
  });

  it('may only look with view_only_without_manage, unless its user has MANAGE', async () => {
    const consoles = await startWith(proxy());
    const { token: ofOwner, target, vmId } = await consoles.console(noSecurity);
    consoles.oned.changeVm(vmId, { permissions: 'um----u--' });
    const ofOther = await consoles.service.issueToken(vmId, 'alice:secret');
    expect(await reaches(consoles, ofOther, target)).toEqual(['key', 'pointer', 'clipboard', 'look']);
    await reload(consoles, proxy({ view_only_without_manage: 'yes' }));
    expect(await reaches(consoles, ofOther, target)).toEqual(['look']);
    expect(await reaches(consoles, ofOwner, target)).toEqual(['key', 'pointer', 'clipboard', 'look']);
  });

  it.each<[setting: string, lines: Lines]>([
    ['clipboard', { clipboard: 'off' }],
    ['view_only_without_manage', { view_only_without_manage: 'yes' }],
    ['targets (require)', { targets: "[{match: '*', require: [vnc]}]" }],
  ])(
    'whose browser answers the VNC server is refused where nobody would keep to %s',
    async (setting, lines) => {
      const consoles = await startWith({ vnc_auth: 'pass' });
      const { vmId, target } = await consoles.console(noSecurity);
      consoles.oned.changeVm(vmId, { permissions: 'um----u--' });
      const token = await consoles.service.issueToken(vmId, 'alice:secret');
      await reload(consoles, proxy(lines));
      await refused(consoles, token, `${setting}: the token was issued under vnc_auth: pass`);
      expect(target.connections).toEqual([]);
      await reload(consoles, proxy());
      await (await consoles.open(token)).waitForData(12);
    },
  );
});
