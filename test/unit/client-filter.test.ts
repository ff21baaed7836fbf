// A browser's messages under each rule: which go on, which do not, however the bytes are cut, and what ends a session.
import { describe, expect, it } from 'vitest';
import { clipboardModes } from '../../src/clipboard.ts';
import { ClientFilter } from '../../src/rfb/client-filter.ts';
import type { FilterRules } from '../../src/rfb/client-rules.ts';
import { RfbViolation } from '../../src/rfb/client-violation.ts';
import { PixelFormat } from '../../src/rfb/server-pixel-format.ts';
import {
  caps,
  everySplit,
  extendedClipboard,
  extendedMouseButtons,
  join,
  message,
  notify,
  novncEncodings,
  peek,
  pixelFormat24,
  provide,
  request,
  textFormat,
  u16,
  u32,
  xvpEncoding,
} from '../support/rfb-messages.ts';

const SHARED = Buffer.of(1);
const everyRules: FilterRules[] = [false, true].flatMap((viewOnly) =>
  clipboardModes.map((clipboard) => ({ viewOnly, clipboard })),
);
const named = everyRules.map((rules): [string, FilterRules] => [
  `${rules.viewOnly ? 'view_only' : 'all keys'}, clipboard ${rules.clipboard}`,
  rules,
]);

/** What goes on of a stream after ClientInit. */
function through(rules: FilterRules, pieces: Buffer[]): Buffer {
  const filter = new ClientFilter(rules);
  filter.push(SHARED);
  const out = Buffer.concat(pieces.flatMap((piece) => filter.push(piece)));
  expect(filter.isBetweenMessages).toBe(true);
  return out;
}

/** Of thousands of bytes, thousands of times. */
function expectBytes(bytes: Buffer, expected: Buffer): void {
  if (!bytes.equals(expected)) expect(bytes.toString('hex')).toBe(expected.toString('hex'));
}

type Passes = (rules: FilterRules) => boolean;
const always: Passes = () => true;
const withHands: Passes = ({ viewOnly }) => !viewOnly;
const toVm: Passes = ({ viewOnly, clipboard }) =>
  !viewOnly && (clipboard === 'both' || clipboard === 'to_vm');
const whole: Passes = ({ viewOnly, clipboard }) => !viewOnly && clipboard === 'both';
const fromVm: Passes = ({ viewOnly, clipboard }) =>
  !viewOnly && (clipboard === 'both' || clipboard === 'from_vm');

const zlib = Buffer.from('789c01', 'hex');

const table: [what: string, bytes: Buffer, passes: Passes][] = [
  ['SetPixelFormat', message.setPixelFormat(), always],
  ['FramebufferUpdateRequest', message.updateRequest(), always],
  ['KeyEvent', message.key(), withHands],
  ['PointerEvent', message.pointer(), withHands],
  ['PointerEvent of an old eighth button', message.pointer(0x80), withHands],
  ['ClientCutText', message.cutText(Buffer.from('to the VM')), toVm],
  ['ClientCutText of nothing', message.cutText(Buffer.alloc(0)), toVm],
  ['ClientCutText that holds messages', message.cutText(join(message.key(), message.xvp())), toVm],
  ['clipboard caps', message.extendedCutText(caps | request | peek | notify | provide | 1, u32(0)), fromVm],
  ['clipboard caps of three formats', message.extendedCutText(caps | notify | 7, u32(0, 9, 9)), fromVm],
  ['clipboard request', message.extendedCutText(request | textFormat), fromVm],
  ['clipboard peek', message.extendedCutText(peek), fromVm],
  ['clipboard notify', message.extendedCutText(notify | textFormat), whole],
  ['clipboard provide', message.extendedCutText(provide | textFormat, zlib), whole],
  ['a request that provides as well', message.extendedCutText(request | provide | textFormat, zlib), whole],
  ['a request that notifies as well', message.extendedCutText(request | notify | textFormat), whole],
  ['a request with more in it', message.extendedCutText(request | textFormat, message.key()), whole],
  ['caps with more than its sizes', message.extendedCutText(caps | 1, join(u32(0), message.key())), whole],
  ['caps with less than its sizes', message.extendedCutText(caps | provide | 3, u32(0)), whole],
  ['a clipboard action of the future', message.extendedCutText(1 << 29), whole],
  ['EnableContinuousUpdates', message.continuousUpdates(), always],
  ['ClientFence', message.fence(Buffer.from('payload')), always],
  ['the longest ClientFence', message.fence(Buffer.alloc(64, 4)), always],
  ['the shortest ClientFence', message.fence(Buffer.alloc(0)), always],
  ['xvp (power)', message.xvp(), withHands],
  ['SetDesktopSize', message.setDesktopSize(), withHands],
  ['SetDesktopSize of no screen', message.setDesktopSize(0), withHands],
  ['SetDesktopSize of 20 screens', message.setDesktopSize(20), withHands],
  ["QEMU's key event", message.qemuKey(), withHands],
  ["QEMU's audio on", message.qemuAudio(0), always],
  ["QEMU's audio off", message.qemuAudio(1), always],
  ["QEMU's audio format", message.qemuAudioFormat(), always],
  ['SetEncodings of nothing', message.setEncodings([]), always],
  ['SetEncodings of plain ones', message.setEncodings([16, 1, 0, -239, -223]), always],
];

