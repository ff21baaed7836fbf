// `vnc_auth: proxy` and `targets` through the whole service, as operators write them: every way leads to a VNC server
// with a password that no browser gets, and what is wrong in a rule is told where operators look.
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { TargetConnection } from '../../src/transport/transport.ts';
import { bridge } from '../support/bridge.ts';
import { makePki, type Pki } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { atEnd } from '../support/lifetime.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { startQemu } from '../support/qemu.ts';
import { u32 } from '../support/rfb-messages.ts';
import { startAnonymousQemu, startTlsTigervnc, startX509Qemu } from '../support/rfb-peers.ts';
import { toldInRfb } from '../support/rfb-refusal.ts';
import { askNothing, greet } from '../support/rfb-scenes.ts';
import { playScript, reason } from '../support/rfb-script.ts';
import { listen, type Screen, viewScreen } from '../support/rfb-viewer.ts';
import { runMain, type Service, startService } from '../support/service.ts';
import { makeKey, writeKnownHosts } from '../support/sshd.ts';
import { startTigervnc, type Tigervnc } from '../support/tigervnc.ts';
import { waitFor } from '../support/wait.ts';
import { configOf, type Rule, sshWay, tlsMembers, tlsWay } from '../support/ways.ts';
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

let lastVmId = 0;
/** A VM on a host of that name, whose console is there. */
function runVm(host: string, port: number, secret = password): number {
  lastVmId++;
  oned.runVm(lastVmId, { host, port }, { PASSWD: secret });
  return lastVmId;
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

const received = new WeakMap<TargetConnection, () => Buffer>();
const bytesIn = (connection: TargetConnection): number => received.get(connection)?.().length ?? 0;

/** A browser's connection, from after the handshake on, as viewScreen() wants it. */
function afterHandshake({ socket, data }: ConsoleClient, from: number): TargetConnection {
  const connection: TargetConnection = {
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
  received.set(connection, data);
  return connection;
}

/** A browser without any password, up to ClientInit. */
async function enter(service: Service, token: string): Promise<TargetConnection> {
  const client = await openConsole(`${service.proxyUrl}/?token=${token}`);
  await client.waitForData(12);
  client.socket.send(Buffer.from('RFB 003.008\n'));
  expect([...(await client.waitForData(14)).subarray(12)]).toEqual([1, 1]);
  client.socket.send(Buffer.from([1]));
  expect((await client.waitForData(18)).subarray(14).readUInt32BE()).toBe(0);
  return afterHandshake(client, 18);
}

/** What such a browser sees. */
async function look(service: Service, vmId: number): Promise<Screen> {
  const connection = await enter(service, await service.issueToken(vmId));
  const screen = await viewScreen(connection);
  connection.destroy();
  return screen;
}

/** How a console ends that never begins, and what the log says of it. */
async function refusal(service: Service, vmId: number) {
  const client = await openVm(service, vmId);
  const { code, reason } = await client.closed;
  const line = await service.waitForLog(
    (one) => one.msg === 'console closed' && one['vm'] === vmId,
    'the end',
  );
  return { code, told: reason, logged: String(line['reason']), relayed: client.data().length };
}

describe.each([1, 2])('with workers: %i', (workers) => {
  it('every way of targets shows the screen of a server with a password to a browser that has none', async () => {
    const ssh = await sshWay('node-ssh');
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
        await tlsWay('node-tls', pki, vnc.port),
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
    const service = await startWith(
      [{ match: 'node-*', address: '127.0.0.1', require: ['x509'], vnc_tls: tlsMembers(pki) }],
      workers,
    );
    expect(await look(service, runVm('node-x509', qemu.port))).toMatchObject({ name: 'QEMU' });
    const weak = await refusal(service, runVm('node-weak', vnc.port));
    expect(weak).toMatchObject({ code: 1011, relayed: 0 });
    expect(weak.logged).toMatch(/^target node-weak:\d+: .*x509/);
  });

  it.each([
    ['TLSNone', undefined],
    ['TLSVnc', password],
  ])(
    '%s of QEMU, TLS without a certificate, is taken, but not where a rule requires x509',
    async (type, secret) => {
      const qemu = await startAnonymousQemu(secret);
      const service = await startWith(
        [
          { match: 'node-tls', address: '127.0.0.1', require: ['tls'] },
          { match: 'node-x509', address: '127.0.0.1', require: ['x509'] },
        ],
        workers,
      );
      const vmId = runVm('node-tls', qemu.port, secret ?? '');
      expect(await look(service, vmId)).toMatchObject({ name: 'QEMU' });
      const weak = await refusal(service, runVm('node-x509', qemu.port, secret ?? ''));
      expect(weak).toMatchObject({
        code: 1011,
        relayed: 0,
        told: `the target offers ${type}, but x509 is required`,
      });
      expect(service.child.stdout()).not.toContain(password);
    },
  );

  it('a server that asks for a user name gets that of the rule with the password of the VM', async () => {
    const secret = 'longer than eight';
    const plain = { user: 'one', password: secret };
    const { port } = await startTlsTigervnc({ types: 'X509Plain,TLSPlain', pki, plain });
    const vncTls = { ca_file: pki.ca.cert, server_name: 'localhost' };
    const rule = { address: '127.0.0.1', require: ['plain'], vnc_tls: vncTls };
    const service = await startWith(
      [
        { ...rule, match: 'node-one', vnc_user: 'one' },
        { ...rule, match: 'node-other', vnc_user: 'two' },
        { ...rule, match: 'node-nobody' },
      ],
      workers,
    );
    expect(await look(service, runVm('node-one', port, secret))).toMatchObject({ width: 640, height: 480 });
    const other = await refusal(service, runVm('node-other', port, secret));
    expect(other.told).toMatch(/^the target refused the user name or password/);
    expect(other.logged).toMatch(/, by targets\[1\] \(via tcp\)$/);
    const wrong = await refusal(service, runVm('node-one', port, 'longer than nine'));
    expect(wrong.told).toMatch(/^the target refused the user name or password/);
    const nobody = await refusal(service, runVm('node-nobody', port, secret));
    expect(nobody.told).toBe('the target needs a user name, and none is set for it');
    expect(nobody.logged).toContain('(vnc_user), by targets[2] (via tcp)');
    for (const text of [secret, 'longer than nine']) expect(service.child.stdout()).not.toContain(text);
  });

  it('a host key that has changed ends the console with 1011, and the log says so', async () => {
    const { rule, sshd } = await sshWay('node-ssh');
    const other = await makeKey();
    const changed = writeKnownHosts([`[node-ssh]:${sshd.port} ${other.publicKey}`]);
    const service = await startWith([{ ...rule, known_hosts: changed }], workers);
    const end = await refusal(service, runVm('node-ssh', vnc.port));
    expect(end).toMatchObject({ code: 1011, told: 'Failed to connect to downstream server', relayed: 0 });
    expect(end.logged).toMatch(/^target node-ssh:\d+: .*host key .*changed/);
    expect(sshd.logins()).toBe(0);
  });

  it('a server whose best security type does not work is taken by the next, never below what a rule requires', async () => {
    // It has no certificate, and offers X509 all the same.
    const bare = await startTigervnc({ types: 'X509Vnc,VncAuth', colour, password });
    const rules = [
      { match: 'node-x509', address: '127.0.0.1', require: ['x509'] },
      { match: 'node-tls', address: '127.0.0.1', require: ['tls', 'password'] },
      { match: 'node-password', address: '127.0.0.1', require: ['password'] },
    ];
    const service = await startWith(rules, workers);
    for (const host of ['127.0.0.1', 'node-password']) {
      const vmId = runVm(host, bare.port);
      expect(await look(service, vmId)).toMatchObject(tigervnc);
      const line = await service.waitForLog(
        (one) => one.msg === 'another security type is tried' && one['vm'] === vmId,
        'the first attempt',
      );
      expect(line['reason']).toBe('the target offers X509Vnc and then refuses it (has it a certificate?)');
    }
    for (const host of ['node-x509', 'node-tls']) {
      const { code, logged } = await refusal(service, runVm(host, bare.port));
      expect(code).toBe(1011);
      expect(logged).toContain('the target offers X509Vnc and then refuses it (has it a certificate?)');
    }
  });

  it('SIGHUP: a new rule is for the next console, one that cannot be used changes nothing', async () => {
    const nobody = { match: 'node-tls', via: 'tcp', address: '127.0.0.1', port: await freePort() };
    const service = await startWith([nobody], workers);
    expect(await refusal(service, runVm('node-tls', 5999))).toMatchObject({ code: 1011 });
    const good = await tlsWay('node-tls', pki, vnc.port);
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

  it('the words of a target that refuses are told in RFB to a browser, cleaned and whole, and no more than that', async () => {
    const said = `\u202eno\r\n\u0007${'x'.repeat(400)}`;
    const target = await playScript(async (stage) => {
      await greet(stage);
      stage.send(Buffer.concat([Buffer.from([0]), reason(said)]));
    });
    const service = await startWith([], workers);
    const vmId = runVm(target.host, target.port);
    const url = `${service.proxyUrl}/?token=${await service.issueToken(vmId)}`;
    const client = await openConsole(url, { origin: `http://127.0.0.1:${service.proxyPort}` });
    await client.waitForData(12);
    client.socket.send(Buffer.from('RFB 003.008\n'));
    const { code, reason: closedWith } = await client.closed;
    const told = toldInRfb(client.data());
    expect(told).toMatch(/^the target refused the connection: no x{252}…$/);
    expect([code, told.startsWith(closedWith), closedWith.length]).toEqual([1011, true, 120]);
  });

  it('a start with rules whose files are missing ends with 1 and names every setting', async () => {
    const missing = join(temporaryFolder(), 'nowhere.pem');
    const ports = `:port: ${await freePort()}\n:vnc_proxy_port: ${await freePort()}\n:workers: ${workers}\n`;
    const rules = [
      { via: 'ssh', key_file: missing, known_hosts: missing },
      { via: 'tls', ca_file: missing },
      { vnc_tls: { ca_file: missing } },
    ];
    const { code, stderr } = await runMain(['serve'], { ownConfig: configOf(rules, ports) });
    expect(code).toBe(1);
    const settings = ['targets[0].key_file', 'targets[1].ca_file', 'targets[2].vnc_tls.ca_file'];
    expect(stderr.trim().split('\n')).toEqual(
      settings.map((setting) => `vnctoken-server: ${setting}: cannot read ${missing}: ENOENT`),
    );
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
    for (const setting of ['targets[0].via', 'targets[1].path', 'targets[1].port', 'targets[2].require']) {
      expect(stderr).toContain(setting);
    }
  }
});

/** ClientCutText (6) or ServerCutText (3). */
function cutText(type: number, text: string): Buffer {
  return Buffer.concat([Buffer.from([type, 0, 0, 0]), reason(text)]);
}

const keyPress = Buffer.from([4, 1, 0, 0, 0, 0, 0, 0x61]);
const updateRequest = Buffer.from([3, 1, 0, 0, 0, 0, 0, 2, 0, 2]);
const bell = Buffer.from([2]);
const toVm = cutText(6, 'for the machine');
const fromVm = cutText(3, 'for the person');

it.each([
  ['both', {}, [toVm, keyPress], [fromVm, bell]],
  ['to_vm', {}, [toVm, keyPress], [bell]],
  ['from_vm', {}, [keyPress], [fromVm, bell]],
  ['off', {}, [keyPress], [bell]],
  ['both', { clipboard: 'from_vm' }, [keyPress], [fromVm, bell]],
  ['to_vm', { clipboard: 'both' }, [toVm, keyPress], [bell]],
  ['to_vm', { clipboard: 'from_vm' }, [keyPress], [bell]],
  ['both', { clipboard: 'to_vm', view_only: true }, [], [bell]],
])(
  'clipboard: %s, and a call that asks for %j, lets through what the two allow, and everything else',
  async (clipboard, asked, up, down) => {
    let arrived: Buffer = Buffer.alloc(0);
    const target = await playScript(async (stage) => {
      await askNothing(stage);
      await stage.read(1);
      stage.send([0, 2, 0, 2, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
      stage.send(Buffer.concat([fromVm, bell]));
      for (;;) arrived = Buffer.concat([arrived, await stage.read(1)]);
    });
    const service = await startService({ oned, ownConfig: configOf([], `:clipboard: ${clipboard}\n`) });
    const vmId = runVm(target.host, target.port, '');
    const [, token] = await service.call('one.vm.vnctokenonly', ['oneadmin:oneadmin', vmId, asked]);
    const viewer = listen(await enter(service, String(token)));
    viewer.connection.write(Buffer.from([1]));
    await viewer.take(24);
    viewer.connection.write(Buffer.concat([toVm, keyPress, updateRequest]));
    const [wantedUp, wantedDown] = [Buffer.concat([...up, updateRequest]), Buffer.concat(down)];
    expect(await viewer.take(wantedDown.length)).toEqual(wantedDown);
    // The request and the bell come last: nothing follows that could still be missing.
    await waitFor(() => arrived.subarray(-updateRequest.length).equals(updateRequest), {
      what: 'the request',
    });
    expect(arrived).toEqual(wantedUp);
  },
);

describe.each([15, 24, 64])(
  'a server that announces pixels of %i bits, a long name and odd padding',
  (bits) => {
    const name = Buffer.alloc(200_000, 'n');
    const announced = Buffer.from([0, 2, 0, 2, bits, bits, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 9, 9, 9]);
    const picture = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]);

    async function watch(setsFormat: boolean) {
      const target = await playScript(async (stage) => {
        await askNothing(stage);
        await stage.read(1);
        stage.send(Buffer.concat([announced, u32(name.length), name, fromVm]));
        await stage.read(setsFormat ? 20 : updateRequest.length);
        stage.send(Buffer.concat([picture, fromVm, bell]));
      });
      const service = await startService({ oned, ownConfig: configOf([], ':clipboard: off\n') });
      const client = await openVm(service, runVm(target.host, target.port, ''));
      await client.waitForData(12);
      client.socket.send(Buffer.from('RFB 003.008\n\x01\x01', 'latin1'));
      const head = 12 + 2 + 4 + announced.length + 4 + name.length;
      await client.waitForData(head);
      const format = Buffer.from([0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]);
      client.socket.send(setsFormat ? format : updateRequest);
      return { client, head };
    }

    it('is shown where the browser sets the format that counts', async () => {
      const { client, head } = await watch(true);
      await client.waitForData(head + picture.length + bell.length);
      expect(client.data().subarray(head)).toEqual(Buffer.concat([picture, bell]));
    });

    it('is ended with a clear reason where a picture comes in what it has announced', async () => {
      const { client, head } = await watch(false);
      const reason = `a picture in a pixel format of ${bits} bits`;
      expect(await client.closed).toEqual({ code: 1002, reason });
      expect(client.data()).toHaveLength(head);
    });
  },
);

it('view_only_without_manage: who may not manage the VM sees it, and types nothing', async () => {
  const screen = await startTigervnc({ colour, password, keyboard: true });
  const vmId = runVm(screen.host, screen.port);
  oned.changeVm(vmId, { gid: 1, permissions: 'um-u-----' });
  const ownConfig = configOf([], ':view_only_without_manage: yes\n');
  const service = await startService({ oned, ownConfig });
  const typeAs = async (session: string, key: string) => {
    const connection = await enter(service, await service.issueToken(vmId, session));
    const seen = viewScreen(connection);
    expect(await seen).toMatchObject(tigervnc);
    const keysym = key.charCodeAt(0);
    connection.write(Buffer.from([5, 0, 0, 60, 0, 60]));
    for (const down of [1, 0]) connection.write(Buffer.from([4, down, 0, 0, 0, 0, 0, keysym]));
    // A picture that is asked for after the key comes after it.
    const before = bytesIn(connection);
    connection.write(Buffer.from([3, 0, 0, 0, 0, 0, 0, 1, 0, 1]));
    await waitFor(() => bytesIn(connection) > before, { what: 'a picture after the key' });
    connection.destroy();
  };
  await typeAs('alice:opennebula', 'a');
  await typeAs('oneadmin:oneadmin', '!');
  await waitFor(() => screen.keys().length > 0, { what: "the owner's key" });
  expect(screen.keys()).toBe('!');
});

it('what a call asks for changes no reply, and an unknown value is refused', async () => {
  const service = await startService({ oned, ownConfig: configOf([]) });
  const vmId = runVm(vnc.host, vnc.port);
  const ask = (options: Record<string, string | boolean>) =>
    service.call('one.vm.vnctoken', ['oneadmin:oneadmin', vmId, options]);
  const [[, plain], [, narrowed]] = [await ask({}), await ask({ clipboard: 'off', view_only: true })];
  const token = expect.stringMatching(/^[a-z0-9]{25,}$/);
  expect(narrowed).toEqual({ ...(plain as object), token, Token: token });
  const told = 'clipboard is none of both, to_vm, from_vm, off';
  expect(await ask({ clipboard: 'none' })).toEqual([false, told, 0x1000]);
});

it('view_only is refused where the browser has the password', async () => {
  const service = await startService({ oned, flags: { vnc_auth: 'pass' } });
  const vmId = runVm(vnc.host, vnc.port);
  const [ok, told] = await service.call('one.vm.vnctoken', ['oneadmin:oneadmin', vmId, { view_only: true }]);
  expect([ok, told]).toEqual([false, expect.stringContaining('vnc_auth: proxy')]);
});

it('a key of version 1.1 is used where it is', async () => {
  const vmId = runVm(vnc.host, vnc.port);
  const first = await startWith([]);
  const kept = await first.issueToken(vmId);
  await first.stop();
  const { oneLocation } = first;
  mkdirSync(join(oneLocation, 'var/vnctoken-key'), { mode: 0o700 });
  renameSync(
    join(oneLocation, 'var/vnctoken/password-key'),
    join(oneLocation, 'var/vnctoken-key/password-key'),
  );
  const second = await startService({ oned, oneLocation, ownConfig: configOf([]) });
  expect(await viewScreen(await enter(second, kept))).toMatchObject(tigervnc);
  expect(existsSync(join(oneLocation, 'var/vnctoken/password-key'))).toBe(false);
});

it('a token from before a restart opens its console without a password; one sealed with a lost key opens none', async () => {
  const vmId = runVm(vnc.host, vnc.port);
  const first = await startWith([]);
  const [kept, lost] = [await first.issueToken(vmId), await first.issueToken(vmId)];
  await first.stop();
  const { oneLocation } = first;
  const second = await startService({ oned, oneLocation, ownConfig: configOf([]) });
  expect(await viewScreen(await enter(second, kept))).toMatchObject(tigervnc);
  await second.stop();
  rmSync(join(second.oneLocation, 'var/vnctoken/password-key'));
  const third = await startService({ oned, oneLocation, ownConfig: configOf([]) });
  const client = await openConsole(`${third.proxyUrl}/?token=${lost}`);
  expect(client.status === 101 ? (await client.closed).code : client.status).toBe(500);
  expect(await look(third, vmId)).toMatchObject(tigervnc);
});

it('a browser that says nothing in its handshake is let go in time, and the target is not blamed', async () => {
  const ownConfig = configOf([], ':proxy_connect_timeout: 1\n');
  const service = await startService({ oned, ownConfig });
  const target = await playScript(askNothing);
  const client = await openVm(service, runVm(target.host, target.port, ''));
  await client.waitForData(12);
  const told = 'the browser: no answer within 1 s (proxy_connect_timeout)';
  expect(await client.closed).toEqual({ code: 1002, reason: told });
  const line = await service.waitForLog(({ msg }) => msg === 'console closed', 'the end');
  expect(line['reason']).toBe(told);
  await waitFor(() => target.connections.every(({ closed }) => closed()), {
    what: 'the target to be let go',
  });
  expect(target.connections.length).toBe(1);
});

it('a target is held to the rule by which it was reached, though SIGHUP brought others meanwhile', async () => {
  const target = await playScript(askNothing);
  let letIn: (() => void) | undefined;
  const verifyClient = (_info: unknown, done: (welcome: boolean) => void) => {
    letIn = () => done(true);
  };
  const front = new WebSocketServer({ port: 0, host: '127.0.0.1', verifyClient });
  front.on('connection', (socket) => bridge(createWebSocketStream(socket), target.port));
  await once(front, 'listening');
  atEnd(() => void front.close());
  const { port } = front.address() as AddressInfo;
  const service = await startWith([{ via: 'ws', port, require: ['password'] }]);
  const client = await openVm(service, runVm(target.host, target.port));
  const open = await waitFor(() => letIn, { what: 'the target to be asked' });
  await reload(service, [{ via: 'ws', port }], 'configuration reloaded');
  open();
  expect((await client.closed).code).toBe(1011);
  const line = await service.waitForLog(({ msg }) => msg === 'console closed', 'the end');
  expect(line['reason']).toMatch(/password/);
});
