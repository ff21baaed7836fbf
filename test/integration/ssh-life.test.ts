// The life of an SSH connection: shared while it is made, lost, frozen, idle, reloaded, closed, and bounded in all ways.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, copyFileSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import ssh2 from 'ssh2';
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import type { SshDial } from '../../src/transport/ssh.ts';
import { atEnd } from '../support/lifetime.ts';
import { openPool, type PoolUnderTest, type SshConsole, startHypervisor } from '../support/ssh-pool.ts';
import { makeKey, signalPid, writeKnownHosts } from '../support/sshd.ts';
import {
  floodBytes,
  greetAndEcho,
  greetAndFlood,
  rfbGreeting,
  silent,
  startVncTarget,
} from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Fast enough to see, slow enough for a busy machine. */
const LIVELY = { keepaliveMs: 300, keepaliveCount: 3 };

/** What a promise is rejected with. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('it was not rejected');
    },
    (error: unknown) => error,
  );
}

async function childOf({ connections }: { connections(): Promise<number[]> }): Promise<number> {
  return waitFor(async () => (await connections())[0], { what: 'the child of sshd' });
}

/** Reads one piece more. @returns how the console ended, if it has */
function sip(opened: SshConsole): string | undefined {
  opened.resume();
  opened.hold();
  return opened.endedBy();
}

/** Writes, a little in each turn, until it is told to stop. @returns how much that was */
async function fill({ connection }: SshConsole): Promise<number> {
  const piece = floodBytes(0, 10_000);
  for (let pieces = 1; pieces < 10_000; pieces++) {
    if (!connection.write(piece)) return pieces * piece.length;
    await nextTurn();
  }
  throw new Error('it was never told to stop');
}

function lostBy(port: number): string {
  return `the SSH connection to [127.0.0.1]:${port} was lost`;
}

describe('a lost connection', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    '(sshd child, %s) ends all its consoles with the reason, and the next opens a new one',
    async (signal) => {
      const { sshd, rule } = await startHypervisor();
      const target = await startVncTarget(greetAndEcho);
      const { open, log } = openPool(rule);
      const consoles = await Promise.all(Array.from({ length: 5 }, () => open(target.port)));
      for (const one of consoles) await one.waitForBytes(rfbGreeting.length);
      signalPid(await childOf(sshd), signal);
      for (const one of consoles) expect(await one.waitForEnd()).toContain(lostBy(sshd.port));
      await (await open(target.port)).waitForBytes(rfbGreeting.length);
      expect(sshd.logins()).toBe(2);
      expect(log()).toContain(lostBy(sshd.port));
    },
  );

  it('ends a console whose browser does not read, too', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(greetAndFlood(100 * MIB));
    const opened = await openPool(rule).open(target.port);
    opened.hold();
    // Of one who holds the first piece no more comes, and that may be the greeting alone.
    await opened.waitForBytes(1);
    signalPid(await childOf(sshd), 'SIGKILL');
    const end = await waitFor(() => sip(opened), { what: 'the end', deadlineMs: 25_000 });
    expect(end).toContain(lostBy(sshd.port));
  });

  it('because sshd is frozen is noticed by keep-alives', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const { open } = openPool(rule, LIVELY);
    const opened = await open(target.port);
    const pid = await childOf(sshd);
    signalPid(pid, 'SIGSTOP');
    atEnd(() => signalPid(pid, 'SIGKILL'));
    expect(await opened.waitForEnd()).toBe(`${lostBy(sshd.port)}: no answer to keep-alives`);
    await open(target.port);
    expect(sshd.logins()).toBe(2);
  });

  it('stays while sshd answers keep-alives, however long nothing is said', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const { open } = openPool(rule, { keepaliveMs: 5, keepaliveCount: 1_000, idleMs: 1 });
    const opened = await open(target.port);
    // So many times as would have been its end, had nobody answered.
    const late = Date.now() + 1_000;
    await waitFor(() => Date.now() > late, { what: 'time' });
    expect(opened.endedBy()).toBeUndefined();
    expect(sshd.logins()).toBe(1);
  });

  it('that breaks under a console which asks for its channel is replaced for it', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho);
    const { open } = openPool(rule);
    const first = await open(target.port);
    const pid = await childOf(sshd);
    signalPid(pid, 'SIGSTOP');
    const second = open(target.port);
    signalPid(pid, 'SIGKILL');
    await (await second).waitForBytes(rfbGreeting.length);
    expect(await first.waitForEnd()).toContain(lostBy(sshd.port));
    expect(sshd.logins()).toBe(2);
  });

  it('leaves nothing behind when sshd stops as a whole', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho);
    const { open, refusal } = openPool(rule);
    const opened = await open(target.port);
    await sshd.stop();
    expect(await opened.waitForEnd()).toContain(lostBy(sshd.port));
    expect(await refusal(target.port)).toContain('ECONNREFUSED');
  });
});