describe.each(named)('%s', (_name, rules) => {
  it.each(table)(
    '%s goes on or does not, cut anywhere, and what is around it goes on',
    (_what, bytes, passes) => {
      const [before, after] = [message.fence(Buffer.from('one')), message.fence(Buffer.from('another'))];
      const stream = join(before, bytes, after);
      const expected = passes(rules) ? stream : join(before, after);
      for (const pieces of everySplit(stream)) expectBytes(through(rules, pieces), expected);
    },
  );

  it('counts what went on and what did not', () => {
    const filter = new ClientFilter(rules);
    filter.push(join(SHARED, ...table.map(([, bytes]) => bytes)));
    const passed = table.filter(([, , passes]) => passes(rules)).length;
    expect([filter.passed, filter.dropped]).toEqual([passed, table.length - passed]);
  });

  it('cuts out of SetEncodings what the rules leave no use for, and moves nothing', () => {
    const stream = join(message.setPixelFormat(), message.setEncodings());
    const [kept] = everySplit(stream);
    const listed = through(rules, kept ?? []).subarray(24);
    const offered = Array.from({ length: listed.length / 4 }, (_value, index) =>
      listed.readInt32BE(4 * index),
    );
    // H.264, JPEG and Hextile have lengths that are not known.
    const unmeasured = [50, 21, 5];
    expect(offered).toEqual(
      novncEncodings.filter((encoding) => {
        if (encoding === extendedMouseButtons) return true;
        if (encoding === extendedClipboard) return fromVm(rules);
        if (encoding === xvpEncoding) return !rules.viewOnly;
        const isUnread = rules.clipboard === 'both' || (rules.viewOnly && rules.clipboard === 'from_vm');
        return isUnread || !unmeasured.includes(encoding);
      }),
    );
    const expected = join(message.setPixelFormat(), message.setEncodings(offered));
    for (const pieces of everySplit(stream)) expectBytes(through(rules, pieces), expected);
  });

  it('offers no more encodings than every server reads, the first of those that are left', () => {
    // Read as messages, each of the last would be two keys.
    const keys = Array.from({ length: 100 }, (_none, index) => (index % 2 === 0 ? 0x04010000 : 0x61));
    const quality = Array.from({ length: 10 }, (_none, index) => -32 + index);
    const levels = [...quality, ...Array.from({ length: 10 }, (_none, index) => -256 + index)];
    const listed = [0, 5, 16, 1, ...levels, ...novncEncodings.slice(10, 20), ...keys];
    for (const bytes of [message.setEncodings(listed), message.setEncodings(listed.slice(0, 33))]) {
      const out = through(rules, [bytes]);
      const offered = Array.from({ length: out.length / 4 - 1 }, (_none, index) =>
        out.readInt32BE(4 + 4 * index),
      );
      expect(offered.length).toBeLessThanOrEqual(32);
      expect(out).toEqual(message.setEncodings(offered));
      expect(listed.filter((encoding) => offered.includes(encoding)).slice(0, 32)).toEqual(offered);
    }
    const most = message.setEncodings([
      0,
      16,
      1,
      ...levels,
      -223,
      -224,
      -239,
      -307,
      -308,
      -312,
      -313,
      -258,
      -261,
    ]);
    expect(most.length).toBe(4 + 4 * 32);
    expectBytes(through(rules, [most]), most);
  });

  it.each([
    ['an unknown message', Buffer.of(1), 'the browser sent an unknown message (type 1)'],
    ['an unknown QEMU message', Buffer.of(255, 2), 'the browser sent an unknown QEMU message (type 2)'],
    ['an unknown QEMU audio message', Buffer.of(255, 1, 0, 3), 'unknown QEMU audio message (3)'],
    ['far too many encodings', join([2, 0], u16(1025)), 'the browser named 1025 encodings'],
    ['a fence that is too long', join([248, 0, 0, 0], u32(0), [65]), 'sent a fence of 65 bytes'],
    [
      'a clipboard far too long',
      join([6, 0, 0, 0], u32(0x1000001)),
      'announced a clipboard of 16777217 bytes',
    ],
    ['an extended one far too long', join([6, 0, 0, 0], u32(-0x1000001)), 'a clipboard of -16777217 bytes'],
    [
      'the one length that has no amount',
      join([6, 0, 0, 0], u32(0x80000000)),
      'clipboard of -2147483648 bytes',
    ],
    ['an extended one without flags', join([6, 0, 0, 0], u32(-3)), 'announced a clipboard of -3 bytes'],
  ])('%s ends the session with a reason, cut anywhere', (_what, bytes, reason) => {
    for (const pieces of everySplit(join(message.updateRequest(), bytes))) {
      const act = () => through(rules, pieces);
      expect(act).toThrow(RfbViolation);
      expect(act).toThrow(reason);
    }
  });

  it('takes the longest clipboard without keeping a byte of it, and the most screens', () => {
    const filter = new ClientFilter(rules);
    filter.push(SHARED);
    const [length, piece] = [16 * 1024 * 1024, Buffer.alloc(64 * 1024, 4)];
    filter.push(join([6, 0, 0, 0], u32(length)));
    const before = process.memoryUsage().arrayBuffers;
    for (let sent = 0; sent < length; sent += piece.length) {
      const out = filter.push(piece);
      if (toVm(rules)) expect(out[0]).toBe(piece);
      else expect(out).toEqual([]);
    }
    filter.push(message.setDesktopSize(255));
    expect(filter.isBetweenMessages).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
    expect(through(rules, [message.updateRequest()])).toEqual(message.updateRequest());
  });
});

