// Xtigervnc as the VM's console: a real X screen of 640x480 with a known colour, and on request a terminal
// which shows every key that arrives and writes it to a file.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, runWell, startChild } from './child.ts';
import { temporaryFolder } from './folder.ts';
import { freeVncPort } from './ports.ts';

export interface TigervncOptions {
  /** VncAuth with this password (8 characters count); none without. */
  password?: string;
  /** The whole screen's colour, as #rrggbb. */
  colour?: string;
  /** Opens a terminal at the top left that records keys; `keys()` then gives them. */
  keyboard?: boolean;
  port?: number;
  /** As `-SecurityTypes` takes them; without, what the password says. */
  types?: string;
  /** More of Xtigervnc's own arguments; they replace the defaults of the same name. */
  args?: readonly string[];
  /** What runs it in place of itself, from its command line. */
  wrap?: (command: readonly string[]) => readonly string[];
}

export interface Tigervnc {
  host: string;
  port: number;
  /** `:N`, for X clients. */
  display: string;
  child: Child;
  /** Everything typed into the terminal so far. */
  keys(): string;
  paint(colour: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startTigervnc(options: TigervncOptions = {}): Promise<Tigervnc> {
  const folder = temporaryFolder();
  const port = options.port ?? (await freeVncPort());
  const passwordFile = join(folder, 'passwd');
  if (options.password !== undefined) {
    const stdout = await runWell('vncpasswd', ['-f'], { input: `${options.password}\n`, encoding: 'latin1' });
    writeFileSync(passwordFile, stdout, 'latin1');
  }
  const types = options.types ?? (options.password === undefined ? 'None' : 'VncAuth');
  const { wrap = (command) => command } = options;
  const [program = '', ...args] = wrap([
    ...['Xtigervnc', '-displayfd', '3', '-interface', '127.0.0.1', '-rfbport', String(port)],
    // Without this it refuses everybody for a while after five connections that did not authenticate.
    ...['-UseBlacklist', '0', '-geometry', '640x480', '-depth', '24', '-desktop', 'test'],
    ...['-SecurityTypes', types],
    ...(options.password === undefined ? [] : ['-PasswordFile', passwordFile]),
    ...(options.args ?? []),
  ]);
  const child = await startChild(program, args, { ready: ({ fd3 }) => fd3().endsWith('\n') });
  const display = `:${child.fd3().trim()}`;
  const env = { DISPLAY: display };
  const paint = async (colour: string) => {
    await runWell('xsetroot', ['-solid', colour], { env });
  };
  if (options.colour !== undefined) await paint(options.colour);
  const keysFile = join(folder, 'keys');
  if (options.keyboard) {
    // Raw, so that every key is shown and written at once and not only lines.
    const record = ['sh', '-c', 'stty raw -echo; exec tee "$1"', 'sh', keysFile];
    await startChild('xterm', ['-geometry', '80x24+0+0', '-e', ...record], {
      env,
      ready: () => existsSync(keysFile),
    });
  }
  return {
    host: '127.0.0.1',
    port,
    display,
    child,
    keys: () => readFileSync(keysFile, 'utf8'),
    paint,
    stop: async () => {
      await child.stop();
    },
  };
}
