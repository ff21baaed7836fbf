// VNC passwords that oned encrypts, and those that only look like it, up to a real VNC server. What always holds: the
// service asks oned whether it encrypts, once for many calls, and judges no password.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { type Flags, startService } from '../support/service.ts';
import { startTigervnc, type Tigervnc } from '../support/tigervnc.ts';
import { openConsole } from '../support/ws-client.ts';

/** As RANDOM_PASSWD makes it in OpenNebula 6.2 to 6.6; eight characters count for VNC. */
const random = '6624974ea2baffac'.repeat(4);
const ciphertext = 'Xb/OyOPb1gLlG4zcJbANcQ==';
const vmId = 7;
const user = 'alice:secret';
const service = 'console:own-secret';

let vnc: Tigervnc;

beforeAll(async () => {
  vnc = await startTigervnc({ password: random });
});

/** An oned with a VM whose password looks so, and is another one to administrators who ask. */
async function startOned(password: string, encrypted: string[], clear = password): Promise<TestOned> {
  const oned = await startTestOned();
  oned.config({ encrypted });
  oned.user(service, { id: 5, name: 'console', gids: [0] });
  oned.answer(vmId, ({ session, rest }) => {
    const decrypts = session === service && rest.includes('<boolean>1</boolean>');
    const PASSWD = decrypts ? clear : password;
    return { vm: { id: vmId, hosts: [vnc.host], uid: 2, gid: 1, graphics: { PORT: vnc.port, PASSWD } } };
  });
  return oned;
}

async function startWith(oned: TestOned, withService: boolean, flags: Flags = {}) {
  const file = join(temporaryFolder(), 'service_auth');
  writeFileSync(file, `${service}\n`, { mode: 0o600 });
  return startService({
    oned,
    flags: { vnc_auth: 'proxy', ...(withService ? { service_auth: file } : {}), ...flags },
  });
}

/** Up to where a browser without a password is let in, which the service asks only when the VNC server has accepted it. */
async function enters(proxyUrl: string, token: string): Promise<boolean> {
  const client = await openConsole(`${proxyUrl}/?token=${token}`);
  await client.waitForData(12);
  client.socket.send(Buffer.from('RFB 003.008\n'));
  const offered = (await client.waitForData(14)).subarray(12);
  client.socket.terminate();
  return offered.equals(Buffer.from([1, 1]));
}

describe('a password of 64 hexadecimal digits', () => {
  it.each([false, true])('opens its console; with service_auth: %s', async (withService) => {
    const oned = await startOned(random, []);
    const { proxyUrl, issueToken } = await startWith(oned, withService);
    expect(await enters(proxyUrl, await issueToken(vmId, user))).toBe(true);
    for (let one = 0; one < 5; one++) await issueToken(vmId, user);
    expect(oned.calls.filter(({ method }) => method === 'one.system.config')).toHaveLength(1);
    expect(oned.calls.filter(({ rest }) => rest !== '')).toEqual([]);
  });

  it('opens its console where oned tells its settings to administrators alone', async () => {
    const oned = await startOned(random, []);
    oned.answerMethod('one.system.config', { error: 'for oneadmin only', code: 0x0200 });
    const { proxyUrl, issueToken } = await startWith(oned, false);
    expect(await enters(proxyUrl, await issueToken(vmId, user))).toBe(true);
  });

  it.each([{ fault: 'no such method', code: -506 }, 'hang-up', { value: '<X/>' }] as const)(
    'opens its console whatever oned says instead: %j',
    async (answer) => {
      const oned = await startOned(random, []);
      oned.answerMethod('one.system.config', answer);
      const { proxyUrl, issueToken } = await startWith(oned, false);
      expect(await enters(proxyUrl, await issueToken(vmId, user))).toBe(true);
    },
  );
});

describe('an encrypted password', () => {
  it('is read by the service, and opens its console', async () => {
    const oned = await startOned(ciphertext, ['GRAPHICS/PASSWD'], random);
    const { proxyUrl, issueToken } = await startWith(oned, true);
    expect(await enters(proxyUrl, await issueToken(vmId, user))).toBe(true);
  });

  it.each([
    ['without service_auth', false, [0], 'the service needs service_auth to read it'],
    [
      'with one that is no administrator’s',
      true,
      [1],
      'the user of service_auth has to be in the group oneadmin',
    ],
  ])('%s has no console, and says why', async (_what, withService, gids, why) => {
    const oned = await startOned(ciphertext, ['GRAPHICS/PASSWD']);
    oned.user(service, { id: 5, name: 'console', gids });
    const { call } = await startWith(oned, withService);
    expect(await call('one.vm.vnctoken', [user, vmId])).toEqual([
      false,
      expect.stringContaining(why),
      0x0400,
    ]);
  });

  it('goes in clear to a browser that has to answer the VNC server itself', async () => {
    const oned = await startOned(ciphertext, ['GRAPHICS/PASSWD'], random);
    const { call } = await startWith(oned, true, { vnc_auth: 'pass' });
    expect((await call('one.vm.vnctoken', [user, vmId]))[1]).toMatchObject({ password: random });
  });
});