describe('ClientInit', () => {
  it.each(named)('goes on as it is, %s, but that a viewer throws nobody out', (_name, rules) => {
    const filter = new ClientFilter(rules);
    expect(filter.push(Buffer.alloc(0))).toEqual([]);
    const out = filter.push(join([0], message.updateRequest()));
    expect(Buffer.concat(out)).toEqual(join([rules.viewOnly ? 1 : 0], message.updateRequest()));
    const other = new ClientFilter(rules);
    expect(other.push(SHARED)).toEqual([SHARED]);
  });

  it('is one byte, and another of the same value is a message', () => {
    expect(() => new ClientFilter(everyRules[0] as FilterRules).push(Buffer.of(1, 1))).toThrow(RfbViolation);
  });
});

describe('where nothing is kept back', () => {
  const rules: FilterRules = { viewOnly: false, clipboard: 'both' };

  it('hands on the very memory that came', () => {
    const filter = new ClientFilter(rules);
    filter.push(SHARED);
    const bytes = join(
      message.key(),
      message.pointer(),
      message.setEncodings(),
      message.cutText(Buffer.alloc(99)),
    );
    const out = filter.push(bytes);
    expect(out).toHaveLength(1);
    expect(out[0]).toBe(bytes);
    const start = bytes.subarray(0, 20);
    const [key] = filter.push(start);
    // What is cut off waits; what is whole is not copied.
    expect([key?.buffer, key?.byteOffset, key?.length]).toEqual([bytes.buffer, bytes.byteOffset, 14]);
  });

  it('reads a pointer with more buttons as longer once that was offered, and not before or after', () => {
    const long = message.extendedPointer(0x101);
    const agreed = message.setEncodings([extendedMouseButtons]);
    const revoked = message.setEncodings([0]);
    const stream = join(agreed, long, message.pointer(), long, message.key(), revoked, message.pointer(0x81));
    for (const pieces of everySplit(stream)) expectBytes(through(rules, pieces), stream);
    // Its last byte, 2, would begin a SetEncodings.
    expect(() => through(rules, [join(long, message.key())])).toThrow();
  });
});

