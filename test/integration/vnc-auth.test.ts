// `vnc_auth: proxy` and `targets` through the whole service, as operators write them: every way leads to a VNC server
// with a password that no browser gets, and what is wrong in a rule is told where operators look.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TargetConnection } from '../../src/transport/transport.ts';
import { bridge } from '../support/bridge.ts';
import { makePki, type Pki } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { atEnd } from '../support/lifetime.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { startQemu } from '../support/qemu.ts';
import { startX509Qemu } from '../support/rfb-peers.ts';
import { type Screen, viewScreen } from '../support/rfb-viewer.ts';
import { runMain, type Service, startService } from '../support/service.ts';
import { makeKey, startSshd, writeKnownHosts } from '../support/sshd.ts';
import { startStunnel } from '../support/stunnel.ts';
import { startTigervnc, type Tigervnc } from '../support/tigervnc.ts';
import { waitFor } from '../support/wait.ts';
import { type ConsoleClient, openConsole } from '../support/ws-client.ts';

const colour = '#3366cc';
const password = 'Qz7kPm4x';
const tigervnc: Partial<Screen> = { width: 640, height: 480, corner: colour };

let oned: TestOned;
let vnc: Tigervnc;
let pki: Pki;

beforeAll(async () => {
  [oned, vnc, pki] = await Promise.all([startTestOned(), startTigervnc({ colour, password }), makePki()]);
});

/** A map of settings, as a rule. */
type Rule = Record<string, unknown>;

let lastVmId = 0;
/** A VM on a host of that name, whose console is there. */
function runVm(host: string, port: number, secret = password): number {
  lastVmId++;
  oned.runVm(lastVmId, { host, port }, { PASSWD: secret });
  return lastVmId;
}

/** As YAML: a list of maps, each a line of YAML's JSON. Keys are symbols, as OpenNebula writes them. */
function configOf(rules: readonly Rule[], more = ''): string {
  const items = rules.map((rule) => {
    const lines = Object.entries(rule).map(([key, value]) => `:${key}: ${JSON.stringify(value)}`);
    return `  - ${lines.join('\n    ')}\n`;
  });
  return `:vnc_auth: proxy\n:targets:\n${items.join('')}${more}`;
}

function startWith(rules: readonly Rule[], workers = 1): Promise<Service> {
  return startService({ oned, ownConfig: configOf(rules), flags: { workers } });
}

async function reload(service: Service, rules: readonly Rule[], said: string): Promise<string> {
  writeFileSync(join(service.oneLocation, 'etc/vnctoken-server.conf'), configOf(rules));
  const before = service.logLines().length;
  service.signal('SIGHUP');
  const find = () =>
    service
      .logLines()
      .slice(before)
      .find(({ msg }) => msg === said);
  return JSON.stringify(await waitFor(find, { what: said }));
}

async function openVm(service: Service, vmId: number): Promise<ConsoleClient> {
  return openConsole(`${service.proxyUrl}/?token=${await service.issueToken(vmId)}`);
}

/** A browser's connection, from after the handshake on, as viewScreen() wants it. */
function afterHandshake({ socket, data }: ConsoleClient, from: number): TargetConnection {
  return {
    start: (events) => {
      const early = data().subarray(from);
      if (early.length > 0) events.data(early, 0, early.length);
      socket.on('message', (bytes: Buffer) => events.data(bytes, 0, bytes.length));
      socket.once('close', (code: number, reason: Buffer) => events.ended(`${code} ${reason.toString()}`));
    },
    resume: () => undefined,
    write: (bytes) => {
      socket.send(bytes);
      return true;
    },
    end: () => socket.close(),
    destroy: () => socket.terminate(),
  };
}

/** What a browser without any password sees. */
async function look(service: Service, vmId: number): Promise<Screen> {
  const client = await openVm(service, vmId);
  await client.waitForData(12);
  client.socket.send(Buffer.from('RFB 003.008\n'));
  expect([...(await client.waitForData(14)).subarray(12)]).toEqual([1, 1]);
  client.socket.send(Buffer.from([1]));
  expect((await client.waitForData(18)).subarray(14).readUInt32BE()).toBe(0);
  const connection = afterHandshake(client, 18);
  const screen = await viewScreen(connection);
  connection.destroy();
  return screen;
}

