// Child processes of tests: spawned without a shell, so that the pid is the program's own, and each the leader
// of its own process group. None survives its test, nor, whatever happens, the process that started it.
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { atEnd } from './lifetime.ts';
import { waitFor, within } from './wait.ts';

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface Child {
  pid: number;
  /** What it wrote so far; of very much, the last part. */
  stdout(): string;
  stderr(): string;
  /** What it wrote to file descriptor 3. */
  fd3(): string;
  /** Settles when it has ended and all of its output has been read. */
  exited: Promise<Exit>;
  /** How it ended, once it has. */
  exit(): Exit | undefined;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and after a while SIGKILL; gives the way it ended. Harmless when it has ended before. */
  stop(): Promise<Exit>;
}

export interface ChildOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Polled until it gives something truthy. An end before that is an error. */
  ready?: (child: Child) => unknown;
  readyWithinMs?: number;
  /** How long SIGTERM may take before SIGKILL follows. */
  stopWithinMs?: number;
}

const maxCapturedChars = 16 * 1024 * 1024;
const running = new Set<number>();

process.on('exit', () => {
  for (const pid of running) killGroup(pid);
});
// The test runner was killed: its worker would go on for ever.
process.once('disconnect', () => process.exit(1));

/** Starts a program and waits until it is ready. */
export async function startChild(
  command: string,
  args: readonly string[],
  options: ChildOptions = {},
): Promise<Child> {
  const child = spawnChild(command, args, options);
  atEnd(async () => {
    await child.stop();
  });
  const { ready } = options;
  if (!ready) return child;
  try {
    await waitFor(
      async () => {
        if (child.exit()) return true;
        return ready(child);
      },
      { what: `${command} to be ready`, deadlineMs: options.readyWithinMs ?? 15_000 },
    );
    if (child.exit())
      throw new Error(`${command} ended before it was ready: ${JSON.stringify(child.exit())}`);
  } catch (error) {
    await child.stop();
    throw new Error(`${String(error)}\n${child.stdout().slice(-2000)}\n${child.stderr().slice(-4000)}`);
  }
  return child;
}

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Standard input; empty without. */
  input?: string | Buffer;
  /** Of what it writes; `latin1` keeps bytes as they are. */
  encoding?: 'utf8' | 'latin1';
  deadlineMs?: number;
}

/** Runs a program to its end. An exit code is a result, not an error. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Exit & { stdout: string; stderr: string }> {
  const child = spawnChild(command, args, options);
  try {
    const what = `${command} ${args.join(' ').slice(0, 200)} to end`;
    const exit = await within(child.exited, { what, deadlineMs: options.deadlineMs ?? 30_000 });
    return { ...exit, stdout: child.stdout(), stderr: child.stderr() };
  } finally {
    killGroup(child.pid);
  }
}

/** As `run`, for steps that a test only prepares with: any other exit code than 0 is an error. */
export async function runWell(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} gave ${code}: ${stderr}`);
  return stdout;
}

function spawnChild(
  command: string,
  args: readonly string[],
  options: RunOptions & { stopWithinMs?: number },
): Child {
  // setpriv becomes the program (same pid), which then gets SIGTERM should this process be killed outright.
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', command, ...args], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    env: { ...plainEnvironment(), ...options.env },
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot run setpriv for ${command}`);
  running.add(pid);
  // A program that does not read its input, or has ended, is no error of ours.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input ?? '');
  const stdout = capture(child.stdout, options.encoding);
  const stderr = capture(child.stderr);
  const fd3 = capture(child.stdio[3] as Readable | null);
  let exit: Exit | undefined;
  const exited = endOf(child).then((end) => {
    exit = end;
    running.delete(pid);
    // Whatever it left behind in its group (nginx's workers after a SIGKILL) goes as well.
    killGroup(pid);
    return end;
  });
  const signal = (name: NodeJS.Signals) => {
    if (!exit) child.kill(name);
  };
  const stop = async () => {
    signal('SIGTERM');
    const timer = setTimeout(() => signal('SIGKILL'), options.stopWithinMs ?? 5000);
    try {
      return await exited;
    } finally {
      clearTimeout(timer);
    }
  };
  return { pid, stdout, stderr, fd3, exited, exit: () => exit, signal, stop };
}

/** 'exit' and not 'close': a grandchild may hold the pipes open for ever. What was written is read until then. */
function endOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once('error', () => resolve({ code: null, signal: null }));
    child.once('exit', (code, signal) => {
      const done = () => resolve({ code, signal });
      const patience = setTimeout(done, 500);
      child.once('close', () => {
        clearTimeout(patience);
        done();
      });
    });
  });
}

/** Our own environment without what the test runner put there, so that a program runs as from a shell. */
function plainEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(
    ([key]) => !/^(VITEST|NODE_|VITE|ONE_|VNCTOKEN_)/.test(key),
  );
  return Object.fromEntries(entries.map(([key, value]) => [key, value ?? '']));
}

function capture(stream: Readable | null, encoding: 'utf8' | 'latin1' = 'utf8'): () => string {
  let text = '';
  stream?.setEncoding(encoding);
  stream?.on('error', () => undefined);
  stream?.on('data', (chunk: string) => {
    text += chunk;
    if (text.length > maxCapturedChars) text = text.slice(-maxCapturedChars / 2);
  });
  return () => text;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody left in it.
  }
}
