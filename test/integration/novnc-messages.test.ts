// What noVNC 1.7 really sent to TigerVNC 1.12, to QEMU 7.2 and to a server of every extension (recorded by
// novnc-messages-live.test.ts): the filter understands every byte of it, and counts what noVNC counted itself.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { clipboardModes } from '../../src/clipboard.ts';
import { ClientFilter } from '../../src/rfb/client-filter.ts';
import { type Counts, countMessages } from '../support/novnc-messages.ts';
import { seededRandom } from '../support/random.ts';
import { randomSplit } from '../support/rfb-messages.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

function recording(name: string): { calls: Counts; sent: Buffer } {
  const file = readFileSync(new URL(`../data/novnc-1.7-${name}.json`, import.meta.url), 'utf8');
  const { calls, sent } = JSON.parse(file) as { calls: Counts; sent: string };
  return { calls, sent: gunzipSync(Buffer.from(sent, 'base64')) };
}

const recordings = ['tigervnc', 'qemu', 'all-extensions'] as const;

/** Each kind of message is in some recording. */
const expectedNames: Record<(typeof recordings)[number], string[]> = {
  tigervnc: ['keyEvent', 'QEMUExtendedKeyEvent', 'pointerEvent', 'setDesktopSize', 'enableContinuousUpdates'],
  qemu: ['QEMUExtendedKeyEvent', 'pointerEvent', 'extendedClipboardProvide', 'extendedClipboardRequest'],
  'all-extensions': [
    'extendedPointerEvent',
    'xvpOp',
    'setDesktopSize',
    'clientFence',
    'extendedClipboardCaps',
  ],
};

describe.each(recordings)('noVNC 1.7 and %s', (name) => {
  const { calls, sent } = recording(name);

  test('every byte belongs to a message, and there are as many as noVNC wrote', () => {
    expect(countMessages(sent)).toEqual(calls);
    expect(Object.keys(calls)).toEqual(expect.arrayContaining(expectedNames[name]));
  });

  test(`all of it goes on where nothing is kept back, cut at random (SEED=${seed})`, () => {
    const random = seededRandom(seed);
    for (let round = 0; round < 50; round++) {
      const filter = new ClientFilter({ viewOnly: false, clipboard: 'both' });
      const out = randomSplit(sent, random, 1 + random(200)).flatMap((piece) => filter.push(piece));
      expect(Buffer.concat(out).equals(sent)).toBe(true);
      expect(filter.isBetweenMessages).toBe(true);
    }
  });

  test.each(clipboardModes)('a viewer gives nothing but what a picture needs, clipboard %s', (clipboard) => {
    const filter = new ClientFilter({ viewOnly: true, clipboard });
    const passed = countMessages(Buffer.concat(filter.push(sent)));
    expect(filter.isBetweenMessages).toBe(true);
    const { pixelFormat, clientEncodings, fbUpdateRequest, clientFence, enableContinuousUpdates } = calls;
    const needed = { pixelFormat, clientEncodings, fbUpdateRequest, clientFence, enableContinuousUpdates };
    const present = Object.entries(needed).filter(([, times]) => times !== undefined);
    expect(passed).toEqual(Object.fromEntries(present));
  });

  test.each(clipboardModes)(
    `who may act keeps all buttons of the mouse, clipboard %s (SEED=${seed})`,
    (clipboard) => {
      const random = seededRandom(seed);
      const filter = new ClientFilter({ viewOnly: false, clipboard });
      const out: Buffer[] = [];
      for (const piece of randomSplit(sent, random, 100)) {
        out.push(...filter.push(piece));
        // As a server says that has been offered it; noVNC sends none before it has read that.
        filter.longPointersConfirmed();
      }
      const passed = countMessages(Buffer.concat(out));
      const clipboards = /[cC]lipboard|[cC]utText/;
      const others = (counts: Counts) => Object.entries(counts).filter(([kind]) => !clipboards.test(kind));
      expect(Object.fromEntries(others(passed))).toEqual(Object.fromEntries(others(calls)));
      expect(filter.isBetweenMessages).toBe(true);
    },
  );
});