describe.each(['to_vm', 'from_vm', 'off'] as const)(
  'pointers with more buttons, clipboard %s',
  (clipboard) => {
    const rules: FilterRules = { viewOnly: false, clipboard };
    const offer = message.setEncodings([0, extendedMouseButtons]);
    const silence = message.setEncodings([0]);
    const [short, marked] = [message.pointer(0x05), message.pointer(0x85)];
    const long = message.extendedPointer(0x105);
    const end = message.fence(Buffer.from('end'));

    /** Runs of messages, after each of which the server says that it reads the longer form. */
    function throughRuns(runs: Buffer[], cut: (run: Buffer) => Iterable<Buffer[]>): Buffer[] {
      const results: Buffer[] = [];
      const first = [...cut(runs[0] ?? end)];
      const last = [...cut(runs.at(-1) ?? end)];
      for (let at = 0; at < Math.max(first.length, last.length); at++) {
        const filter = new ClientFilter(rules);
        const out = filter.push(SHARED);
        for (const [index, run] of runs.entries()) {
          const cuts = index === 0 ? first : last;
          const pieces = index === 0 || index === runs.length - 1 ? cuts[at % cuts.length] : [run];
          for (const piece of pieces ?? []) out.push(...filter.push(piece));
          filter.longPointersConfirmed();
        }
        expect(filter.isBetweenMessages).toBe(true);
        results.push(Buffer.concat(out).subarray(1));
      }
      return results;
    }

    it.each<[what: string, runs: Buffer[], expected: Buffer]>([
      [
        'go on once offered and confirmed',
        [offer, join(long, short, long, end)],
        join(offer, long, short, long, end),
      ],
      [
        'stay what they are when it is offered again',
        [offer, join(offer, long, end)],
        join(offer, offer, long, end),
      ],
      ['are short before the server has confirmed', [join(offer, marked, end)], join(offer, short, end)],
      ['are short where nobody offered anything', [end, join(marked, end)], join(end, marked, end)],
      [
        'are short where it was confirmed before it was offered',
        [end, join(offer, marked, end)],
        join(end, offer, short, end),
      ],
      [
        'are short once it was taken back',
        [offer, join(silence, marked, end)],
        join(offer, silence, short, end),
      ],
      [
        'are short for good once it was taken back',
        [offer, join(silence, offer), join(offer, marked, end)],
        join(offer, silence, silence, silence, short, end),
      ],
    ])('%s, cut anywhere', (_what, runs, expected) => {
      for (const out of throughRuns(runs, everySplit)) expectBytes(out, expected);
    });

    it('hide nothing from the rules: all servers read them as they do', () => {
      const hidden = message.xvp();
      // To a server that reads the longer form as soon as it is offered, these ten bytes are a pointer of seven and others.
      const smuggler = join(offer, [5, 0x80], u16(1, 1), hidden);
      expect(through(rules, [smuggler])).toEqual(join(offer, [5, 0], u16(1, 1), hidden));
    });
  },
);

describe('where something is kept back', () => {
  it('extended clipboard messages are not for a VM that was not offered the extension', () => {
    const ask = message.extendedCutText(request | textFormat);
    expect(through({ viewOnly: false, clipboard: 'to_vm' }, [ask])).toHaveLength(0);
    expect(through({ viewOnly: true, clipboard: 'both' }, [ask])).toHaveLength(0);
  });
});

