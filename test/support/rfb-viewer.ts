// What a browser does right after the security handshake, over a connection to a target: asks for the screen and
// reads the first picture. Nothing of the service's own RFB code is used.
import { connectTcp } from '../../src/transport/tcp.ts';
import type { TargetConnection } from '../../src/transport/transport.ts';
import { atEnd } from './lifetime.ts';
import { waitFor } from './wait.ts';

export interface Listener {
  connection: TargetConnection;
  /** Everything that has come. */
  received(): Buffer;
  drains(): number;
  /** How the target ended the connection, once it has. */
  endedBy(): string | undefined;
  /** Takes the next bytes out of what has come. */
  take(count: number): Promise<Buffer>;
}

/** Opens a plain connection, which is gone when the test ends. */
export async function dial(target: { host: string; port: number }): Promise<TargetConnection> {
  const connection = await connectTcp(target, new AbortController().signal);
  atEnd(() => connection.destroy());
  return connection;
}

/** Starts a connection and keeps what it brings. */
export function listen(connection: TargetConnection): Listener {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let taken = 0;
  let drains = 0;
  let endedBy: string | undefined;
  connection.start({
    data: (memory, start, end) => {
      chunks.push(Buffer.from(memory.subarray(start, end)));
      bytes += end - start;
      return true;
    },
    drain: () => {
      drains++;
    },
    ended: (why) => {
      endedBy = why;
    },
  });
  const received = () => Buffer.concat(chunks);
  return {
    connection,
    received,
    drains: () => drains,
    endedBy: () => endedBy,
    take: async (count) => {
      await waitFor(() => bytes >= taken + count || endedBy !== undefined, { what: `${count} bytes` });
      if (bytes < taken + count) throw new Error(`${endedBy} after ${bytes} bytes`);
      taken += count;
      return received().subarray(taken - count, taken);
    },
  };
}

export interface Screen {
  width: number;
  height: number;
  name: string;
  /** The colour at the bottom right, as #rrggbb. */
  corner: string;
}

/** ClientInit, ServerInit, and the whole screen in 32 bits a pixel (RFC 6143 section 7.3 to 7.7.1). */
export async function viewScreen(connection: TargetConnection): Promise<Screen> {
  const viewer = listen(connection);
  connection.write(Buffer.from([1]));
  const init = await viewer.take(24);
  const width = init.readUInt16BE(0);
  const height = init.readUInt16BE(2);
  const name = (await viewer.take(init.readUInt32BE(20))).toString();
  const size = Buffer.alloc(4);
  init.copy(size, 0, 0, 4);
  connection.write(
    Buffer.concat([
      Buffer.from([0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]),
      Buffer.from([2, 0, 0, 1, 0, 0, 0, 0]),
      Buffer.from([3, 0, 0, 0, 0, 0]),
      size,
    ]),
  );
  const pixels = new Map<string, string>();
  const last = `${width - 1},${height - 1}`;
  while (!pixels.has(last)) await readUpdate(viewer, { width, height }, pixels);
  return { width, height, name, corner: pixels.get(last) ?? '' };
}

/** One FramebufferUpdate in raw encoding; of every rectangle its last pixel is noted. */
async function readUpdate(
  viewer: Listener,
  screen: { width: number; height: number },
  pixels: Map<string, string>,
): Promise<void> {
  const type = (await viewer.take(1)).readUInt8();
  if (type !== 0) throw new Error(`message ${type} in the place of a picture`);
  const rectangles = (await viewer.take(3)).readUInt16BE(1);
  for (let index = 0; index < rectangles; index++) {
    const head = await viewer.take(12);
    const [x, y, width, height] = [0, 2, 4, 6].map((at) => head.readUInt16BE(at)) as [
      number,
      number,
      number,
      number,
    ];
    if (head.readInt32BE(8) !== 0 || x + width > screen.width || y + height > screen.height) {
      throw new Error('a rectangle that was not asked for');
    }
    const raw = await viewer.take(width * height * 4);
    if (raw.length === 0) continue;
    const rgb = raw.readUInt32LE(raw.length - 4) & 0xffffff;
    pixels.set(`${x + width - 1},${y + height - 1}`, `#${rgb.toString(16).padStart(6, '0')}`);
  }
}
