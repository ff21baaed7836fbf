// Random streams of a browser, cut at random, against a second parser that has the whole stream in front of it.
import { describe, expect, it } from 'vitest';
import { clipboardModes } from '../../src/clipboard.ts';
import { ClientFilter } from '../../src/rfb/client-filter.ts';
import type { FilterRules } from '../../src/rfb/client-rules.ts';
import { RfbViolation } from '../../src/rfb/client-violation.ts';
import { type Random, seededRandom } from '../support/random.ts';
import {
  extendedClipboard,
  extendedMouseButtons,
  join,
  message,
  randomSplit,
} from '../support/rfb-messages.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

const randomBytes = (random: Random, longest: number) =>
  Buffer.from(Array.from({ length: random(longest + 1) }, () => random(256)));

/** Of encodings that pass under every rule, or are cut out by a simple one. */
function randomEncodings(random: Random): number[] {
  const all = [0, 1, 16, -239, -223, -224, -258, extendedClipboard, extendedMouseButtons];
  return all.filter(() => random(2) === 0);
}

function randomMessage(random: Random): Buffer {
  const kinds: (() => Buffer)[] = [
    () => message.setEncodings(randomEncodings(random)),
    () => message.updateRequest(),
    () => message.key(random(0xffff)),
    () => message.pointer(random(256)),
    () => message.extendedPointer(random(0x200)),
    () => message.cutText(randomBytes(random, 300)),
    () => message.extendedCutText((1 << (24 + random(6))) | random(4), randomBytes(random, 9)),
    () => message.extendedCutText(random(0x40000000), randomBytes(random, 40)),
    () => message.continuousUpdates(),
    () => message.fence(randomBytes(random, 64)),
    () => message.xvp(random(256)),
    () => message.setDesktopSize(random(4)),
    () => message.qemuKey(random(0xffff)),
    () => message.qemuAudio(random(2) as 0 | 1),
    () => message.qemuAudioFormat(),
  ];
  return kinds[random(kinds.length)]?.() ?? Buffer.alloc(0);
}

/** The rules once more, in another shape: one message after the other from a buffer that has all of them. */
function reference(stream: Buffer, { viewOnly, clipboard }: FilterRules): Buffer {
  const toVm = !viewOnly && ['both', 'to_vm'].includes(clipboard);
  const fromVm = ['both', 'from_vm'].includes(clipboard);
  const hands = !viewOnly;
  const out: Buffer[] = [Buffer.of(hands ? (stream[0] ?? 0) : 1)];
  let longPointers = false;
  let rest = stream.subarray(1);
  while (rest.length > 0) {
    let [length, passes]: [number, boolean | Buffer] = [0, true];
    const type = rest[0];
    if (type === 0) length = 20;
    else if (type === 2) {
      length = 4 + 4 * rest.readUInt16BE(2);
      const offered: number[] = [];
      for (let at = 4; at < length; at += 4) {
        const encoding = rest.readInt32BE(at);
        const isCut =
          (encoding === extendedClipboard && (viewOnly || !fromVm)) ||
          (encoding === extendedMouseButtons && (viewOnly || clipboard !== 'both'));
        if (!isCut) offered.push(encoding);
      }
      longPointers = offered.includes(extendedMouseButtons);
      passes = message.setEncodings(offered);
    } else if (type === 3 || type === 150) length = 10;
    else if (type === 4) [length, passes] = [8, hands];
    else if (type === 5) [length, passes] = [longPointers && (rest[1] ?? 0) > 127 ? 7 : 6, hands];
    else if (type === 6) {
      const announced = rest.readInt32BE(4);
      length = 8 + Math.abs(announced);
      passes = toVm;
      if (announced < 0) {
        const flags = rest.readUInt32BE(8);
        const formats = flags.toString(2).padStart(32, '0').slice(16).replaceAll('0', '').length;
        const asks = [1 << 25, 1 << 26].includes(flags & 0xff000000) && length === 12;
        const tells = (flags & (1 << 24)) !== 0 && length === 12 + 4 * formats;
        passes = hands && (clipboard === 'both' || (clipboard === 'from_vm' && (asks || tells)));
      }
    } else if (type === 248) length = 9 + (rest[8] ?? 0);
    else if (type === 250) [length, passes] = [4, hands];
    else if (type === 251) [length, passes] = [8 + 16 * (rest[6] ?? 0), hands];
    else if (type === 255) {
      if (rest[1] === 0) [length, passes] = [12, hands];
      else length = rest[3] === 2 ? 10 : 4;
    }
    if (length === 0) throw new Error(`the reference knows no type ${type}`);
    if (passes === true) out.push(rest.subarray(0, length));
    else if (passes !== false) out.push(passes);
    rest = rest.subarray(length);
  }
  return Buffer.concat(out);
}

/** A long pointer only where it is one, so that the stream is one that both can read. */
function randomStream(random: Random, transparent: boolean): Buffer {
  const parts: Buffer[] = [Buffer.of(random(2)), message.setPixelFormat()];
  let longPointers = false;
  for (let count = random(40); count > 0; ) {
    const next = randomMessage(random);
    const isLong = next[0] === 5 && next.length === 7;
    if (isLong && !longPointers) continue;
    const looksLong = next[0] === 5 && next.length === 6 && (next[1] ?? 0) > 127;
    if (looksLong && longPointers) continue;
    if (next[0] === 2) longPointers = transparent && next.includes(join([0xff, 0xff, 0xfe, 0xc4]));
    parts.push(next);
    count--;
  }
  return Buffer.concat(parts);
}

describe(`random streams (SEED=${seed})`, () => {
  for (const viewOnly of [false, true]) {
    it.each(clipboardModes)(
      `are filtered as the reference does, view_only ${viewOnly}, clipboard %s`,
      (clipboard) => {
        const random = seededRandom(seed);
        const rules = { viewOnly, clipboard };
        for (let round = 0; round < 400; round++) {
          const stream = randomStream(random, !viewOnly && clipboard === 'both');
          const filter = new ClientFilter(rules);
          const pieces = randomSplit(stream, random, [1, 3, 20, 500][random(4)] ?? 1);
          const out = Buffer.concat(pieces.flatMap((piece) => filter.push(piece)));
          expect(out.equals(reference(stream, rules)), `round ${round}: ${stream.toString('hex')}`).toBe(
            true,
          );
          expect(filter.isBetweenMessages).toBe(true);
        }
      },
    );
  }

  it('of any bytes end in a reason or go on, and never in anything else', () => {
    const random = seededRandom(seed);
    let violations = 0;
    for (let round = 0; round < 2000; round++) {
      const filter = new ClientFilter({
        viewOnly: random(2) === 0,
        clipboard: clipboardModes[random(4)] ?? 'off',
      });
      const stream = join([1], message.updateRequest(), randomBytes(random, 400));
      try {
        const out = randomSplit(stream, random, 50).flatMap((piece) => filter.push(piece));
        expect(Buffer.concat(out).length).toBeLessThanOrEqual(stream.length);
      } catch (error) {
        expect(error).toBeInstanceOf(RfbViolation);
        violations++;
      }
    }
    expect(violations).toBeGreaterThan(500);
  });
});
