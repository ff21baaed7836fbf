// @ts-check
// The machine that a run is made on: which cores are for what, how many sessions it can hold, and what is installed.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { findCommand } from './child-process.mjs';

/** Undefined where a process may run anywhere. @typedef {{ proxy?: number, generator?: number, target?: number }} Cores */

/**
 * @typedef {object} Machine
 * @property {Cores} cores
 * @property {number} maxSessions that a relay can hold with the file descriptors it may have
 */

/** @returns {Machine} */
export function inspectMachine() {
  const status = readFileSync('/proc/self/status', 'latin1');
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '0';
  const cores = findCommand('taskset') === undefined ? {} : assignCores(parseCores(allowed));
  const limit = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  const descriptors = limit === 'unlimited' ? 65_536 : Math.min(Number(limit), 65_536);
  // Two for each session, and some for everything else.
  return { cores, maxSessions: Math.floor((descriptors - 200) / 2) };
}

/**
 * @param {string} list as the kernel writes it, `0-3,8`
 * @returns {number[]}
 */
export function parseCores(list) {
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_none, index) => first + index);
  });
}

/**
 * @param {readonly number[]} cores
 * @returns {Cores}
 */
export function assignCores([proxy, generator, target = generator]) {
  if (proxy === undefined || generator === undefined || target === undefined) return {};
  return { proxy, generator, target };
}

/**
 * @param {Machine} machine
 * @returns {[name: string, value: string][]}
 */
export function describeMachine({ cores }) {
  const processors = cpus();
  const { version } = readJson('../package.json');
  const where =
    cores.proxy === undefined
      ? 'not pinned'
      : `relays on core ${cores.proxy}, browsers on ${cores.generator}, targets on ${cores.target}`;
  return [
    ['processor', `${processors[0]?.model.trim()}, ${processors.length} cores; ${where}`],
    ['memory', `${Math.round(totalmem() / 2 ** 30)} GiB`],
    ['kernel', `Linux ${release()}`],
    ['this proxy', `${version}, Node.js ${process.version}`],
    ['plain `ws`', `ws ${readJson('../node_modules/ws/package.json').version}`],
    ['websockify', websockifyVersion()],
    ['HAProxy', firstLine('haproxy', ['-v']).replace(/^HAProxy version (\S+).*/, '$1')],
    ['OpenSSH', firstLine('ssh', ['-V']).replace(/^OpenSSH_(\S+?),? .*/, '$1')],
  ];
}

function websockifyVersion() {
  if (findCommand('websockify') === undefined) return 'not installed';
  const script =
    'import importlib.metadata as m, importlib.util as u, platform as p; ' +
    'print(m.version("websockify") + ", Python " + p.python_version() + (", with" if u.find_spec("numpy") else ", without") + " numpy")';
  return firstLine('/usr/bin/python3', ['-c', script]);
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 */
function firstLine(command, args) {
  const { stdout, stderr } = spawnSync(findCommand(command) ?? command, args, { encoding: 'utf8' });
  return (stdout || stderr || '').split('\n')[0] || 'not installed';
}

/**
 * @param {string} path from this folder
 * @returns {{ version: string }}
 */
function readJson(path) {
  return JSON.parse(readFileSync(join(import.meta.dirname, path), 'utf8'));
}