describe('an attempt to connect', () => {
  /** Dials when it is let, and counts. */
  function heldDial(): { dial: SshDial; release: () => void; dials: () => number; aborted: () => number } {
    let dials = 0;
    let aborted = 0;
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const dial: SshDial = async ({ host, port }, signal) => {
      dials++;
      signal.addEventListener('abort', () => aborted++);
      await released;
      signal.throwIfAborted();
      const socket = connect({ host, port });
      await once(socket, 'connect');
      return socket;
    };
    return { dial, release: () => release(), dials: () => dials, aborted: () => aborted };
  }

  function begin(
    { pool, rule, identity }: PoolUnderTest,
    port: number,
    dial: SshDial,
  ): { promise: Promise<unknown>; abort: AbortController } {
    const abort = new AbortController();
    return { promise: pool.connect({ host: '127.0.0.1', port }, rule, identity, abort.signal, dial), abort };
  }

  it('is shared by all that wait, and not ended by one that leaves', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const tested = openPool(rule);
    const { dial, release, dials, aborted } = heldDial();
    const leaver = begin(tested, target.port, dial);
    const others = Array.from({ length: 20 }, () => begin(tested, target.port, dial));
    await waitFor(() => dials() > 0, { what: 'the attempt' });
    const why = new Error('the browser has gone');
    leaver.abort.abort(why);
    expect(await rejection(leaver.promise)).toBe(why);
    expect(aborted()).toBe(0);
    release();
    await Promise.all(others.map(({ promise }) => promise));
    expect(dials()).toBe(1);
    expect(sshd.logins()).toBe(1);
    await waitFor(() => target.connections.length === 20, { what: 'all at the target' });
  });

  it('ends with the last one that leaves', async () => {
    const { rule } = await startHypervisor();
    const tested = openPool(rule);
    const { dial, dials, aborted } = heldDial();
    const waiting = [begin(tested, 5900, dial), begin(tested, 5900, dial)];
    await waitFor(() => dials() > 0, { what: 'the attempt' });
    for (const { abort, promise } of waiting) {
      expect(aborted()).toBe(0);
      abort.abort(new Error('gone'));
      expect(String(await rejection(promise))).toBe('Error: gone');
    }
    await waitFor(() => aborted() === 1, { what: 'the end of the attempt' });
    // The next console begins anew.
    begin(tested, 5900, dial).promise.catch(() => undefined);
    await waitFor(() => dials() === 2, { what: 'another attempt' });
  });

  it('that is in its handshake leaves no socket when the last one leaves', async () => {
    const { rule } = await startHypervisor();
    const mute = await startVncTarget(silent);
    const { open } = openPool({ ...rule, port: mute.port });
    const abort = new AbortController();
    const opened = open(5900, { signal: abort.signal });
    const there = await mute.connection();
    await there.waitForBytes(7);
    expect(there.received().toString()).toMatch(/^SSH-2\.0-/);
    abort.abort(new Error('gone'));
    expect(String(await rejection(opened))).toBe('Error: gone');
    await waitFor(() => there.closed(), { what: 'the end of the socket' });
  });

  it('is not begun for a console that has gone already', async () => {
    const { rule } = await startHypervisor();
    const { dial, dials } = heldDial();
    const { pool, identity } = openPool(rule);
    const signal = AbortSignal.abort(new Error('gone'));
    expect(String(await rejection(pool.connect({ host: 'x', port: 1 }, rule, identity, signal, dial)))).toBe(
      'Error: gone',
    );
    expect(dials()).toBe(0);
  });

  it('that fails fails for all that wait, and is made anew for the next', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const tested = openPool(rule);
    const failing: SshDial = () =>
      Promise.reject(new GatewayError('target-failed', { detail: 'target 127.0.0.1:22: EHOSTUNREACH' }));
    const all = [1, 2, 3].map(() => begin(tested, target.port, failing));
    for (const { promise } of all) {
      const error = await rejection(promise);
      expect(error).toBeInstanceOf(GatewayError);
      expect(String(error)).toContain(`cannot reach sshd of [127.0.0.1]:${sshd.port}: EHOSTUNREACH`);
    }
    await tested.open(target.port);
  });

  it('that nobody answers is given up in time', async () => {
    const { rule } = await startHypervisor();
    const { dial, aborted } = heldDial();
    const tested = openPool({ ...rule, connectTimeoutMs: 200 });
    const never: SshDial = (sshd, signal) =>
      Promise.race([
        dial(sshd, signal),
        new Promise<never>((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason)),
        ),
      ]);
    expect(String(await rejection(begin(tested, 5900, never).promise))).toContain('no answer within 0.2 s');
    expect(aborted()).toBe(1);
  });
});

