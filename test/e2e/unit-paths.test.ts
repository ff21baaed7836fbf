// The service where it may write what the unit says and nothing else: each folder is a mount of its own, and all the
// rest of oneadmin's home is read-only, as systemd makes it. Real mounts, in a namespace of the test's own.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run, runWell, startChild } from '../support/child.ts';
import { temporaryFolder } from '../support/folder.ts';
import { startTestOned } from '../support/oned.ts';
import { freePort } from '../support/ports.ts';
import { commandLine, exchange, mainFile, oneReply } from '../support/service.ts';
import { greetAndEcho, startVncTarget } from '../support/vnc-target.ts';
import { startWebsockify } from '../support/websockify.ts';
import { openConsole } from '../support/ws-client.ts';
import { encodeCall } from '../support/xmlrpc.ts';
import { readShipped } from './shipped-file.ts';

const unit = readShipped('etc/systemd/system/vnctoken.service');

/** As root of a namespace of its own, where mounts are seen by nobody else. */
const inNamespace = ['--user', '--map-root-user', '--mount', '--propagation', 'private', 'sh', '-euc'];

function linesOf(key: string): string[] {
  return [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value);
}

/** Shell commands that make of the home what ReadWritePaths= and InaccessiblePaths= make of it. */
function mountsOf(home: string): string {
  const inHome = (key: string) =>
    linesOf(key)
      .map((path) => path.replace(/^-/, ''))
      .filter((path) => path.startsWith('/var/lib/one/'))
      .map((path) => path.replace('/var/lib/one', home));
  const readOnly = (path: string) => `mount --bind ${path} ${path}; mount -o remount,bind,ro ${path}`;
  const writable = inHome('ReadWritePaths').map(
    (path) => `mount --bind ${path} ${path}; mount -o remount,bind,rw ${path}`,
  );
  return [readOnly(home), ...writable].join('\n');
}

test('the service writes tokens for itself and for websockify, and can write nothing beside them', async () => {
  const oneLocation = temporaryFolder();
  const home = join(oneLocation, 'var');
  for (const folder of ['etc', 'var/remotes']) mkdirSync(join(oneLocation, folder), { recursive: true });
  writeFileSync(join(home, 'remotes/driver'), '');
  // What the unit does first, and what it does to be started again.
  const [before = ''] = linesOf('ExecStartPre');
  const makeFolders = before.replace(/^.* -- /, '').replaceAll('/var/lib/one/', `${home}/`);
  for (let start = 1; start <= 2; start++) await runWell('sh', ['-euc', makeFolders]);
  expect(readdirSync(home).toSorted()).toEqual(['remotes', 'sunstone_vnc_tokens', 'vnctoken']);

  // The two are two mounts: what the service did before, to rename from one into the other, cannot be done.
  const trials = [
    'touch vnctoken/x',
    'ln vnctoken/x sunstone_vnc_tokens/x',
    'touch y',
    'touch remotes/driver',
  ];
  const tried = trials.map((trial) => `${trial} && echo fine || echo refused`).join('\n');
  const control = await run('unshare', [
    ...inNamespace,
    `${mountsOf(home)}\ncd ${home}\n${tried}\nrm vnctoken/x`,
  ]);
  expect([control.stdout, control.stderr.match(/cross-device/)?.length]).toEqual([
    'fine\nrefused\nrefused\nrefused\n',
    1,
  ]);

  const oned = await startTestOned();
  const target = await startVncTarget(greetAndEcho);
  oned.runVm(5, target);
  const start = async (vncAuth: string) => {
    const flags = {
      ...{ port: await freePort(), vnc_proxy_port: await freePort(), workers: 1 },
      ...{ one_xmlrpc: oned.url, vnc_auth: vncAuth, control_socket: join(oneLocation, 'control.sock') },
    };
    const command = [`${mountsOf(home)}\nexec "$@"`, 'sh', process.execPath, mainFile, 'serve'];
    const service = await startChild('unshare', [...inNamespace, ...command, ...commandLine(flags)], {
      env: { ONE_LOCATION: oneLocation },
      ready: (child) => child.stdout().includes('"ready"'),
      readyWithinMs: 30_000,
    });
    const call = encodeCall('one.vm.vnctokenonly', ['oneadmin:oneadmin', 5]);
    const [ok, token] = oneReply(await exchange(`http://127.0.0.1:${flags.port}`, call));
    expect([ok, typeof token]).toEqual([true, 'string']);
    return { service, token: String(token) };
  };

  const forWebsockify = await start('pass');
  const tokenFolder = join(home, 'sunstone_vnc_tokens');
  const [name = ''] = readdirSync(tokenFolder);
  expect(readFileSync(join(tokenFolder, name), 'utf8')).toContain(`${forWebsockify.token}: `);
  const websockify = await startWebsockify({ tokenFolder });
  const url = `${websockify.url}/?token=${forWebsockify.token}`;
  const client = await openConsole(url, { protocols: ['binary'] });
  expect((await client.waitForData(12)).toString()).toContain('RFB 003.008');
  client.socket.close(1000);
  await client.closed;
  expect((await forWebsockify.service.stop()).code).toBe(0);

  // The key for VNC passwords lies with the tokens.
  const answering = await start('proxy');
  expect(existsSync(join(home, 'vnctoken/password-key'))).toBe(true);
  expect((await answering.service.stop()).code).toBe(0);
});
