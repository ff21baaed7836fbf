// @ts-check
// A real sshd, as on a hypervisor, for the user who runs the benchmark. Its CPU time is nobody's.
// What always holds: it listens on loopback; its keys are made for it, and gone with the run's folder; what it serves
// ends with the connection.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { findCommand, startProcess } from '../child-process.mjs';
import { freePort } from '../ports.mjs';
import { canConnect, waitFor } from '../wait.mjs';

/** Where sshd forgoes its rights before anybody has logged in. */
const emptyFolder = '/run/sshd';

/**
 * @param {{ core: number | undefined, folder: string, command: string }} options
 * @returns {Promise<{ rule: object, stop: () => Promise<void> }>} members of a rule for it
 */
export async function startSshd({ core, folder, command }) {
  // As Debian's own unit does.
  if (process.getuid?.() === 0) mkdirSync(emptyFolder, { recursive: true, mode: 0o755 });
  const port = await freePort();
  const own = mkdtempSync(join(folder, 'sshd-'));
  const [hostKey, userKey] = [makeKey(own, 'host'), makeKey(own, 'user')];
  const files = {
    config: join(own, 'sshd_config'),
    authorized: join(own, 'authorized_keys'),
    knownHosts: join(own, 'known_hosts'),
  };
  writeFileSync(files.authorized, `${userKey.publicKey}\n`);
  writeFileSync(files.knownHosts, `[127.0.0.1]:${port} ${hostKey.publicKey}\n`);
  const lines = [
    ...['ListenAddress 127.0.0.1', `Port ${port}`, `HostKey ${hostKey.file}`, 'PidFile none'],
    ...[`AuthorizedKeysFile ${files.authorized}`, 'StrictModes no', 'UsePAM no', 'UseDNS no'],
    ...['PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'PermitRootLogin prohibit-password'],
    ...['AllowTcpForwarding local', 'MaxStartups 200', 'MaxSessions 1000', 'LogLevel ERROR', ''],
  ];
  writeFileSync(files.config, lines.join('\n'));
  const { stop } = startProcess(command, ['-D', '-e', '-f', files.config], { core, folder });
  await waitFor('sshd', () => canConnect(port));
  const user = userInfo().username;
  return { rule: { user, port, key_file: userKey.file, known_hosts: files.knownHosts }, stop };
}

/**
 * @param {string} folder
 * @param {string} name
 */
function makeKey(folder, name) {
  const file = join(folder, name);
  const args = ['-q', '-t', 'ed25519', '-N', '', '-C', 'bench', '-f', file];
  execFileSync(findCommand('ssh-keygen') ?? 'ssh-keygen', args, { stdio: 'pipe' });
  return { file, publicKey: readFileSync(`${file}.pub`, 'utf8').split(' ').slice(0, 2).join(' ') };
}
