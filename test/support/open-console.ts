// A VNC server without security that keeps what it is told, and the browser's half of RFB up to the first message.
import type { Behaviour } from './vnc-target.ts';
import { frame, type RawWebSocket } from './ws-client.ts';

const VERSION = 'RFB 003.008\n';
const NONE = 1;
/** 16 × 16 pixels of 32 bits, and a name of one letter. */
const SERVER_INIT = Buffer.from([
  ...[0, 16, 0, 16, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0],
  ...[0, 0, 0, 1, 0x78],
]);
/** Version, security type, ClientInit. */
export const HANDSHAKE_BYTES = VERSION.length + 2;

/** RFB 3.8 with security type None; everything after ClientInit is read and kept. */
export const noSecurity: Behaviour = (socket) => {
  let length = 0;
  socket.write(VERSION);
  socket.on('data', (bytes: Buffer) => {
    const before = length;
    length += bytes.length;
    const passes = (at: number) => before < at && length >= at;
    if (passes(VERSION.length)) socket.write(Buffer.from([1, NONE]));
    if (passes(VERSION.length + 1)) socket.write(Buffer.from([0, 0, 0, 0]));
    if (passes(HANDSHAKE_BYTES)) socket.write(SERVER_INIT);
  });
  socket.resume();
};

/** Goes through the handshake as noVNC does, one step after the other. */
export async function enterRfb(browser: RawWebSocket): Promise<void> {
  const serverBytes = [VERSION.length, 2, 4, SERVER_INIT.length];
  const clientBytes = [Buffer.from(VERSION), Buffer.from([NONE]), Buffer.from([1])];
  let seen = 0;
  for (const [step, bytes] of serverBytes.entries()) {
    seen += bytes;
    await browser.waitForData(seen);
    const answer = clientBytes[step];
    if (answer !== undefined) browser.send(frame({ payload: answer }));
  }
}