describe("where the server's messages are read as well", () => {
  const rules: FilterRules = { viewOnly: false, clipboard: 'off' };
  const other = join([16, 16, 0, 1], u16(31, 63, 31), [11, 5, 0, 0, 0, 0]);

  it('each pixel format is told before it goes on', () => {
    const told: number[] = [];
    const filter = new ClientFilter({
      ...rules,
      pixelFormatSet: ({ bytesPerPixel }) => told.push(bytesPerPixel),
    });
    filter.push(join(SHARED, message.setPixelFormat(other), message.setPixelFormat()));
    expect(told).toEqual([2, 4]);
  });

  it('a pixel format of which no picture can be measured goes on: what counts is a picture in it', () => {
    for (const bits of [0, 15, 24, 64]) {
      const set = message.setPixelFormat(join([bits], pixelFormat24.subarray(1)));
      expect(through(rules, [set])).toEqual(set);
    }
  });

  it('a pixel format may change in what no length depends on', () => {
    const first = message.setPixelFormat();
    const padded = message.setPixelFormat(join(pixelFormat24.subarray(0, 13), [1, 2, 3]));
    const otherColours = message.setPixelFormat(
      join([32, 24, 1, 1], u16(255, 255, 255), [16, 8, 0, 0, 0, 0]),
    );
    const other16 = message.setPixelFormat(join([16, 15, 0, 1], u16(31, 31, 31), [10, 5, 0, 0, 0, 0]));
    for (const bytes of [
      join(first, message.updateRequest(), padded, otherColours, first),
      join(message.setPixelFormat(other), message.updateRequest(), other16),
    ]) {
      expectBytes(through(rules, [bytes]), bytes);
    }
    for (const changed of [
      join([32, 24, 0, 1], u16(1023), pixelFormat24.subarray(6)),
      join([32, 24, 0, 0], pixelFormat24.subarray(4)),
      join(pixelFormat24.subarray(0, 10), [1, 9, 17, 0, 0, 0]),
      join([8], pixelFormat24.subarray(1)),
    ]) {
      const bytes = join(first, message.updateRequest(), message.setPixelFormat(changed));
      expect(() => through(rules, [bytes])).toThrow(RfbViolation);
    }
  });

  it("the server's format is in force until the browser sets one", () => {
    const asked = join(SHARED, message.setEncodings([7, 16]), message.updateRequest());
    const changeAfter = (announced: Buffer | undefined) => {
      const filter = new ClientFilter({
        ...rules,
        announcedFormat: () => announced && new PixelFormat(announced),
      });
      filter.push(asked);
      return () => Buffer.concat(filter.push(message.setPixelFormat()));
    };
    expect(changeAfter(pixelFormat24)()).toEqual(message.setPixelFormat());
    expect(changeAfter(other)).toThrow('the browser changed the pixel format in the middle');
    expect(changeAfter(join([32, 32], pixelFormat24.subarray(2)))).toThrow(RfbViolation);
    expect(changeAfter(undefined)).toThrow(RfbViolation);
  });

  it.each([
    ['encodings', message.setEncodings()],
    ['an update request', message.updateRequest()],
    ['continuous updates', message.continuousUpdates()],
  ])('the pixel format stays what it is after %s', (_what, asked) => {
    const again = join(message.setPixelFormat(), asked, message.setPixelFormat());
    expect(() => through(rules, [again])).not.toThrow();
    const changed = join(message.setPixelFormat(), asked, message.setPixelFormat(other));
    expect(() => through(rules, [changed])).toThrow('the browser changed the pixel format in the middle');
    expect(() => through(rules, [join(asked, message.setPixelFormat())])).toThrow(RfbViolation);
    expect(() => through({ ...rules, clipboard: 'from_vm' }, [changed])).toThrow(RfbViolation);
    expect(() => through({ viewOnly: true, clipboard: 'from_vm' }, [changed])).not.toThrow();
  });

  it.each([
    ['none', Buffer.alloc(0)],
    ['16 bits', message.setPixelFormat(other)],
    ['a depth of 32', message.setPixelFormat(join([32, 32], pixelFormat24.subarray(2)))],
    ['no true colour', message.setPixelFormat(join([32, 24, 0, 0], pixelFormat24.subarray(4)))],
    [
      'colours across bytes',
      message.setPixelFormat(join(pixelFormat24.subarray(0, 10), [4, 12, 20, 0, 0, 0])),
    ],
    [
      'one colour across bytes',
      message.setPixelFormat(join(pixelFormat24.subarray(0, 10), [0, 8, 17, 0, 0, 0])),
    ],
    [
      'two colours in one byte',
      message.setPixelFormat(join(pixelFormat24.subarray(0, 10), [0, 8, 8, 0, 0, 0])),
    ],
    ['a colour in no byte', message.setPixelFormat(join(pixelFormat24.subarray(0, 10), [0, 8, 32, 0, 0, 0]))],
    ['ten bits for red', message.setPixelFormat(join([32, 24, 0, 1], u16(1023), pixelFormat24.subarray(6)))],
  ])('Tight is not offered with a pixel format of which it is in doubt: %s', (_what, format) => {
    const out = through(rules, [join(format, message.setEncodings([7, -260, 16]))]);
    expect(out.subarray(format.length)).toEqual(message.setEncodings([16]));
  });
});
