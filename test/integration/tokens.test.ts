// Tokens on a real disk: full, killed in the middle, started anew. What always holds: what a portal was given is
// valid, what it was refused left nothing, and what has expired is refused before its files are gone.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Child, startChild } from '../support/child.ts';
import { startConsoles } from '../support/consoles.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startTestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import {
  commandLine,
  exchange,
  mainFile,
  type OneReply,
  oneReply,
  runMain,
  startService,
} from '../support/service.ts';
import { greet } from '../support/vnc-target.ts';
import { waitFor } from '../support/wait.ts';
import { openRawWebSocket } from '../support/ws-client.ts';
import { encodeCall } from '../support/xmlrpc.ts';

const session = 'oneadmin:oneadmin';
const hashOf = (token: string) => createHash('sha256').update(token).digest('hex');
const websockifyName = (vmId: number, token: string) => `vnctoken-${vmId}-${hashOf(token).slice(0, 12)}`;
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
const grants = (folder: string) =>
  readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));

/** The service's clock goes on steadily from its start, this one as it is set. */
const CLOCKS_APART_MS = 100;

describe('the files of a token', () => {
  it('are as the contract says, for us alone, and without token or password in ours', async () => {
    const { service, oned } = await startConsoles({ flags: { token_ttl: 77 } });
    oned.runVm(7, { host: 'node1', port: 5907 }, { PASSWD: 'opensesame' });
    const before = Date.now();
    const token = await service.issueToken(7, 'alice:alicepw');
    expect([mode(service.stateFolder), mode(service.tokenFolder)]).toEqual(['700', '700']);

    expect(readdirSync(service.stateFolder)).toEqual([hashOf(token)]);
    const own = join(service.stateFolder, hashOf(token));
    expect(mode(own)).toBe('600');
    const text = readFileSync(own, 'utf8');
    const stored = JSON.parse(text);
    expect(stored).toMatchObject({
      version: 2,
      grant: { vmId: 7, target: { host: 'node1', port: 5907 }, user: 'alice' },
    });
    expect(stored.grant.expiresAt - stored.grant.issuedAt).toBe(77_000);
    // The service's clock goes on steadily from its start: a millisecond is nothing here.
    expect(stored.grant.issuedAt).toBeGreaterThan(before - 1000);
    for (const secret of [token, 'alicepw', 'opensesame']) expect(text).not.toContain(secret);

    expect(readdirSync(service.tokenFolder)).toEqual([websockifyName(7, token)]);
    const theirs = join(service.tokenFolder, websockifyName(7, token));
    expect(mode(theirs)).toBe('600');
    expect(readFileSync(theirs, 'utf8')).toMatch(
      new RegExp(`^# \\{"vm":7,"expires":"[^"]+Z"\\}\\n${token}: node1:5907\\n$`),
    );
  });

  it('are in the folder of the setting, and only ours where websockify_files is no', async () => {
    const named = await startConsoles({ flags: { token_folder_name: 'other_tokens' } });
    const token = await named.tokenFor('node1', 5907);
    expect(readdirSync(join(named.service.oneLocation, 'var/other_tokens'))).toEqual([
      websockifyName(1, token),
    ]);

    const without = await startConsoles({ flags: { websockify_files: false } });
    await without.tokenFor('node1', 5907);
    expect(readdirSync(join(without.service.oneLocation, 'var'))).toEqual(['vnctoken', 'vnctoken-run']);
  });

  it("are websockify's, password and all, where there is no proxy of ours to answer VNC's security", async () => {
    const { service, oned } = await startConsoles({ flags: { vnc_proxy_port: 'off', vnc_auth: 'proxy' } });
    oned.runVm(7, { host: 'node1', port: 5907 }, { PASSWD: 'opensesame' });
    const [, value] = await service.call('one.vm.vnctoken', ['alice:alicepw', 7]);
    expect(value).toMatchObject({ password: 'opensesame' });
    expect(readdirSync(service.tokenFolder)).toHaveLength(1);
  });

  it("lose websockify's at the first use through us, whoever comes second", async () => {
    const consoles = await startConsoles();
    const { token, vmId } = await consoles.console(greet);
    const theirs = join(consoles.service.tokenFolder, websockifyName(vmId, token));
    expect(existsSync(theirs)).toBe(true);
    expect((await consoles.open(token)).status).toBe(101);
    await waitFor(() => !existsSync(theirs), { what: "the end of websockify's file" });
  });

  it('are not those of others, which are neither touched nor served', async () => {
    const consoles = await startConsoles();
    const foreign = 'abcdefghijklmnopqrstuvwxy';
    writeFileSync(join(consoles.service.tokenFolder, 'one-7'), `${foreign}: 127.0.0.1:5900\n`);
    expect((await consoles.open(foreign)).status).toBe(401);
    const { oneLocation } = consoles.service;
    await consoles.service.stop();
    const again = await startService({ oneLocation });
    expect((await openRawWebSocket({ port: again.proxyPort, path: `/?token=${foreign}` })).status).toBe(401);
    expect(readFileSync(join(again.tokenFolder, 'one-7'), 'utf8')).toBe(`${foreign}: 127.0.0.1:5900\n`);
  });
});

