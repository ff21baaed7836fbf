// What check-config warns of on its host: with a real oned.conf's words, real listeners and real files.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hostWarnings } from '../../src/check-host.ts';
import { loadSettings } from '../../src/config/load.ts';
import { listenersForAll } from '../../src/listening-ports.ts';
import { makePki } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { atEnd } from '../support/lifetime.ts';
import { freePort } from '../support/ports.ts';
import { runMain } from '../support/service.ts';

/** Warnings of `check-config`, as they are printed; those of neighbours on this very machine are not the test's. */
async function warningsOf(
  options: Parameters<typeof runMain>[1],
  args: readonly string[] = [],
): Promise<string[]> {
  const checked = await runMain(['check-config', ...args], options);
  expect(checked.code).toBe(0);
  const lines = checked.stderr.split('\n').filter((line) => line.startsWith('warning: '));
  return lines
    .map((line) => line.replace(/^warning: /, ''))
    .filter((line) => !/^port (2633|2634|4822): /.test(line));
}

function oneLocationWith(onedConf: string): string {
  const oneLocation = temporaryFolder();
  mkdirSync(join(oneLocation, 'etc'));
  writeFileSync(join(oneLocation, 'etc/oned.conf'), onedConf);
  return oneLocation;
}

async function listenOn(host: string): Promise<number> {
  const port = await freePort();
  const server = createServer().listen({ port, host, ipv6Only: host === '::' });
  await new Promise((resolve) => server.once('listening', resolve));
  atEnd(() => void server.close());
  return port;
}

describe('a port of ours in VNC_PORTS', () => {
  it.each<[string, string, readonly string[], readonly RegExp[]]>([
    [
      '29876, as shipped',
      'VNC_PORTS = [ START = 5900, RESERVED = "32768:65536" ]',
      [],
      [/^vnc_proxy_port: 29876 lies .*add 29876 to RESERVED of VNC_PORTS in \S+\/etc\/oned\.conf$/],
    ],
    ['one that is reserved', 'VNC_PORTS = [ START = 5900, RESERVED = "29876, 32768:65536" ]', [], []],
    ['one below START', 'VNC_PORTS = [ START = 30000 ]', [], []],
    ['both', 'VNC_PORTS = [ START = 1024 ]', [], [/^port: 2644 lies/, /^vnc_proxy_port: 29876 lies/]],
    ['no proxy', 'VNC_PORTS = [ START = 5900 ]', ['--vnc_proxy_port', 'off'], []],
    [
      'an address',
      'VNC_PORTS = [ START = 5900 ]',
      ['--vnc_proxy_port', '127.0.0.1:6000'],
      [/^vnc_proxy_port: 6000 lies/],
    ],
    ['not understood', 'VNC_PORTS = [ START = x ]', [], [/oned\.conf: VNC_PORTS is not understood/]],
  ])('%s', async (_what, onedConf, args, expected) => {
    const told = await warningsOf({ oneLocation: oneLocationWith(onedConf) }, args);
    expect(told).toEqual(expected.map((line) => expect.stringMatching(line)));
  });

  it('is not looked for where there is no oned', async () => {
    expect(await warningsOf({ oneLocation: temporaryFolder() })).toEqual([]);
  });

  it('cannot be looked for where oned.conf cannot be read', async () => {
    const oneLocation = temporaryFolder();
    mkdirSync(join(oneLocation, 'etc/oned.conf'), { recursive: true });
    expect(await warningsOf({ oneLocation })).toEqual([
      expect.stringMatching(/oned\.conf cannot be read \(EISDIR\)/),
    ]);
  });
});