describe('a channel that is asked for', () => {
  it('is closed when it comes after its console has left', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const { open } = openPool(rule, { channels: 2 });
    const first = await open(target.port);
    const pid = await childOf(sshd);
    signalPid(pid, 'SIGSTOP');
    const abort = new AbortController();
    const late = open(target.port, { signal: abort.signal });
    const rejected = rejection(late);
    // What has been asked is on its way by then.
    await nextTurn();
    abort.abort(new Error('gone'));
    expect(String(await rejected)).toBe('Error: gone');
    signalPid(pid, 'SIGCONT');
    const there = await target.connection(1);
    await waitFor(() => there.closed(), { what: 'its end at the target' });
    // Its place is free again.
    await waitFor(async () => open(target.port), { what: 'room for another console' });
    expect(first.endedBy()).toBeUndefined();
  });

  it('and does not come is told in time', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const { open, refusal } = openPool({ ...rule, connectTimeoutMs: 2_000 });
    const first = await open(target.port);
    const pid = await childOf(sshd);
    signalPid(pid, 'SIGSTOP');
    const said = await refusal(target.port);
    signalPid(pid, 'SIGCONT');
    expect(said).toBe(
      `sshd of [127.0.0.1]:${sshd.port} opened no channel to 127.0.0.1:${target.port} within 2 s`,
    );
    expect(first.endedBy()).toBeUndefined();
  });
});

describe('a connection without consoles', () => {
  it('is closed after a while, and opened again for the next console', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const { open, log } = openPool(rule, { idleMs: 100 });
    (await open(target.port)).connection.end();
    await waitFor(async () => (await sshd.connections()).length === 0, { what: 'the end of the connection' });
    expect(log()).toContain('it was idle');
    expect(log()).not.toContain('"level":"warn"');
    await waitFor(() => /Received disconnect from .*: *11:/.test(sshd.child.stderr()), {
      what: 'the good-bye',
    });
    await open(target.port);
    expect(sshd.logins()).toBe(2);
  });

  it('is closed as well where the only one was refused', async () => {
    const { sshd, rule } = await startHypervisor({ config: ['AllowTcpForwarding no'] });
    const { refusal } = openPool(rule, { idleMs: 100 });
    await refusal(5900);
    await waitFor(async () => (await sshd.connections()).length === 0, { what: 'the end of the connection' });
  });

  it('stays for a console that comes in between', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const { open } = openPool(rule, { idleMs: 60_000 });
    for (let times = 0; times < 3; times++) {
      const { connection } = await open(target.port);
      connection.destroy();
      await waitFor(() => target.connections[times]?.closed(), { what: 'its end at the target' });
    }
    expect(sshd.logins()).toBe(1);
  });

  it('does not count as such while one is open, whatever has ended before', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho);
    const { open } = openPool(rule, { idleMs: 1 });
    const stays = await open(target.port);
    for (let times = 0; times < 5; times++) (await open(target.port)).connection.destroy();
    await waitFor(() => target.connections.slice(1).every(({ closed }) => closed()), {
      what: 'the others to end',
    });
    stays.connection.write(Buffer.from('still here'));
    await stays.waitForBytes(rfbGreeting.length + 10);
    expect(sshd.logins()).toBe(1);
  });
});

