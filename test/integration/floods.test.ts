// Floods of refusals through the real service: what they write, and that every reference that was told is found.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import type { LogLine } from '../support/service.ts';
import { greet } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import type { RawWebSocket } from '../support/ws-client.ts';

const FLOOD = 150;

async function refOf(reply: RawWebSocket): Promise<string> {
  return waitFor(() => /\(ref (\w{6})\)/.exec(reply.body())?.[1], { what: 'a reference' });
}

describe.each([1, 2])('with %s processes that relay, a flood from one address', (workers) => {
  it('of bad tokens, origins and calls leaves a few lines and sums', { timeout: 120_000 }, async () => {
    const auditFile = join(temporaryFolder(), 'audit.log');
    const consoles = await startConsoles({
      flags: { workers, audit_file: auditFile, max_unknown_tokens: 100_000, max_calls_per_address: 100_000 },
    });
    const { service } = consoles;
    const from = (address: string) => ({ 'X-Forwarded-For': address });
    const told: string[] = [];
    for (let i = 0; i < FLOOD; i++) {
      const headers = from('192.0.2.1');
      const refused = await consoles.open('nosuchtokennosuchtokennosuch', { headers });
      expect(refused.status).toBe(401);
      told.push(await refOf(refused));
      const origin = { ...headers, Origin: 'https://evil.example' };
      const strange = await consoles.open('x', { headers: origin });
      expect(strange.status).toBe(403);
      told.push(await refOf(strange));
      await service.rawCall('nonsense', { headers });
      const reply = await service.call('one.vm.vncurl', ['oneadmin:oneadmin', 1], { headers });
      expect(reply[0]).toBe(false);
    }
    // Somebody else's consoles are told of as ever, line by line.
    const { token } = await consoles.console(greet);
    expect((await consoles.open(token, { headers: from('198.51.100.1') })).status).toBe(101);
    const other = await consoles.open('nosuchtokennosuchtokennosuch', { headers: from('198.51.100.1') });
    expect(other.status).toBe(401);
    await service.stop();

    const lines = service.logLines();
    const of = (client: string, msg: RegExp) =>
      lines.filter((line) => line['client'] === client && msg.test(line.msg ?? ''));
    const counted = (some: readonly LogLine[]) =>
      some.reduce((all, line) => all + (typeof line['count'] === 'number' ? line['count'] : 1), 0);
    for (const [msg, sent] of [
      [/^console refused/, 2 * FLOOD],
      [/^call refused/, 2 * FLOOD],
    ] as const) {
      const some = of('192.0.2.1', msg);
      expect(counted(some)).toBe(sent);
      // In each process its own; a run that takes longer than a minute begins anew.
      expect(some.length).toBeLessThanOrEqual(11 * workers * 3);
    }
    expect(of('198.51.100.1', /^console opened/)).toHaveLength(1);
    expect(of('198.51.100.1', /^console refused/)).toHaveLength(1);
    for (const ref of told) expect(lines.some((line) => line['ref'] === ref)).toBe(true);

    expect(existsSync(auditFile)).toBe(true);
    const audit = readFileSync(auditFile, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);
    const refused = audit.filter((line) => line['audit'] === 'refused' && line['client'] === '192.0.2.1');
    expect(counted(refused)).toBe(2 * FLOOD);
    // Those that name a user may be a portal's: of them there are a hundred a minute.
    expect(refused.length).toBeLessThanOrEqual(2 * 101);
    expect(audit.filter((line) => line['audit'] === 'redeemed')).toHaveLength(1);
  });
});