describe('a neighbour that listens on all addresses', () => {
  it.each([
    ['0.0.0.0', true],
    ['::', true],
    ['127.0.0.1', false],
    ['::1', false],
  ])('at %s is seen: %s', async (host, isSeen) => {
    const port = await listenOn(host);
    expect(listenersForAll('/proc').has(port)).toBe(isSeen);
  });

  it('is named where it is oned at the port of one_xmlrpc', async () => {
    const port = await listenOn('0.0.0.0');
    const told = await warningsOf({}, ['--one_xmlrpc', `http://localhost:${port}/RPC2`]);
    expect(told).toEqual([
      expect.stringMatching(new RegExp(`^port ${port}: oned listens on all addresses.*LISTEN_ADDRESS`)),
    ]);
    const inner = await listenOn('127.0.0.1');
    expect(await warningsOf({}, ['--one_xmlrpc', `http://localhost:${inner}/RPC2`])).toEqual([]);
  });

  it('is named by its own port: oned, its gRPC, guacd', () => {
    const proc = temporaryFolder();
    mkdirSync(join(proc, 'net'));
    const line = (address: string, state = '0A') =>
      `   0: ${address} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 1 1\n`;
    const head =
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
    const ofTable = (...lines: string[]) => {
      writeFileSync(join(proc, 'net/tcp'), head + lines.join(''));
      const loaded = loadSettings({
        configFiles: ['/dev/null'],
        flags: new Map(),
        env: { ONE_LOCATION: proc },
      });
      return hostWarnings(loaded, proc).map((told) => told.replace(/ listens.*/, ''));
    };
    expect(ofTable(line('00000000:12D6'), line('00000000:0A49'), line('00000000:0A4A'))).toEqual([
      ...['port 2633: oned', 'port 2634: oned (gRPC)', 'port 4822: guacd'],
    ]);
    // Loopback, and a connection that is not listening.
    expect(ofTable(line('0100007F:12D6'), line('00000000:0A49', '01'), 'nonsense\n', '\n')).toEqual([]);
    writeFileSync(join(proc, 'net/tcp6'), head + line(`${'0'.repeat(32)}:12D6`));
    expect(ofTable()).toEqual(['port 4822: guacd']);
  });
});

describe('a key that others can read', () => {
  it.each([
    [0o600, undefined],
    [0o400, undefined],
    [0o640, /has mode 0640: its group has access to the private key \(chmod 600\)$/],
    [0o644, /has mode 0644: everybody has access to the private key \(chmod 600\)$/],
  ])('with mode %o', async (mode, told) => {
    const { server, ca } = await makePki();
    chmodSync(server.key, mode);
    const rules = `[{ via: tls, ca_file: ${ca.cert}, cert_file: ${server.cert}, key_file: ${server.key} }]`;
    const ownConfig = [
      ':vnc_proxy_support_wss: yes',
      `:vnc_proxy_cert: ${server.cert}`,
      `:vnc_proxy_key: ${server.key}`,
      `:targets: ${rules}`,
    ].join('\n');
    const expected = ['vnc_proxy_key', 'targets[0].key_file'].map((name) =>
      expect.stringMatching(new RegExp(`^${name.replace(/[[\]]/g, '\\$&')}: ${server.key} ${told?.source}`)),
    );
    expect(await warningsOf({ ownConfig })).toEqual(told === undefined ? [] : expected);
  });

  it('with the password of Redis in it, to everybody', async () => {
    const file = join(temporaryFolder(), 'own.conf');
    writeFileSync(file, ':redis_url: redis://:verysecret@127.0.0.1/\n', { mode: 0o644 });
    chmodSync(file, 0o644);
    const told = await warningsOf({}, ['--config', file]);
    expect(told.filter((line) => line.startsWith('redis_url: '))).toEqual([
      expect.stringMatching(
        /own\.conf has mode 0644: everybody has access to the password of Redis \(chmod o-rwx\)$/,
      ),
    ]);
    chmodSync(file, 0o640);
    expect((await warningsOf({}, ['--config', file])).filter((line) => line.includes('mode'))).toEqual([]);
    // Named, and not set.
    writeFileSync(file, ':redis_url:\n');
    chmodSync(file, 0o644);
    expect(await warningsOf({}, ['--config', file])).toEqual([]);
  });
});
