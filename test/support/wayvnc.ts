// wayvnc on a desktop of sway that nobody sees: what VeNCrypt is to a server that knows no VNC password, only X509 with
// a user name.
import { chmodSync, chownSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pki } from './certificates.ts';
import { type Child, startChild } from './child.ts';
import { temporaryFolder } from './folder.ts';
import { freeVncPort } from './ports.ts';
import { canConnect, waitFor } from './wait.ts';

export interface Wayvnc {
  host: string;
  port: number;
  child: Child;
}

export interface WayvncOptions {
  /** Its screen's colour, as #rrggbb. */
  colour: string;
  /** Whom it lets in; without, it asks for nothing. */
  login?: { user: string; password: string; pki: Pki };
}

/** sway does not run as root. */
const NOBODY = 65_534;

/** A screen of 640x480. */
export async function startWayvnc({ colour, login }: WayvncOptions): Promise<Wayvnc> {
  const folder = temporaryFolder();
  const desktop = join(folder, 'sway.conf');
  writeFileSync(
    desktop,
    `output HEADLESS-1 mode 640x480\noutput * bg ${colour} solid_color\nxwayland disable\n`,
  );
  const isRoot = process.getuid?.() === 0;
  if (isRoot) for (const path of [folder, desktop]) chownSync(path, NOBODY, NOBODY);
  chmodSync(folder, 0o700);
  const env = {
    HOME: folder,
    XDG_RUNTIME_DIR: folder,
    WLR_BACKENDS: 'headless',
    WLR_LIBINPUT_NO_DEVICES: '1',
    WLR_RENDERER: 'pixman',
  };
  const ids = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', '--pdeathsig', 'TERM'];
  const [program = '', ...args] = [...(isRoot ? ['setpriv', ...ids, '--'] : []), 'sway', '-c', desktop];
  const display = () => readdirSync(folder).find((name) => /^wayland-\d+$/.test(name));
  await startChild(program, args, { env, ready: display });
  const port = await freeVncPort();
  const config = join(folder, 'wayvnc.conf');
  const lines = [
    'address=127.0.0.1',
    `port=${port}`,
    ...(login === undefined
      ? []
      : [
          ...['enable_auth=true', `username=${login.user}`, `password=${login.password}`],
          ...[`private_key_file=${login.pki.server.key}`, `certificate_file=${login.pki.server.cert}`],
        ]),
  ];
  writeFileSync(config, `${lines.join('\n')}\n`, { mode: 0o600 });
  const child = await startChild('wayvnc', ['-C', config], {
    env: { ...env, WAYLAND_DISPLAY: await waitFor(display, { what: "sway's display" }) },
    ready: () => canConnect(port),
  });
  return { host: '127.0.0.1', port, child };
}
