// x11vnc on a screen of Xvfb: libvncserver's side of RFB, which takes WebSockets on its VNC port as well.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, runWell, startChild } from './child.ts';
import { temporaryFolder } from './folder.ts';
import { freeVncPort } from './ports.ts';

export interface X11vnc {
  host: string;
  port: number;
  /** What it has written: each client, and why it was refused. */
  log(): string;
  child: Child;
}

export interface X11vncOptions {
  /** VncAuth with this password (8 characters count); none without. */
  password?: string;
  /** The whole screen's colour, as #rrggbb. */
  colour?: string;
  /** More of its own arguments. */
  args?: readonly string[];
}

/** A screen of 640x480 in 24 bits. */
export async function startX11vnc({ password, colour, args = [] }: X11vncOptions = {}): Promise<X11vnc> {
  const xvfb = await startChild(
    'Xvfb',
    ['-displayfd', '3', '-screen', '0', '640x480x24', '-nolisten', 'tcp', '-noreset'],
    {
      ready: ({ fd3 }) => fd3().endsWith('\n'),
    },
  );
  const display = `:${xvfb.fd3().trim()}`;
  if (colour !== undefined) await runWell('xsetroot', ['-solid', colour], { env: { DISPLAY: display } });
  const port = await freeVncPort();
  const passwordFile = join(temporaryFolder(), 'passwd');
  if (password !== undefined) writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  const child = await startChild(
    'x11vnc',
    [
      ...[
        '-display',
        display,
        '-rfbport',
        String(port),
        '-listen',
        '127.0.0.1',
        '-rfbportv6',
        String(port),
        '-listenv6',
        '::1',
      ],
      ...['-forever', '-shared', '-noxdamage', '-nopw', '-norc', '-noxrecord', '-noshm'],
      ...(password === undefined ? [] : ['-passwdfile', passwordFile]),
      ...args,
    ],
    { ready: ({ stdout }) => stdout().includes(`PORT=${port}`) },
  );
  return { host: '127.0.0.1', port, log: () => `${child.stdout()}${child.stderr()}`, child };
}
