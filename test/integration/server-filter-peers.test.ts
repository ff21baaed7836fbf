// Real VNC servers, asked by a browser that would have them read or write something else than the filter does: odd pixel
// formats, and with them the clipboard; long lists of encodings, and with them keys. Both stay in step, or the session ends.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClientFilter } from '../../src/rfb/client-filter.ts';
import type { FilterRules } from '../../src/rfb/client-rules.ts';
import { RfbViolation } from '../../src/rfb/client-violation.ts';
import { secureTarget } from '../../src/rfb/secure-target.ts';
import { ServerFilter } from '../../src/rfb/server-filter.ts';
import { atEnd } from '../support/lifetime.ts';
import { startQemu } from '../support/qemu.ts';
import { join, message, pixelFormat24, u16 } from '../support/rfb-messages.ts';
import type { Peer } from '../support/rfb-peers.ts';
import { dial } from '../support/rfb-viewer.ts';
import { startTigervnc } from '../support/tigervnc.ts';
import { canConnect, waitFor } from '../support/wait.ts';
import { startWayvnc } from '../support/wayvnc.ts';
import { startX11vnc } from '../support/x11vnc.ts';

const colour = '#336699';
const start: Record<string, () => Promise<Peer>> = {
  QEMU: () => startQemu({ args: ['-nodefaults'] }),
  Xtigervnc: () => startTigervnc({ colour }),
  x11vnc: () => startX11vnc({ colour }),
  wayvnc: () => startWayvnc({ colour }),
};

const shifts = (...bytes: number[]) => join(pixelFormat24.subarray(0, 10), bytes, [0, 0, 0]);
const formats: [what: string, format: Buffer | undefined][] = [
  ['no format of its own', undefined],
  ["noVNC's", pixelFormat24],
  ['its blue first', shifts(16, 8, 0)],
  ['16 bits', join([16, 16, 0, 1], u16(31, 63, 31), [11, 5, 0, 0, 0, 0])],
  ['8 bits', join([8, 8, 0, 1], u16(7, 7, 3), [0, 3, 6, 0, 0, 0])],
  ['a colour map of 8 bits', join([8, 8, 0, 0], pixelFormat24.subarray(4))],
  ['a colour map of 16 bits', join([16, 8, 0, 0], pixelFormat24.subarray(4))],
  ['a colour map of 32 bits', join([32, 24, 0, 0], pixelFormat24.subarray(4))],
  ['24 bits', join([24, 24, 0, 1], pixelFormat24.subarray(4))],
  ['64 bits', join([64, 24, 0, 1], pixelFormat24.subarray(4))],
  ['colours across bytes', shifts(4, 12, 20)],
  ['colours in the upper bytes', shifts(24, 16, 8)],
  ['a depth of 32', join([32, 32], pixelFormat24.subarray(2))],
  ['ten bits a colour', join([32, 30, 0, 1], u16(1023, 1023, 1023), [20, 10, 0, 0, 0, 0])],
];
const encodings: [what: string, numbers: number[]][] = [
  ['Raw', [0]],
  ['Tight', [7, -26, -239]],
  ['ZRLE', [16, -239]],
];

interface Outcome {
  violation: RfbViolation | undefined;
  endedBy: string | undefined;
  inStep: boolean;
}

async function watch(
  peer: Peer,
  format: Buffer | undefined,
  asked: number[],
  rules: FilterRules = { viewOnly: false, clipboard: 'off' },
): Promise<Outcome> {
  const options = { host: peer.host, credentials: { password: '' }, require: [] };
  const { connection } = await secureTarget(await dial(peer), options, new AbortController().signal);
  atEnd(() => connection.destroy());
  const server = new ServerFilter();
  const client = new ClientFilter({
    ...rules,
    pixelFormatSet: (set) => server.setPixelFormat(set),
    announcedFormat: () => server.announcedFormat,
  });
  let [bytes, seenAt] = [0, 0];
  let violation: RfbViolation | undefined;
  let endedBy: string | undefined;
  connection.start({
    data: (memory, from, to) => {
      bytes += to - from;
      try {
        if (violation === undefined) server.keep(memory, from, to);
      } catch (error) {
        if (!(error instanceof RfbViolation)) throw error;
        violation = error;
      }
      return true;
    },
    drain: () => undefined,
    ended: (why) => {
      endedBy = why;
    },
  });
  const say = (bytes: Buffer) => {
    for (const piece of client.push(bytes)) connection.write(piece);
  };
  say(Buffer.of(1));
  const hasBegun = () => server.announcedFormat !== undefined && server.isBetweenMessages;
  await waitFor(hasBegun, { what: 'ServerInit' });
  seenAt = bytes;
  if (format !== undefined) say(join([0, 0, 0, 0], format));
  say(join(message.setEncodings(asked), [3, 0, 0, 0, 0, 0, 0, 64, 0, 64]));
  const over = () => violation !== undefined || endedBy !== undefined;
  // A picture, and then nothing for a while: out of step, the filter waits for more than ever comes.
  let [last, quiet] = [-1, 0];
  await waitFor(
    () => {
      quiet = bytes === last ? quiet + 1 : 0;
      last = bytes;
      return over() || (bytes > seenAt && server.isBetweenMessages && quiet >= 8);
    },
    { what: 'a picture, and the filter between two messages' },
  );
  connection.destroy();
  return { violation, endedBy, inStep: server.isBetweenMessages };
}

describe.each(Object.entries(start))('%s', (_name, startPeer) => {
  let peer: Peer;
  beforeAll(async () => {
    peer = await startPeer();
  });

  it.each(
    formats.flatMap(([what, format]) => encodings.map(([how, asked]) => ({ what, how, format, asked }))),
  )('with $what in $how does not get the filter out of step', async ({ format, asked }) => {
    // wayvnc 0.5 does not survive every format.
    if (!(await canConnect(peer.port))) peer = await startPeer();
    const { violation, endedBy, inStep } = await watch(peer, format, asked);
    if (violation !== undefined) expect(violation.message).toMatch(/^a picture in a /);
    else if (endedBy === undefined) expect(inStep).toBe(true);
  });

  it('takes nothing in a long list of encodings for a message', async () => {
    if (!(await canConnect(peer.port))) peer = await startPeer();
    // Of no type that a server knows: it would leave.
    const { violation, endedBy } = await watch(peer, pixelFormat24, [0, ...Array(200).fill(0x63636363)], {
      viewOnly: true,
      clipboard: 'both',
    });
    expect([violation, endedBy]).toEqual([undefined, undefined]);
  });
});