describe('a reload', () => {
  it('leaves open consoles alone, and takes new ones over a new connection', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho);
    const { pool, open } = openPool(rule);
    const before = await open(target.port);
    pool.renew();
    const after = await open(target.port);
    expect(sshd.logins()).toBe(2);
    before.connection.write(Buffer.from('alive'));
    await before.waitForBytes(rfbGreeting.length + 5);
    before.connection.end();
    await waitFor(async () => (await sshd.connections()).length === 1, {
      what: 'the end of the old connection',
    });
    after.connection.write(Buffer.from('alive'));
    await after.waitForBytes(rfbGreeting.length + 5);
  });

  it('uses the key that is there then', async () => {
    const { rule } = await startHypervisor();
    const other = await makeKey();
    const target = await startVncTarget(greetAndEcho);
    const { pool, open, refusal } = openPool(rule);
    await open(target.port);
    pool.renew();
    copyFileSync(other.file, rule.keyFile ?? '');
    expect(await refusal(target.port, { rule: { ...rule } })).toContain('refused the login');
  });

  it('with a passphrase that is the same does not take a second for it', async () => {
    const key = await makeKey({ type: 'rsa', passphrase: 'correct horse' });
    const { rule, sshd } = await startHypervisor({ authorizedKeys: [key.publicKey] });
    const passphraseFile = writeKnownHosts(['correct horse']);
    chmodSync(passphraseFile, 0o600);
    const secret = { ...rule, keyFile: key.file, passphraseFile };
    const target = await startVncTarget(silent);
    const started = performance.now();
    const { pool, open, identity } = openPool(secret);
    const first = performance.now() - started;
    const again = performance.now();
    for (let times = 0; times < 10; times++) pool.identify('targets[0]', secret, [identity]);
    expect(performance.now() - again).toBeLessThan(first);
    await open(target.port, { rule: secret });
    expect(sshd.logins()).toBe(1);
  });
});

describe('closing the pool', () => {
  it('ends all connections and consoles, and lets nothing new in', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho);
    const { pool, open } = openPool(rule);
    const consoles = [await open(target.port), await open(target.port)];
    await within(pool.close(), { what: 'the pool to close' });
    for (const one of consoles) expect(await one.waitForEnd()).toContain('the service stops');
    await waitFor(async () => (await sshd.connections()).length === 0, { what: 'the end of the connection' });
    const error = await rejection(open(target.port));
    expect(error instanceof GatewayError && error.code).toBe('stopping');
    await within(pool.close(), { what: 'the pool to close again' });
  });

  it('does not wait for an sshd that is frozen', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const { pool, open } = openPool(rule);
    await open(target.port);
    const pid = await childOf(sshd);
    signalPid(pid, 'SIGSTOP');
    atEnd(() => signalPid(pid, 'SIGKILL'));
    await within(pool.close(), { what: 'the pool to close', deadlineMs: 5_000 });
  });

  it('ends an attempt that is under way', async () => {
    const { rule } = await startHypervisor();
    const mute = await startVncTarget(silent);
    const { pool, open } = openPool({ ...rule, port: mute.port });
    const rejected = rejection(open(5900));
    const there = await mute.connection();
    await there.waitForBytes(7);
    await within(pool.close(), { what: 'the pool to close' });
    expect(String(await rejected)).toContain('the service stops');
    await waitFor(() => there.closed(), { what: 'the end of the socket' });
  });
});

