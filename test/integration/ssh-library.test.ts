// The library of the SSH way: loaded where a rule wants it and not otherwise. Seen on an installation that lacks it.
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';
import { freePort } from '../support/ports.ts';
import { mainFile, runMain, startService } from '../support/service.ts';
import { makeKey } from '../support/sshd.ts';
import { waitFor } from '../support/wait.ts';

const root = join(import.meta.dirname, '../..');
let main: string;
let ownConfig: string;

beforeAll(async () => {
  const folder = temporaryFolder();
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  mkdirSync(join(folder, 'node_modules'));
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name !== 'ssh2') symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
  main = join(folder, 'dist/main.js');
  const { file } = await makeKey();
  ownConfig = `:targets:\n  - match: a\n  - via: ssh\n    key_file: ${file}\n`;
});

const problem = 'targets[1].via: ssh cannot be loaded: ERR_MODULE_NOT_FOUND';

describe('without the library of the SSH way', () => {
  it('a configuration with a rule by ssh is refused, and one without is fine', async () => {
    const refused = await runMain(['check-config'], { main, ownConfig });
    expect([refused.code, refused.stderr.trim()]).toEqual([1, `vnctoken-server: ${problem}`]);
    expect((await runMain(['check-config'], { main })).code).toBe(0);
    expect((await runMain(['check-config'], { main: mainFile, ownConfig })).code).toBe(0);
  });

  it.each([1, 2])('a start with such a rule ends with 1 (workers: %i)', async (workers) => {
    const ports = `:port: ${await freePort()}\n:vnc_proxy_port: ${await freePort()}\n:workers: ${workers}\n`;
    const { code, stderr } = await runMain(['serve'], { main, ownConfig: `${ownConfig}${ports}` });
    expect([code, stderr.trim()]).toEqual([1, `vnctoken-server: ${problem}`]);
  });

  it.each([1, 2])(
    'a service starts, and a reload with such a rule changes nothing (workers: %i)',
    async (workers) => {
      const service = await startService({ main, flags: { workers } });
      writeFileSync(join(service.oneLocation, 'etc/vnctoken-server.conf'), ownConfig);
      service.signal('SIGHUP');
      const kept = 'the new configuration is not used; the old one stays';
      const told = await waitFor(() => service.logLines().find(({ msg }) => msg === kept), { what: kept });
      expect(told['problems']).toEqual([problem]);
      expect((await service.call('one.vm.vnctoken', ['oneadmin:x', 1]))[0]).toBe(false);
    },
  );
});