describe('an expired token', () => {
  it('is refused at once, and its files are gone soon', async () => {
    const consoles = await startConsoles({ flags: { token_ttl: 1 } });
    const { service } = consoles;
    const { token, vmId } = await consoles.console(greet);
    const [{ grant }] = grants(service.stateFolder);
    await waitFor(() => Date.now() >= grant.expiresAt + CLOCKS_APART_MS, { what: 'the token to expire' });
    expect((await consoles.open(token)).status).toBe(401);
    const files = () => [...readdirSync(service.stateFolder), ...readdirSync(service.tokenFolder)];
    await waitFor(() => files().length === 0, {
      what: `the end of the files of VM ${vmId}`,
      deadlineMs: 5000,
    });
  });

  it('that was used in time goes on, and opens its console again', async () => {
    const consoles = await startConsoles({ flags: { token_ttl: 1 } });
    const { token } = await consoles.console(greet);
    const [{ grant }] = grants(consoles.service.stateFolder);
    const used = await consoles.open(token);
    expect((await used.waitForData(12)).toString()).toBe('RFB 003.008\n');
    await waitFor(() => Date.now() >= grant.expiresAt + CLOCKS_APART_MS, { what: 'token_ttl to pass' });
    expect((await consoles.open(token)).status).toBe(101);
  });

  it('that expired while nothing ran is refused from the start', async () => {
    const consoles = await startConsoles({ flags: { token_ttl: 1 } });
    const token = await consoles.tokenFor('127.0.0.1', 5900);
    const { oneLocation, stateFolder } = consoles.service;
    const [{ grant }] = grants(stateFolder);
    await consoles.service.stop();
    await waitFor(() => Date.now() >= grant.expiresAt + CLOCKS_APART_MS, { what: 'the token to expire' });
    const again = await startService({ oneLocation });
    expect([...readdirSync(again.stateFolder), ...readdirSync(again.tokenFolder)]).toEqual([]);
    expect((await openRawWebSocket({ port: again.proxyPort, path: `/?token=${token}` })).status).toBe(401);
  });
});

describe('a restart', () => {
  it('keeps every token valid, and removes what a crash left half-written', async () => {
    const consoles = await startConsoles();
    const { token, target } = await consoles.console(greet);
    const { oneLocation, stateFolder, tokenFolder } = consoles.service;
    await consoles.service.stop();
    writeFileSync(join(stateFolder, '.tmp-0123456789abcdef01234567'), '{"version":1,"vmId":');
    writeFileSync(join(stateFolder, hashOf('half')), '{"version":1,"vmId":');
    writeFileSync(join(tokenFolder, websockifyName(9, 'gone')), 'gone: 127.0.0.1:22\n');
    const again = await startService({ oneLocation });
    expect(readdirSync(stateFolder)).toEqual([hashOf(token)]);
    expect(readdirSync(tokenFolder)).toEqual([websockifyName(1, token)]);
    const webSocket = await openRawWebSocket({ port: again.proxyPort, path: `/websockify/${token}` });
    expect(webSocket.status).toBe(101);
    await target.connection();
  });

  it('after SIGKILL in the middle of it all keeps every token that a portal was given', async () => {
    const consoles = await startConsoles();
    const { service, oned } = consoles;
    oned.runVm(7, { host: '127.0.0.1', port: await freePort() });
    const given: string[] = [];
    let refused = 0;
    const portal = async () => {
      for (;;) given.push(await service.issueToken(7));
    };
    // Each goes on until the service is gone.
    const portals = Array.from({ length: 8 }, () => portal().catch(() => refused++));
    await waitFor(() => given.length >= 100, { what: 'a hundred tokens' });
    service.signal('SIGKILL');
    await Promise.all(portals);
    await service.child.exited;
    expect(refused).toBe(8);

    const again = await startService({ oneLocation: service.oneLocation });
    const names = readdirSync(service.stateFolder);
    for (const token of given) expect(names).toContain(hashOf(token));
    for (const name of names) expect(name).toMatch(/^[0-9a-f]{64}$/);
    expect(grants(service.stateFolder).every(({ version, grant }) => version === 2 && grant.vmId === 7)).toBe(
      true,
    );
    const known = new Set(names.map((name) => `vnctoken-7-${name.slice(0, 12)}`));
    const theirs = readdirSync(service.tokenFolder);
    expect(theirs.filter((name) => !known.has(name))).toEqual([]);
    for (const name of theirs)
      expect(readFileSync(join(service.tokenFolder, name), 'utf8')).toMatch(
        /^# .*\n[a-z0-9]{25,}: .*:\d+\n$/,
      );
    for (const token of given.slice(-5))
      expect((await openRawWebSocket({ port: again.proxyPort, path: `/${token}` })).status).toBe(101);
  });
});