describe('the number', () => {
  it('of consoles on a connection is bounded, and one that ends makes room', async () => {
    const { rule, sshd } = await startHypervisor();
    const target = await startVncTarget(silent);
    const { open, refusal } = openPool(rule, { channels: 3 });
    const consoles = await Promise.all([open(target.port), open(target.port), open(target.port)]);
    expect(await refusal(target.port)).toContain(
      `3 consoles go over the SSH connection to [127.0.0.1]:${sshd.port}`,
    );
    consoles[1]?.connection.destroy();
    await waitFor(async () => open(target.port), { what: 'room for another' });
  });

  it('of connections is bounded, and one that ends makes room', async () => {
    const one = await startHypervisor();
    const two = await startHypervisor();
    const target = await startVncTarget(silent);
    const { open, refusal } = openPool(one.rule, { connections: 1, idleMs: 10 });
    const first = await open(target.port);
    expect(await refusal(target.port, { rule: two.rule })).toContain('1 SSH connections are open');
    first.connection.destroy();
    await waitFor(async () => open(target.port, { rule: two.rule }), { what: 'room for another' });
  });

  it('of consoles that wait is bounded', async () => {
    const { rule } = await startHypervisor();
    const mute = await startVncTarget(silent);
    const muted = { ...rule, port: mute.port };
    const target = await startVncTarget(silent);
    const { open, refusal } = openPool(rule, { waiting: 2 });
    const abort = new AbortController();
    const waiting = [1, 2].map(() => rejection(open(5900, { rule: muted, signal: abort.signal })));
    expect(await refusal(target.port)).toContain('2 consoles wait for SSH connections already');
    abort.abort(new Error('gone'));
    await Promise.all(waiting);
    await open(target.port);
  });
});

