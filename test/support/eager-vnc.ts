// A VNC server that knows every extension of noVNC 1.7 and uses each once, so that noVNC sends all it can: no server of
// the distribution knows more than half of them. Its screen is a picture of one colour.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { deflateSync } from 'node:zlib';
import { atEnd } from './lifetime.ts';
import {
  caps,
  extendedMouseButtons,
  join,
  notify,
  peek,
  provide,
  request,
  textFormat,
  u16,
  u32,
} from './rfb-messages.ts';

const [width, height] = [64, 48];
/** Sent by ServerInit; noVNC asks for its own. */
const pixelFormat = join([32, 24, 0, 1], u16(255, 255, 255), [16, 8, 0, 0, 0, 0]);

const serverCutText = (flags: number, rest = Buffer.alloc(0)) =>
  join([3, 0, 0, 0], u32(-(4 + rest.length)), u32(flags), rest);
const rectangle = (encoding: number, ...rest: (Buffer | number[])[]) =>
  join(u16(0, 0, width, height), u32(encoding), ...rest);
const text = Buffer.from('from the VM\0');

const handshake = [Buffer.from('RFB 003.008\n'), Buffer.of(1, 1), u32(0)];
const serverInit = join(u16(width, height), pixelFormat, u32(5), Buffer.from('eager'));

const extensions = join(
  [0, 0],
  u16(5),
  rectangle(-258),
  rectangle(extendedMouseButtons),
  rectangle(-308, [1, 0, 0, 0], u32(1), u16(0, 0, width, height), u32(0)),
  rectangle(-261, [0]),
  rectangle(0, Buffer.alloc(width * height * 4, 0x80)),
  [150],
  join([248, 0, 0, 0], u32(0x80000003), [5], Buffer.from('fence')),
  [250, 0, 1, 1],
  serverCutText(caps | request | peek | notify | provide | textFormat, u32(0)),
  serverCutText(notify | textFormat),
  serverCutText(provide | textFormat, deflateSync(join(u32(text.length), text))),
);

/** Sent when the browser says that it has text: asks for it. */
const question = serverCutText(request | textFormat);
const ownNotify = join([6, 0, 0, 0], u32(-4), u32(notify | textFormat));

export async function startEagerVnc(): Promise<{ host: string; port: number }> {
  const server = createServer({ noDelay: true }, (socket) => {
    let bytes = 0;
    let [greeted, extended, asked] = [0, false, false];
    socket.on('error', () => socket.destroy());
    socket.write(handshake[0] as Buffer);
    socket.on('data', (data) => {
      bytes += data.length;
      // Version, choice of None, ClientInit: nothing of it is looked at.
      for (const [at, answer] of [
        [12, handshake[1]],
        [13, handshake[2]],
        [14, serverInit],
      ] as const) {
        if (bytes >= at && greeted < at && answer) {
          greeted = at;
          socket.write(answer);
        }
      }
      // Said to somebody who has offered to send longer pointer messages.
      if (bytes > 14 && !extended && data.includes(u32(extendedMouseButtons))) {
        extended = true;
        socket.write(extensions);
      }
      if (!asked && data.includes(ownNotify)) {
        asked = true;
        socket.write(question);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => void server.close());
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}
