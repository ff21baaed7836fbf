// Looks whether the Debian packages that the tests drive are here; runs before everything else, so it needs
// nothing but Node. `--install`, as root, brings what is missing; without, it only says what to do.
// What is already here is never touched: a second run changes nothing.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';

/** Package → what the tests want of it. */
const packages = {
  'ca-certificates': 'Chromium',
  chromium: 'the browser of the end-to-end tests',
  curl: 'an XML-RPC client',
  'golang-github-kolo-xmlrpc-dev': 'an XML-RPC client',
  'golang-go': 'an XML-RPC client',
  haproxy: 'a load balancer in front of the service',
  iproute2: 'ss',
  'libfrontier-rpc-perl': 'an XML-RPC client',
  'librpc-xml-perl': 'an XML-RPC client',
  logrotate: 'the shipped logrotate file',
  nginx: 'the shipped nginx files',
  novnc: 'the noVNC that users have',
  'openssh-client': 'ssh-keygen, ssh-agent and ssh-add',
  'openssh-server': 'the sshd of a hypervisor',
  openssl: 'test certificates',
  'php-cli': 'an XML-RPC client',
  'php-xmlrpc': 'an XML-RPC client',
  procps: 'ps',
  python3: 'an XML-RPC client',
  'qemu-system-x86': 'a VNC server',
  'redis-sentinel': 'the token store of many hosts',
  'redis-server': 'the token store of many hosts',
  ruby: 'an XML-RPC client',
  'ruby-xmlrpc': 'an XML-RPC client',
  stunnel4: 'TLS before a VNC server',
  sway: 'the desktop that wayvnc shows',
  systemd: 'systemd-analyze, for the shipped units',
  'tigervnc-standalone-server': 'a VNC server',
  'tigervnc-tools': 'vncpasswd',
  wayvnc: 'a VNC server',
  websockify: 'the proxy that ours is a substitute for',
  'x11-utils': 'xev',
  'x11-xserver-utils': 'xsetroot',
  x11vnc: 'a VNC server that takes WebSockets',
  xdotool: 'X windows and pointer',
  xterm: 'an X client that takes keys',
  xvfb: 'the display that x11vnc shows',
};

const policyFile = '/usr/sbin/policy-rc.d';

process.exitCode = main(process.argv.slice(2));

function main(args) {
  const unknown = args.find((arg) => arg !== '--install');
  if (unknown !== undefined) return fail([`unknown argument ${unknown}; there is only --install`], 2);
  const missing = missingPackages();
  if (missing === undefined) {
    return fail(['no dpkg here: the tests run on Debian 12, with these packages:', ...Object.keys(packages)]);
  }
  if (missing.length === 0) return 0;
  const line = installLine(missing);
  const isRoot = process.getuid?.() === 0;
  if (args.length === 0 || !isRoot) {
    const wanted = missing.map((name) => `  ${name} (${packages[name]})`);
    const remedy = isRoot ? line : `sudo sh -c '${line}'`;
    return fail([
      'The tests need Debian packages that are missing here:',
      ...wanted,
      'Install them with',
      remedy,
    ]);
  }
  console.log(line);
  const status = withoutDaemons(() => spawnSync('sh', ['-c', line], { stdio: 'inherit' }).status ?? 1);
  if (status !== 0) return fail([`apt-get gave ${status}`]);
  const still = missingPackages();
  if (still.length > 0) return fail([`apt-get has not installed ${still.join(' ')}`]);
  if (existsSync('/run/systemd/system') && missing.includes('nginx')) {
    console.log(
      'nginx is not started, but will be at the next boot, unless you run: systemctl disable nginx',
    );
  }
  return 0;
}

/** Those of the packages that are not installed, or undefined where there is no dpkg. */
function missingPackages() {
  const names = Object.keys(packages);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: these are dpkg's own
  const format = '${Package} ${db:Status-Status}\\n';
  const query = spawnSync('dpkg-query', ['-W', '-f', format, ...names], { encoding: 'utf8' });
  if (query.error) return undefined;
  const installed = new Set(query.stdout.split('\n').filter((entry) => entry.endsWith(' installed')));
  return names.filter((name) => !installed.has(`${name} installed`));
}

function installLine(names) {
  const install = `DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${names.join(' ')}`;
  return `${keepOwnNode(names)}apt-get update && ${install}`;
}

/**
 * Debian's novnc depends on Debian's nodejs, which is older than what this project runs on. A Node of the package
 * `nodejs` (NodeSource's) satisfies that, one in /usr/local/bin or $HOME comes first in PATH; but dpkg would
 * write over a /usr/bin/node that no package owns. A diversion sends Debian's to another name.
 */
function keepOwnNode(names) {
  const node = '/usr/bin/node';
  if (!names.includes('novnc') || !existsSync(node)) return '';
  const owned = spawnSync('dpkg-query', ['-S', node], { stdio: 'ignore' }).status === 0;
  return owned ? '' : `dpkg-divert --local --no-rename --divert ${node}.debian --add ${node} && `;
}

/** Runs `install` so that no package starts its daemon, without leaving a trace of that. */
function withoutDaemons(install) {
  if (existsSync(policyFile)) return install();
  // Ctrl-C ends apt-get; we live on to remove the file.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined);
  writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return install();
  } finally {
    rmSync(policyFile, { force: true });
  }
}

function fail(lines, code = 1) {
  console.error(lines.join('\n'));
  return code;
}
