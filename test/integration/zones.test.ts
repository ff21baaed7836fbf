// Services of two zones that share Redis, or the keys of sealed tokens; each with an oned in which VM 7 is another VM.
// What always holds: a token opens the console of its own zone's VM, and is none in the other zone.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';
import { startTestOned } from '../support/oned.ts';
import type { OnedConfig } from '../support/oned-config.ts';
import { startRedis } from '../support/redis.ts';
import { type Flags, type Service, startService } from '../support/service.ts';
import { greet, startVncTarget } from '../support/vnc-target.ts';
import { openRawWebSocket } from '../support/ws-client.ts';

const vmId = 7;
const admins = 'oneadmin:oneadmin';
const shared: Flags = { token_sessions: 'shared' };

/** How services come to share tokens. */
const sharings: Record<string, () => Promise<{ flags: Flags; env: Record<string, string> }>> = {
  redis: async () => ({
    flags: { ...shared, token_store: 'redis' },
    env: { VNCTOKEN_REDIS_URL: `redis://127.0.0.1:${(await startRedis()).port}` },
  }),
  'sealed keys': async () => {
    const file = join(temporaryFolder(), 'keys');
    writeFileSync(file, `one ${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
    return { flags: { ...shared, token_store: 'sealed', sealed_keys: file }, env: {} };
  },
};

/** A zone's oned, with a VM of its own. */
async function startZone(config: OnedConfig) {
  const oned = await startTestOned();
  const target = await startVncTarget(greet);
  oned.config(config);
  oned.runVm(vmId, target);
  return { oned, target };
}

const slave = (zoneId: number): OnedConfig => ({
  federation: { mode: 'SLAVE', zoneId },
  zones: [0, 100, 101],
});

/** The status with which a token is answered. */
async function knock(service: Service, token: string): Promise<number> {
  const { status } = await openRawWebSocket({ port: service.proxyPort, path: `/?token=${token}` });
  return status;
}

const count = async (service: Service, method: string) => (await service.call(method, [admins, vmId]))[1];

describe.each(Object.keys(sharings))('services that share %s', (kind) => {
  const sharing = () => sharings[kind]?.() ?? Promise.reject(new Error(kind));
  const start = async (
    oned: { url: string },
    parts: Awaited<ReturnType<typeof sharing>>,
    flags: Flags = {},
  ) => startService({ oned, env: parts.env, flags: { ...parts.flags, ...flags } });

  it('open the consoles of their own zone alone', async () => {
    const parts = await sharing();
    const [here, there] = await Promise.all([startZone(slave(100)), startZone(slave(101))]);
    const own = await start(here.oned, parts);
    const beside = await start(here.oned, parts);
    const other = await start(there.oned, parts);
    const token = await own.issueToken(vmId);
    // Before a call came to it, and after.
    expect(await knock(other, token)).toBe(401);
    await other.issueToken(vmId);
    expect(await knock(other, token)).toBe(401);
    expect(await knock(other, 'x'.repeat(25))).toBe(401);
    expect(there.target.connections).toHaveLength(0);
    // Another host of the same zone, that nobody has called yet.
    expect(await knock(beside, token)).toBe(101);
    expect(await count(other, 'one.vm.vncsessions')).toBe('<VNC_SESSIONS></VNC_SESSIONS>');
    expect(await count(other, 'one.vm.vncrevoke')).toBe(1);
    expect(await knock(beside, token)).toBe(101);
  });

  it('tell the zones of oneds apart that say nothing of themselves', async () => {
    const parts = await sharing();
    const [here, there] = await Promise.all([startZone({}), startZone({})]);
    for (const { oned } of [here, there]) {
      oned.answerMethod('one.system.config', {
        error: '[one.system.config] for oneadmin only',
        code: 0x0200,
      });
      oned.answerMethod('one.zonepool.info', 'hang-up');
    }
    const own = await start(here.oned, parts);
    const beside = await start(here.oned, parts);
    const other = await start(there.oned, parts);
    const token = await own.issueToken(vmId);
    expect(await knock(other, token)).toBe(401);
    expect(await knock(beside, token)).toBe(101);
  });

  it('of one zone may have an oned each, and of two clouds a zone_id each', async () => {
    const parts = await sharing();
    // Two servers of one zone, and a cloud that is in no federation, like them.
    const [one, two, elsewhere] = await Promise.all([startZone({}), startZone({}), startZone({})]);
    const first = await start(one.oned, parts);
    const second = await start(two.oned, parts);
    const stranger = await start(elsewhere.oned, parts, { zone_id: 1 });
    const token = await first.issueToken(vmId);
    expect(await knock(stranger, token)).toBe(401);
    await second.issueToken(vmId);
    expect(await knock(second, token)).toBe(101);
  });
});
