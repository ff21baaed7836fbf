// Consoles over one SSH connection: their bytes, who holds up whom, and what sshd refuses.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { freePort } from '../support/ports.ts';
import { openPool, type SshConsole, startHypervisor } from '../support/ssh-pool.ts';
import { makeKey, signalPid } from '../support/sshd.ts';
import {
  floodBytes,
  greetAndEcho,
  greetAndFlood,
  greetAndHalfClose,
  greetAndReset,
  greetAndStall,
  rfbGreeting,
  silent,
  startVncTarget,
} from '../support/vnc-target.ts';
import { waitFor, within } from '../support/wait.ts';

const MIB = 1024 * 1024;

/** Writes all of it, as fast as the console takes it. */
async function writeAll(
  { connection, drains }: SshConsole,
  bytes: Buffer,
  pieceBytes = 50_000,
): Promise<void> {
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const before = drains();
    if (connection.write(bytes.subarray(at, at + pieceBytes))) continue;
    await waitFor(() => drains() > before, { what: 'the console to drain', deadlineMs: 20_000 });
  }
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('what sshd refuses', () => {
  it.each([
    ['AllowTcpForwarding no', ['AllowTcpForwarding no'], ''],
    ['DisableForwarding yes', ['DisableForwarding yes'], ''],
    ['a PermitOpen of another port', ['PermitOpen 127.0.0.1:1'], ''],
    ['a PermitOpen of another name for the same host', ['PermitOpen localhost:*'], ''],
    ['permitopen in authorized_keys', [], 'permitopen="127.0.0.1:1" '],
  ])('by %s is told as a prohibition', async (_what, config, option) => {
    const key = await makeKey();
    const { sshd, rule } = await startHypervisor({ config, authorizedKeys: [`${option}${key.publicKey}`] });
    const target = await startVncTarget(greetAndEcho);
    const said = await openPool({ ...rule, keyFile: key.file }).refusal(target.port);
    expect(said).toContain(`sshd of [127.0.0.1]:${sshd.port} may not forward to 127.0.0.1:${target.port}`);
    expect(said).toContain('administratively prohibited');
    expect(target.connections).toHaveLength(0);
  });

  it('because nobody listens there is told as that, and the connection goes on', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho);
    const { open, refusal } = openPool(rule);
    const first = await open(target.port);
    const port = await freePort();
    expect(await refusal(port)).toBe(
      `sshd of [127.0.0.1]:${sshd.port} cannot connect to 127.0.0.1:${port}: Connection refused`,
    );
    await open(target.port);
    expect(first.endedBy()).toBeUndefined();
    expect(sshd.logins()).toBe(1);
  });
});

