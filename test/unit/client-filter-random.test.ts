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

/** What came before the server said that it reads longer pointers, and what came behind that. */
interface Stream {
  readonly before: Buffer;
  readonly behind: Buffer;
}

/** Offers of longer pointers so far: who has to hear from the server first holds all that were ever made against them. */
interface Offers {
  ever: boolean;
  now: boolean;
  takenBack: boolean;
  confirmed: boolean;
}

const noOffers = (): Offers => ({ ever: false, now: false, takenBack: false, confirmed: false });

function takeEncodings(offers: Offers, named: boolean): void {
  offers.takenBack ||= offers.ever && !named;
  offers.ever ||= named;
  offers.now = named;
}

const needsNoWord = ({ viewOnly, clipboard }: FilterRules) => viewOnly || clipboard === 'both';
const areLong = (offers: Offers, rules: FilterRules) =>
  needsNoWord(rules) ? offers.now : offers.confirmed && !offers.takenBack;

/** The rules once more, in another shape: one message after the other from a buffer that has all of them. */
function reference({ before, behind }: Stream, rules: FilterRules): Buffer {
  const { viewOnly, clipboard } = rules;
  const stream = join(before, behind);
  const toVm = !viewOnly && ['both', 'to_vm'].includes(clipboard);
  const fromVm = ['both', 'from_vm'].includes(clipboard);
  const hands = !viewOnly;
  const out: Buffer[] = [Buffer.of(hands ? (stream[0] ?? 0) : 1)];
  const offers = noOffers();
  let rest = stream.subarray(1);
  while (rest.length > 0) {
    if (rest.length === behind.length) offers.confirmed = offers.ever;
    let [length, passes]: [number, boolean | Buffer] = [0, true];
    const type = rest[0];
    if (type === 0) length = 20;
    else if (type === 2) {
      length = 4 + 4 * rest.readUInt16BE(2);
      const offered: number[] = [];
      let named = false;
      for (let at = 4; at < length; at += 4) {
        const encoding = rest.readInt32BE(at);
        const isMouse = encoding === extendedMouseButtons;
        named ||= isMouse;
        const isCut =
          (encoding === extendedClipboard && (viewOnly || !fromVm)) ||
          (isMouse && offers.takenBack && !needsNoWord(rules));
        if (!isCut) offered.push(encoding);
      }
      takeEncodings(offers, named);
      passes = message.setEncodings(offered);
    } else if (type === 3 || type === 150) length = 10;
    else if (type === 4) [length, passes] = [8, hands];
    else if (type === 5) {
      const marked = (rest[1] ?? 0) > 127;
      [length, passes] = [marked && areLong(offers, rules) ? 7 : 6, hands];
      if (hands && marked && length === 6 && offers.ever && !needsNoWord(rules)) {
        passes = join([5, (rest[1] ?? 0) - 128], rest.subarray(2, 6));
      }
    } else if (type === 6) {
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
function randomStream(random: Random, rules: FilterRules): Stream {
  const before: Buffer[] = [Buffer.of(random(2)), message.setPixelFormat()];
  const behind: Buffer[] = [];
  const offers = noOffers();
  const count = 1 + random(40);
  const confirmedAt = random(count);
  for (let index = 0; index < count; ) {
    if (index === confirmedAt) offers.confirmed = offers.ever;
    const next = randomMessage(random);
    const isLong = next[0] === 5 && next.length === 7;
    if (isLong && !areLong(offers, rules)) continue;
    const looksLong = next[0] === 5 && next.length === 6 && (next[1] ?? 0) > 127;
    if (looksLong && areLong(offers, rules)) continue;
    if (next[0] === 2) takeEncodings(offers, next.includes(join([0xff, 0xff, 0xfe, 0xc4])));
    (index < confirmedAt ? before : behind).push(next);
    index++;
  }
  return { before: join(...before), behind: join(...behind) };
}

describe(`random streams (SEED=${seed})`, () => {
  for (const viewOnly of [false, true]) {
    it.each(clipboardModes)(
      `are filtered as the reference does, view_only ${viewOnly}, clipboard %s`,
      (clipboard) => {
        const random = seededRandom(seed);
        const rules = { viewOnly, clipboard };
        for (let round = 0; round < 400; round++) {
          const stream = randomStream(random, rules);
          const filter = new ClientFilter(rules);
          const push = (bytes: Buffer) =>
            randomSplit(bytes, random, [1, 3, 20, 500][random(4)] ?? 1).flatMap((piece) =>
              filter.push(piece),
            );
          const out = push(stream.before);
          filter.longPointersConfirmed();
          out.push(...push(stream.behind));
          const all = join(stream.before, stream.behind).toString('hex');
          expect(Buffer.concat(out).equals(reference(stream, rules)), `round ${round}: ${all}`).toBe(true);
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