describe('an SSH server of our own', () => {
  /** A server of the library's, let to do what OpenSSH never would. */
  async function startRogue(
    onChannel: (accept: () => ssh2.ServerChannel, client: ssh2.Connection) => void,
  ): Promise<{ tested: PoolUnderTest; clients: ssh2.Connection[] }> {
    const hostKey = await makeKey({ type: 'ecdsa' });
    const key = await makeKey();
    const clients: ssh2.Connection[] = [];
    const server = new ssh2.Server({ hostKeys: [readFileSync(hostKey.file)] }, (client) => {
      clients.push(client);
      client.on('error', () => undefined);
      client.on('authentication', (context) => context.accept());
      client.on('ready', () => client.on('tcpip', (accept) => onChannel(accept, client)));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    atEnd(() => {
      server.close();
      for (const client of clients) client.end();
    });
    const knownHosts = [writeKnownHosts([`[127.0.0.1]:${port} ${hostKey.publicKey}`])];
    return { tested: openPool({ user: 'x', port, keyFile: key.file, knownHosts }, LIVELY), clients };
  }

  it('may send no more than one window to a console whose browser does not read', async () => {
    let sent = 0;
    const channels: (ssh2.ServerChannel & { outgoing: { window: number } })[] = [];
    const { tested } = await startRogue((accept) => {
      const channel = accept() as (typeof channels)[number];
      channel.on('error', () => undefined);
      channels.push(channel);
      if (channels.length > 1) return void channel.pipe(channel);
      const send = () => {
        if (sent < 12 * MIB) channel.write(floodBytes(sent, 32 * KIB), send);
        sent += 32 * KIB;
      };
      send();
    });
    const opened = await tested.open(5900);
    opened.hold();
    await waitFor(() => channels[0]?.outgoing.window === 0, { what: 'the window to be used up' });
    // By the time that this is back, all of the first console has come, and what it opened the window for has gone.
    const other = await tested.open(5900);
    other.connection.write(Buffer.from('there and back'));
    await other.waitForBytes(14);
    // One piece waits for the window.
    expect(sent - 32 * KIB).toBe(2 * MIB);
    opened.resume();
    await opened.waitForBytes(12 * MIB);
    const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    expect(digest(opened.received().subarray(0, 12 * MIB))).toBe(digest(floodBytes(0, 12 * MIB)));
  });

  it('and sends more than its window is cut off, before it fills our memory', async () => {
    let sent = 0;
    const { tested } = await startRogue((accept) => {
      const channel = accept() as ssh2.ServerChannel & { outgoing: { window: number } };
      channel.on('error', () => undefined);
      channel.outgoing.window = Number.MAX_SAFE_INTEGER;
      // In pieces that do not end where the window does: the library drops what comes just there.
      for (; sent < 32 * MIB; sent += 31 * KIB) channel.write(floodBytes(sent, 31 * KIB));
    });
    const opened = await tested.open(5900);
    opened.hold();
    const end = await waitFor(() => sip(opened), { what: 'the end' });
    expect(end).toContain('it sent more than it was allowed to');
    expect(opened.receivedBytes()).toBeLessThan(16 * MIB);
  });

  it('and sends on what is no screen of anybody costs nothing and disturbs nobody', async () => {
    const { tested } = await startRogue((accept) => {
      const channel = accept();
      channel.on('error', () => undefined);
      for (let at = 0; at < 16 * MIB; at += 32 * KIB) channel.stderr.write(floodBytes(at, 32 * KIB));
      channel.stderr.write('the last of it', () => channel.write('RFB 003.008\n'));
    });
    const opened = await tested.open(5900);
    expect((await opened.waitForBytes(12)).toString()).toBe('RFB 003.008\n');
  });

  it('and begins a key exchange that it does not go on with makes nobody keep more than a little', async () => {
    let received = 0;
    const { tested, clients } = await startRogue((accept) => {
      const channel = accept();
      channel.on('error', () => undefined);
      channel.on('data', (bytes: Buffer) => {
        received += bytes.length;
      });
    });
    const opened = await tested.open(5900);
    const [client] = clients as (ssh2.Connection & { _sock: Socket })[];
    client?.rekey();
    client?._sock.pause();
    const written = await within(fill(opened), { what: 'the console to be full' });
    expect(written).toBeLessThan(MIB);
    client?._sock.resume();
    await waitFor(() => received === written, { what: 'all bytes at the server' });
    expect(opened.endedBy()).toBeUndefined();
  });

  it('and never closes a channel that we closed keeps its place, no more', async () => {
    const channels: ssh2.ServerChannel[] = [];
    const { tested } = await startRogue((accept) => {
      const channel = accept();
      channel.on('error', () => undefined);
      // It forgets to answer.
      channel.close = () => undefined;
      channels.push(channel);
    });
    (await tested.open(5900)).connection.destroy();
    await tested.open(5900);
    expect(channels).toHaveLength(2);
  });

  it('and offers to forward to us, or asks questions, is not obeyed', async () => {
    let refused = '';
    const { tested, clients } = await startRogue((accept) => {
      accept().on('error', () => undefined);
    });
    const opened = await tested.open(5900);
    clients[0]?.forwardOut('127.0.0.1', 1, '127.0.0.1', 2, (error) => {
      refused = String(error);
    });
    await waitFor(() => refused, { what: 'the answer' });
    expect(refused).toContain('Channel open failure');
    expect(opened.endedBy()).toBeUndefined();
  });

  it('and speaks endlessly before its version is given up in time', async () => {
    const { rule } = await startHypervisor();
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      const more = () => {
        while (socket.writable && socket.write('x'.repeat(4_000)));
      };
      socket.on('drain', more);
      more();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => void server.close());
    const { port } = server.address() as AddressInfo;
    expect(await openPool({ ...rule, port, connectTimeoutMs: 5_000 }).refusal(5900)).toContain('handshake');
  });
});