describe('a console', () => {
  it('is looked for where the rule says that it listens', async () => {
    const { rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho, { host: '127.0.0.2' });
    const { open, refusal } = openPool(rule);
    await (await open(target.port, { rule: { ...rule, listen: '127.0.0.2' } })).waitForBytes(
      rfbGreeting.length,
    );
    expect(await refusal(target.port)).toContain('Connection refused');
  });

  it('gets every byte that the target sent before it closed', async () => {
    const { rule } = await startHypervisor();
    const target = await startVncTarget(greetAndHalfClose(floodBytes(0, 3 * MIB)));
    const opened = await openPool(rule).open(target.port);
    expect(await opened.waitForEnd()).toBe('the target closed the connection');
    const all = Buffer.concat([Buffer.from(rfbGreeting), floodBytes(0, 3 * MIB)]);
    expect(digest(opened.received())).toBe(digest(all));
  });

  it('of a target that resets it ends, and the connection goes on', async () => {
    const { sshd, rule } = await startHypervisor();
    // Not before sshd has told of the connection: then it would be one that could not be made.
    const rude = await startVncTarget(greetAndReset);
    const target = await startVncTarget(greetAndEcho);
    const { open } = openPool(rule);
    const opened = await open(rude.port);
    await opened.waitForBytes(rfbGreeting.length);
    opened.connection.write(Buffer.from('x'));
    expect(await opened.waitForEnd()).toContain('the target');
    await (await open(target.port)).waitForBytes(rfbGreeting.length);
    expect(sshd.logins()).toBe(1);
  });

  it('that ends lets out what was written, all of it, and the target sees the end', async () => {
    const { rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const { connection } = await openPool(rule).open(target.port);
    const bytes = floodBytes(7, 5 * MIB);
    connection.write(bytes);
    connection.end();
    const there = await target.connection();
    await waitFor(() => there.ended(), { what: 'the end at the target' });
    expect(digest(there.received())).toBe(digest(bytes));
  });

  it('that is destroyed is gone at the target', async () => {
    const { rule } = await startHypervisor();
    const target = await startVncTarget(greetAndFlood(500 * MIB));
    const { open } = openPool(rule);
    const opened = await open(target.port);
    await opened.waitForBytes(MIB);
    opened.connection.destroy();
    const there = await target.connection();
    await waitFor(() => there.closed(), { what: 'the end at the target' });
    expect(opened.endedBy()).toBeUndefined();
    const bytes = opened.receivedBytes();
    await (await open(target.port)).waitForBytes(MIB);
    expect(opened.receivedBytes()).toBe(bytes);
  });

  it.each([
    ['1M', 2],
    ['default', 1],
  ])('has every byte, both ways at once, with RekeyLimit %s', async (limit, exchanges) => {
    const { sshd, rule } = await startHypervisor({ config: [`RekeyLimit ${limit}`, 'LogLevel DEBUG1'] });
    const target = await startVncTarget(greetAndEcho);
    const opened = await openPool(rule).open(target.port);
    const bytes = floodBytes(3, 12 * MIB);
    await writeAll(opened, bytes);
    const all = Buffer.concat([Buffer.from(rfbGreeting), bytes]);
    expect(digest(await opened.waitForBytes(all.length))).toBe(digest(all));
    const keys = sshd.child.stderr().match(/SSH2_MSG_NEWKEYS received/g)?.length ?? 0;
    expect(keys).toBeGreaterThanOrEqual(exchanges);
    expect(opened.endedBy()).toBeUndefined();
  });
});

describe('many consoles', () => {
  it('of 200 on one connection each have their own bytes, to the byte', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(greetAndEcho);
    const { open } = openPool(rule);
    const consoles = await Promise.all(Array.from({ length: 200 }, () => open(target.port)));
    await Promise.all(
      consoles.map(async (opened, index) => {
        const bytes = floodBytes(index, 40_000 + index * 97);
        await writeAll(opened, bytes, 1_000 + index);
        const all = Buffer.concat([Buffer.from(rfbGreeting), bytes]);
        expect(digest(await opened.waitForBytes(all.length)), String(index)).toBe(digest(all));
      }),
    );
    expect(sshd.logins()).toBe(1);
    expect(target.connections).toHaveLength(200);
    for (const { connection } of consoles) connection.end();
    await waitFor(() => target.connections.every(({ closed }) => closed()), {
      what: 'all ends at the target',
    });
  });

  it('are held up by none that does not read, of which no more than a window waits', async () => {
    const { rule } = await startHypervisor();
    const flood = await startVncTarget(greetAndFlood(40 * MIB));
    const target = await startVncTarget(greetAndEcho);
    const { open } = openPool(rule);
    const stuck = await open(flood.port);
    stuck.hold();
    const held = await stuck.waitForBytes(1);
    const sent = () => flood.connections[0]?.socket.bytesWritten ?? 0;
    let before = -1;
    // Still when nothing has moved for as long as another console took to be opened and answered, ten times.
    for (let still = 0; still < 10; still = sent() === before ? still + 1 : 0) {
      before = sent();
      const lively = await open(target.port);
      await writeAll(lively, floodBytes(0, 100_000));
      await lively.waitForBytes(rfbGreeting.length + 100_000);
      lively.connection.end();
    }
    // Our window and sshd's own, and what the kernel keeps between all four of us.
    expect(sent()).toBeLessThan(25 * MIB);
    expect(stuck.receivedBytes()).toBeLessThan(held.length + MIB);
    stuck.resume();
    expect(await stuck.waitForEnd()).toBe('the target closed the connection');
    const all = Buffer.concat([Buffer.from(rfbGreeting), floodBytes(0, 40 * MIB)]);
    expect(digest(stuck.received())).toBe(digest(all));
  });

  it('are held up by none whose target does not read; it is told to write no more', async () => {
    const { rule } = await startHypervisor();
    const stall = await startVncTarget(greetAndStall);
    const target = await startVncTarget(greetAndEcho);
    const { open } = openPool(rule);
    const stuck = await open(stall.port);
    await stuck.waitForBytes(rfbGreeting.length);
    const bytes = floodBytes(0, 64 * MIB);
    let at = 0;
    for (; at < bytes.length; at += 64 * 1024) {
      const before = stuck.drains();
      if (stuck.connection.write(bytes.subarray(at, at + 64 * 1024))) continue;
      const drained = waitFor(() => stuck.drains() > before, { what: 'room', deadlineMs: 1_500 });
      if (
        await drained.then(
          () => false,
          () => true,
        )
      )
        break;
    }
    expect(at).toBeLessThan(32 * MIB);
    const lively = await open(target.port);
    await writeAll(lively, floodBytes(0, MIB));
    await lively.waitForBytes(rfbGreeting.length + MIB);
    const there = await stall.connection();
    there.socket.resume();
    await waitFor(() => stuck.drains() > 0, { what: 'the stuck console to go on' });
    await writeAll(stuck, bytes.subarray(at + 64 * 1024));
    const received = await within(there.waitForBytes(bytes.length), {
      what: 'all bytes',
      deadlineMs: 20_000,
    });
    expect(digest(received)).toBe(digest(bytes));
  });

  it('are all told to write no more while sshd itself reads nothing, and lose nothing', async () => {
    const { sshd, rule } = await startHypervisor();
    const target = await startVncTarget(silent);
    const { open } = openPool(rule);
    const consoles = await Promise.all(Array.from({ length: 8 }, () => open(target.port)));
    await waitFor(() => target.connections.length === 8, { what: 'all at the target' });
    const [pid = 0] = await sshd.connections();
    signalPid(pid, 'SIGSTOP');
    const piece = floodBytes(0, 50_000);
    const written = consoles.map(() => 0);
    const isFull = consoles.map(() => false);
    try {
      await waitFor(
        () => {
          for (const [index, { connection, drains }] of consoles.entries()) {
            if (isFull[index] && drains() === 0) continue;
            isFull[index] = !connection.write(piece);
            written[index] = (written[index] ?? 0) + 1;
          }
          return isFull.every(Boolean);
        },
        { what: 'all consoles to be full', deadlineMs: 20_000 },
      );
    } finally {
      signalPid(pid, 'SIGCONT');
    }
    const total = written.reduce((sum, pieces) => sum + pieces * piece.length, 0);
    // The kernel's share, then a mebibyte for all, and a quarter of one for each.
    expect(total).toBeLessThan(16 * MIB);
    const received = () => target.connections.reduce((sum, { receivedBytes }) => sum + receivedBytes(), 0);
    await waitFor(() => received() === total, { what: 'all bytes at the target' });
  });
});
