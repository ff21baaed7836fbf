// @ts-check
// Everything that the benchmark starts: on its core, with enough file descriptors, its output in a file.
// What always holds: all of it is ended by its process id, also when this process fails, is interrupted or killed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { within } from './wait.mjs';

/**
 * @typedef {object} ProcessOptions
 * @property {number | undefined} core where it and its children run; undefined: anywhere
 * @property {string} folder for its output
 * @property {Record<string, string>} [env]
 * @property {boolean} [ipc] a channel for messages
 */

/**
 * @typedef {object} Started
 * @property {number} pid
 * @property {import('node:child_process').ChildProcess} child
 * @property {() => string} output the end of what it wrote
 * @property {() => Promise<void>} stop SIGTERM, and SIGKILL where that does not help
 */

/** `ulimit` is the shell's own; the limit is cut because some programs prepare for every descriptor they may have. */
const raiseLimit =
  'h=$(ulimit -Hn); { [ "$h" = unlimited ] || [ "$h" -gt 65536 ]; } && h=65536; ulimit -Sn "$h"; exec "$@"';
const stopTimeoutMs = 12_000;
/** @type {Set<Started>} */
const running = new Set();
let count = 0;

process.once('exit', () => {
  for (const { pid } of running) kill(pid, 'SIGKILL');
});

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {ProcessOptions} options
 * @returns {Started}
 */
export function startProcess(command, args, { core, folder, env = {}, ipc = false }) {
  const file = join(folder, `${++count}-${basename(command)}.log`);
  const output = openSync(file, 'w');
  const setpriv = findCommand('setpriv') ? ['setpriv', '--pdeathsig', 'TERM', '--'] : [];
  const taskset = core === undefined ? [] : ['taskset', '-c', String(core)];
  // Each becomes the next, so the process id is that of the command.
  const child = spawn('sh', ['-c', raiseLimit, 'sh', ...setpriv, ...taskset, command, ...args], {
    stdio: ['ignore', output, output, ...(ipc ? [/** @type {const} */ ('ipc')] : [])],
    env: { ...process.env, ...env },
    // A group of its own, so that what it leaves behind can be ended with it.
    detached: true,
  });
  closeSync(output);
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot run ${command}`);
  const exited = once(child, 'exit').then(() => {
    running.delete(started);
    kill(pid, 'SIGKILL');
  });
  /** @type {Started} */
  const started = {
    pid,
    child,
    output: () => readFileSync(file, 'utf8').slice(-2000),
    stop: async () => {
      if (!running.has(started)) return;
      child.kill('SIGTERM');
      await within(stopTimeoutMs, `${command} to end`, exited).catch(() => kill(pid, 'SIGKILL'));
      await exited;
    },
  };
  running.add(started);
  return started;
}

export async function stopAll() {
  await Promise.all([...running].map(({ stop }) => stop()));
}

/**
 * Signals a process and its group; nothing happens where nobody is left.
 * @param {number} pid
 * @param {NodeJS.Signals} signal
 */
export function kill(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody left.
  }
}

/**
 * @param {string} name
 * @returns {string | undefined} its path
 */
export function findCommand(name) {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