/** How a console ends that never begins, and what the log says of it. */
async function refusal(service: Service, vmId: number) {
  const client = await openVm(service, vmId);
  const { code, reason } = await client.closed;
  const line = await service.waitForLog((one) => one.msg === 'console closed' && one['vm'] === vmId, 'the end');
  return { code, told: reason, logged: String(line['reason']), relayed: client.data().length };
}

async function startSshWay(host: string) {
  const key = await makeKey();
  const sshd = await startSshd({ authorizedKeys: [key.publicKey] });
  const knownHosts = writeKnownHosts(sshd.knownHosts(`[${host}]:${sshd.port}`));
  const members = { user: sshd.user, port: sshd.port, key_file: key.file, known_hosts: knownHosts };
  return { rule: { match: host, via: 'ssh', address: '127.0.0.1', ...members }, sshd };
}

async function tlsRule(host: string): Promise<Rule> {
  const { port } = await startStunnel(pki, vnc.port);
  const files = { ca_file: pki.ca.cert, cert_file: pki.client.cert, key_file: pki.client.key };
  return { match: host, via: 'tls', address: '127.0.0.1', port, server_name: 'localhost', ...files };
}

describe.each([1, 2])('with workers: %i', (workers) => {
  it('every way of targets shows the screen of a server with a password to a browser that has none', async () => {
    const ssh = await startSshWay('node-ssh');
    // Not a name that is too long for a socket.
    const folder = mkdtempSync('/tmp/vnctoken-');
    atEnd(() => rmSync(folder, { recursive: true, force: true }));
    const unixVm = runVm('node-unix', 5999);
    const front = createServer({ allowHalfOpen: true }, (socket) => bridge(socket, vnc.port));
    front.listen(join(folder, `one-${unixVm}.sock`));
    await once(front, 'listening');
    atEnd(() => void front.close());
    const webSocketPort = await freePort();
    const qemu = await startQemu({
      password,
      vnc: `,websocket=${webSocketPort}`,
      args: ['-nodefaults', '-name', 'one-ws'],
    });
    const away = webSocketPort - qemu.port;
    const shift = away < 0 ? `${away}` : `+${away}`;
    const service = await startWith(
      [
        ssh.rule,
        await tlsRule('node-tls'),
        { match: 'node-unix', via: 'unix', path: join(folder, 'one-%i.sock') },
        { match: 'node-ws', via: 'ws', address: '127.0.0.1', port: shift },
        { match: '*', via: 'tcp', require: ['vnc', 'password'] },
      ],
      workers,
    );
    expect(await look(service, runVm('node-ssh', vnc.port))).toMatchObject(tigervnc);
    expect(ssh.sshd.logins()).toBe(1);
    expect(await look(service, runVm('node-tls', 5999))).toMatchObject(tigervnc);
    expect(await look(service, unixVm)).toMatchObject(tigervnc);
    expect(await look(service, runVm('node-ws', qemu.port))).toMatchObject({ name: 'QEMU (one-ws)' });
    expect(await look(service, runVm('127.0.0.1', vnc.port))).toMatchObject(tigervnc);
    expect(service.child.stdout()).not.toContain(password);
  });

  it('X509Vnc of QEMU is taken where a rule requires x509, and a server with VncAuth alone is not', async () => {
    const qemu = await startX509Qemu(pki, { password, verifyPeer: true });
    const vncTls = {
      ca_file: pki.ca.cert,
      cert_file: pki.client.cert,
      key_file: pki.client.key,
      server_name: 'localhost',
    };
    const service = await startWith(
      [{ match: 'node-*', address: '127.0.0.1', require: ['x509'], vnc_tls: vncTls }],
      workers,
    );
    expect(await look(service, runVm('node-x509', qemu.port))).toMatchObject({ name: 'QEMU' });
    const weak = await refusal(service, runVm('node-weak', vnc.port));
    expect(weak).toMatchObject({ code: 1011, relayed: 0 });
    expect(weak.logged).toMatch(/^target node-weak:\d+: .*x509/);
  });

  it('a host key that has changed ends the console with 1011, and the log says so', async () => {
    const { rule, sshd } = await startSshWay('node-ssh');
    const other = await makeKey();
    const changed = writeKnownHosts([`[node-ssh]:${sshd.port} ${other.publicKey}`]);
    const service = await startWith([{ ...rule, known_hosts: changed }], workers);
    const end = await refusal(service, runVm('node-ssh', vnc.port));
    expect(end).toMatchObject({ code: 1011, told: 'Failed to connect to downstream server', relayed: 0 });
    expect(end.logged).toMatch(/^target node-ssh:\d+: .*host key .*changed/);
    expect(sshd.logins()).toBe(0);
  });

  it('SIGHUP: a new rule is for the next console, one that cannot be used changes nothing', async () => {
    const nobody = { match: 'node-tls', via: 'tcp', address: '127.0.0.1', port: await freePort() };
    const service = await startWith([nobody], workers);
    expect(await refusal(service, runVm('node-tls', 5999))).toMatchObject({ code: 1011 });
    const good = await tlsRule('node-tls');
    await reload(service, [good], 'configuration reloaded');
    expect(await look(service, runVm('node-tls', 5999))).toMatchObject(tigervnc);

    const kept = 'the new configuration is not used; the old one stays';
    const missing = join(temporaryFolder(), 'nowhere.pem');
    const told = await reload(service, [{ ...good, ca_file: missing }], kept);
    expect(told).toContain('targets[0].ca_file');
    expect(told).toContain(missing);
    expect(await look(service, runVm('node-tls', 5999))).toMatchObject(tigervnc);

    const unknown = await reload(service, [{ ...good, colour: 'blue' }], kept);
    expect(unknown).toContain('targets[0].colour');
    expect(await look(service, runVm('node-tls', 5999))).toMatchObject(tigervnc);
  });

  it("a password that is wrong ends the console with 1011 and the server's words", async () => {
    const service = await startWith([], workers);
    const end = await refusal(service, runVm('127.0.0.1', vnc.port, 'Wr0ngOne'));
    expect(end).toMatchObject({ code: 1011, relayed: 0 });
    expect(end.told).toMatch(/^the target refused the VNC password: \S/);
    expect(end.logged).toBe(`target 127.0.0.1:${vnc.port}: ${end.told}`);
  });

  it('a start with a rule whose file is missing ends with 1 and names the setting', async () => {
    const missing = join(temporaryFolder(), 'nowhere.pem');
    const ports = `:port: ${await freePort()}\n:vnc_proxy_port: ${await freePort()}\n:workers: ${workers}\n`;
    for (const [rule, setting] of [
      [{ via: 'tls', ca_file: missing }, 'targets[0].ca_file'],
      [{ vnc_tls: { ca_file: missing } }, 'targets[0].vnc_tls.ca_file'],
    ] as const) {
      const { code, stderr } = await runMain(['serve'], { ownConfig: configOf([rule], ports) });
      expect(code).toBe(1);
      expect(stderr).toContain(setting);
      expect(stderr).toContain(missing);
    }
  });
});

it('a start with rules that are wrong ends with 2 and tells all that is wrong', async () => {
  const wrong = configOf([
    { via: 'pigeon' },
    { via: 'unix', port: 7 },
    { via: 'ssh', require: ['luck'], key_file: '/nowhere' },
  ]);
  for (const command of ['serve', 'check-config']) {
    const { code, stderr } = await runMain([command], { ownConfig: wrong });
    expect(code).toBe(2);
    for (const setting of [
      'targets[0].via',
      'targets[1].path',
      'targets[1].port',
      'targets[2].require',
    ]) {
      expect(stderr).toContain(setting);
    }
  }
});
