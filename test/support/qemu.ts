// QEMU's own VNC server, without a machine: its screen is QEMU's monitor, where `screendump FILE` typed by a
// client writes the very pixels that this client should see.
import { existsSync, readFileSync } from 'node:fs';
import { type Child, startChild } from './child.ts';
import { freeVncPort } from './ports.ts';
import { canConnect } from './wait.ts';

export interface QemuOptions {
  /** VncAuth with this password (8 characters count); none without. */
  password?: string;
  port?: number;
  /** More after `-vnc 127.0.0.1:N`, with a leading comma, and more of QEMU's own arguments. */
  vnc?: string;
  args?: readonly string[];
}

export interface Qemu {
  host: string;
  port: number;
  child: Child;
  stop(): Promise<void>;
}

export async function startQemu(options: QemuOptions = {}): Promise<Qemu> {
  const port = options.port ?? (await freeVncPort());
  const { password } = options;
  const secret = password === undefined ? [] : ['-object', `secret,id=pw,data=${password}`];
  const display = `127.0.0.1:${port - 5900}${password === undefined ? '' : ',password-secret=pw'}${options.vnc ?? ''}`;
  const child = await startChild(
    'qemu-system-x86_64',
    ['-machine', 'none', ...secret, '-vnc', display, ...(options.args ?? [])],
    { ready: () => canConnect(port) },
  );
  return {
    host: '127.0.0.1',
    port,
    child,
    stop: async () => {
      await child.stop();
    },
  };
}

export interface Picture {
  width: number;
  height: number;
  /** Three bytes a pixel. */
  rgb: Buffer;
}

/** Reads a screendump (binary PPM), or undefined while it is not complete. */
export function readScreendump(path: string): Picture | undefined {
  if (!existsSync(path)) return undefined;
  const bytes = readFileSync(path);
  const header = /^P6\n(\d+) (\d+)\n255\n/.exec(bytes.subarray(0, 64).toString('latin1'));
  if (!header) return undefined;
  const [width, height] = [Number(header[1]), Number(header[2])];
  const rgb = bytes.subarray(header[0].length);
  return rgb.length === width * height * 3 ? { width, height, rgb } : undefined;
}