describe('a disk that is full', () => {
  /** A service whose state lies on a disk of its own, of 64 pages or some twenty files, which nobody else sees. */
  async function startConfined(options: string) {
    const oned = await startTestOned();
    oned.runVm(7, { host: '127.0.0.1', port: await freePort() });
    const oneLocation = temporaryFolder();
    const port = await freePort();
    const proxyPort = await freePort();
    const flags = { port, vnc_proxy_port: proxyPort, one_xmlrpc: oned.url };
    const mountAndRun = [
      'mkdir -p "$ONE_LOCATION/var" "$ONE_LOCATION/etc"',
      `mount -t tmpfs -o ${options} vnctoken-test "$ONE_LOCATION/var"`,
      'exec "$@"',
    ].join(' && ');
    // Without privileges, a user namespace gives the right to mount.
    const namespaces = process.getuid?.() === 0 ? ['--mount'] : ['--mount', '--map-root-user'];
    const program = [process.execPath, mainFile, 'serve', ...commandLine(flags)];
    const child: Child = await startChild(
      'unshare',
      [...namespaces, '--propagation', 'private', 'sh', '-c', mountAndRun, 'sh', ...program],
      { env: { ONE_LOCATION: oneLocation }, ready: ({ stdout }) => stdout().includes('"msg":"ready"') },
    );
    // As the service sees it.
    const disk = join(`/proc/${child.pid}/root`, oneLocation, 'var');
    const state = join(disk, 'vnctoken');
    const theirs = join(disk, 'sunstone_vnc_tokens');
    const origin = `http://127.0.0.1:${port}`;
    return {
      files: () => [readdirSync(state).sort(), readdirSync(theirs).sort()],
      state,
      theirs,
      disk,
      child,
      call: async (): Promise<OneReply> =>
        oneReply(await exchange(origin, encodeCall('one.vm.vnctokenonly', [session, 7]))),
      statusOf: async (token: string) =>
        (await openRawWebSocket({ port: proxyPort, path: `/${token}` })).status,
    };
  }

  const stored = /^[a-z0-9]{25,}$/;
  const refused = [
    false,
    expect.stringMatching(/^The token could not be stored \(ref [2-9A-Z]{6}\)$/),
    0x4000,
  ];

  it.each([
    [
      'of bytes',
      'size=256k',
      (disk: string) => {
        // To the last byte, whatever the size of a page.
        for (const size of [64 * 1024, 4096, 1])
          for (let count = 0; count < 1000; count++)
            try {
              writeFileSync(join(disk, 'filler'), Buffer.alloc(size), { flag: 'a' });
            } catch {
              break;
            }
      },
    ],
    [
      'of files',
      'size=1m,nr_inodes=20',
      (disk: string) => {
        try {
          for (let count = 0; count < 1000; count++) writeFileSync(join(disk, `filler-${count}`), '');
        } catch {
          // Full.
        }
      },
    ],
  ])(
    '%s is 0x4000, with nothing half-written, and what was stored before is served',
    async (_what, options, fill) => {
      const { call, files, statusOf, disk, child } = await startConfined(options);
      const [, token] = await call();
      expect(token).toMatch(stored);
      const before = files();
      expect(before.map((names) => names.length)).toEqual([1, 1]);

      fill(disk);
      for (let times = 0; times < 5; times++) expect(await call()).toEqual(refused);
      expect(files()).toEqual(before);
      const line = /"code":"store-failed","reason":"the token's file cannot be written: ENOSPC"/;
      await waitFor(() => line.test(child.stdout()), { what: 'its line in the log' });

      for (const name of readdirSync(disk).filter((file) => file.startsWith('filler')))
        rmSync(join(disk, name));
      const [ok, another] = await call();
      expect([ok, another]).toEqual([true, expect.stringMatching(stored)]);
      expect(files().map((names) => names.length)).toEqual([2, 2]);
      expect(await statusOf(String(token))).toBe(101);
      expect(await statusOf(String(another))).toBe(101);
    },
  );

  it('between the two files of a token takes back the first', async () => {
    const { call, files, state, theirs, child } = await startConfined('size=1m');
    rmSync(theirs, { recursive: true });
    writeFileSync(theirs, 'a file in the place of the directory');
    expect(await call()).toEqual(refused);
    expect(readdirSync(state)).toEqual([]);
    await waitFor(() => child.stdout().includes('store-failed'), { what: 'its line in the log' });
    expect(files).toThrow();
  });
});

describe('a folder that cannot be written', () => {
  it.each([
    ['vnctoken', 'the state folder'],
    ['sunstone_vnc_tokens', 'token_folder_name'],
  ])('(%s) is told in one line that names the setting, and nothing runs', async (name, setting) => {
    const oneLocation = temporaryFolder();
    mkdirSync(join(oneLocation, 'var'));
    writeFileSync(join(oneLocation, 'var', name), '');
    const flags = { port: await freePort(), vnc_proxy_port: await freePort() };
    const { code, stderr } = await runMain(['serve', ...commandLine(flags)], { oneLocation });
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^vnctoken-server: ${setting}: cannot write [^\\n]+\\n$`));
  });
});
