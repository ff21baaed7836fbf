// Debian's websockify, unchanged, beside our service on the same token directory: for those who keep their proxy
// and replace only what makes the tokens.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { type Service, startService } from '../support/service.ts';
import { greetAndEcho, startVncTarget, type VncTarget } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { startWebsockify, type Websockify } from '../support/websockify.ts';
import { openConsole } from '../support/ws-client.ts';

const vmId = 5;

let oned: TestOned;
let target: VncTarget;
let service: Service;
let websockify: Websockify;

beforeAll(async () => {
  oned = await startTestOned();
  target = await startVncTarget(greetAndEcho);
  oned.runVm(vmId, target);
  service = await startService({ oned });
  websockify = await startWebsockify({ tokenFolder: service.tokenFolder });
});

/** Opens a console there, and sees its own bytes come back from the VM's VNC server. */
async function reachesTarget(url: string, token: string): Promise<void> {
  const client = await openConsole(`${url}/?token=${token}`, { protocols: ['binary'] });
  expect(client.status).toBe(101);
  client.socket.send(Buffer.from('hello'));
  expect((await client.waitForData(17)).toString()).toBe('RFB 003.008\nhello');
  client.socket.close(1000);
  await client.closed;
}

/** The file in which websockify finds the token, if there is one. */
const fileOf = (token: string, folder = service.tokenFolder) =>
  readdirSync(folder).find((name) => readFileSync(join(folder, name), 'utf8').includes(token));

test('websockify serves a token that the service wrote, as often as it is asked', async () => {
  const token = await service.issueToken(vmId);
  await reachesTarget(websockify.url, token);
  await reachesTarget(websockify.url, token);
});

test('a token that was first used through our proxy is gone for websockify too', async () => {
  const token = await service.issueToken(vmId);
  expect(fileOf(token)).toMatch(/^vnctoken-5-[0-9a-f]{12}$/);
  await reachesTarget(service.proxyUrl, token);
  await waitFor(() => fileOf(token) === undefined, { what: 'the token file to go' });
  // This is how websockify refuses: without a word.
  await expect(openConsole(`${websockify.url}/?token=${token}`)).rejects.toThrow('socket hang up');
});

test('websockify finds every token while many are being made', async () => {
  const tokens = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const token = await service.issueToken(vmId);
      await reachesTarget(websockify.url, token);
      return token;
    }),
  );
  expect(new Set(tokens).size).toBe(20);
});

test("somebody else's file beside ours stays as it is, is served by websockify and not by us", async () => {
  const token = 'foreigntoken0123456789abcdef';
  const file = join(service.tokenFolder, 'one-99');
  const line = `${token}: ${target.host}:${target.port}\n`;
  writeFileSync(file, line);
  await reachesTarget(websockify.url, token);
  expect((await openConsole(`${service.proxyUrl}/?token=${token}`)).status).toBe(401);
  await reachesTarget(service.proxyUrl, await service.issueToken(vmId));
  expect(readFileSync(file, 'utf8')).toBe(line);
});

test('a token that nobody used is gone for websockify after token_ttl', async () => {
  const brief = await startService({ oned, flags: { token_ttl: 1 } });
  const beside = await startWebsockify({ tokenFolder: brief.tokenFolder });
  const token = await brief.issueToken(vmId);
  await waitFor(() => fileOf(token, brief.tokenFolder) === undefined, { what: 'the token file to go' });
  await expect(openConsole(`${beside.url}/?token=${token}`)).rejects.toThrow('socket hang up');
});

test('with websockify_files off nothing is written there, and our own proxy serves all the same', async () => {
  const alone = await startService({ oned, flags: { websockify_files: false } });
  const token = await alone.issueToken(vmId);
  await reachesTarget(alone.proxyUrl, token);
  expect(() => readdirSync(alone.tokenFolder)).toThrow('ENOENT');
});
