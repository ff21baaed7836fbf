// From argv to a running service: signals, exit codes, and the only process.exit.
import { readFileSync } from 'node:fs';
import { isWorker, runWorker } from './cluster/worker.js';
import { type CommandLine, parseCommandLine } from './config/command-line.js';
import { effectiveText, helpText } from './config/help.js';
import {
  ConfigError,
  findControlSocket,
  type Loaded,
  loadSettings,
  processEnvironment,
} from './config/load.js';
import { StartError } from './errors.js';
import { closeInspector } from './inspector.js';
import { checkStart, serve } from './serve.js';

const EXIT = { fine: 0, failed: 1, usage: 2 } as const;

async function main(): Promise<number> {
  await closeInspector();
  if (isWorker()) return runWorker().then(() => EXIT.fine);
  const commandLine = parseCommandLine(process.argv.slice(2));
  if (commandLine.command === 'help') return print(helpText());
  if (commandLine.command === 'version') return print(version());
  if (commandLine.problems.length > 0) {
    return complain(EXIT.usage, [...commandLine.problems, 'vnctoken-server --help tells what can be said']);
  }
  try {
    return await run(commandLine);
  } catch (error) {
    if (error instanceof ConfigError) return complain(EXIT.usage, error.problems);
    if (error instanceof StartError) return complain(EXIT.failed, error.message.split('\n'));
    throw error;
  }
}

async function run(commandLine: CommandLine): Promise<number> {
  if (commandLine.command === 'demo') {
    const { runDemo } = await import('./demo/demo.js');
    return runDemo({ check: commandLine.check, print, signal: stopSignal() });
  }
  const { command } = commandLine;
  if (command === 'sessions' || command === 'tokens' || command === 'revoke') {
    const { runControlCommand } = await import('./control/client.js');
    // Whoever reads has seen enough (`| head`).
    process.stdout.on('error', () => process.exit(EXIT.fine));
    const path = findControlSocket({ ...commandLine, env: processEnvironment() });
    const remark = (line: string) => complain(EXIT.fine, [line]);
    await runControlCommand(path, { ...commandLine, command }, { print, remark });
    return EXIT.fine;
  }
  const load = (): Loaded => loadSettings({ ...commandLine, env: processEnvironment() });
  const loaded = load();
  if (commandLine.command === 'check-config') {
    for (const warning of loaded.warnings) process.stderr.write(`warning: ${warning}\n`);
    await checkStart(loaded);
    const { hostWarnings } = await import('./check-host.js');
    for (const warning of hostWarnings(loaded)) process.stderr.write(`warning: ${warning}\n`);
    print(`${effectiveText(loaded)}\n\nThe configuration is fine.`);
    for (const note of loaded.notes) print(`note: ${note}`);
    const { vm } = commandLine.selection;
    if (vm !== undefined) {
      const { checkVm } = await import('./check-vm.js');
      await checkVm(loaded, vm, processEnvironment()['ONE_AUTH'], print);
    }
    return EXIT.fine;
  }
  await serve({ loaded, load, notifySocket: processEnvironment()['NOTIFY_SOCKET'], version: version() });
  return EXIT.fine;
}

function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return EXIT.fine;
}

function complain(code: number, lines: readonly string[]): number {
  for (const line of lines) process.stderr.write(`vnctoken-server: ${line}\n`);
  return code;
}

function version(): string {
  const file = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`vnctoken-server: ${error instanceof Error ? error.stack : 'failed'}\n`);
    process.exit(EXIT.failed);
  },
);
