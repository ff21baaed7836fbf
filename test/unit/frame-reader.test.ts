// Frames of browsers, made and judged by npm's ws: the same payload, pings, pongs and Close however the bytes are cut,
// and every violation of RFC 6455 with its close code. All reads of a test lie side by side in one piece of memory, as
// they may in Node, so that a byte written outside of a read, or into one that was handed on, is found at the end.
import { randomInt } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import * as ws from 'ws';
import { FrameReader } from '../../src/proxy/frame-reader.ts';
import { unmask, unmaskBytes } from '../../src/proxy/unmask.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { closePayload, type FrameOptions, frame, opcode } from '../support/ws-client.ts';

interface WsReceiver {
  on(event: string, listener: (...values: never[]) => void): this;
  write(bytes: Buffer): boolean;
}

interface WsFrameOptions {
  fin: boolean;
  opcode: number;
  mask: boolean;
  readOnly: boolean;
  rsv1: boolean;
  generateMask(mask: Buffer): void;
}

// Exported, and missing in the types.
const { Receiver, Sender } = ws as unknown as {
  Receiver: new (options: object) => WsReceiver;
  Sender: { frame(data: Buffer, options: WsFrameOptions): Buffer[] };
};

interface Outcome {
  payload: Buffer;
  /** Pings and the end, in order; at the end, how much payload had come before. */
  events: string[];
}

/** Reads `bytes`, cut at these places. */
function read(bytes: Buffer, cuts: Iterable<number> = []): Outcome {
  // Not at the beginning of its memory: the alignment is part of the test.
  const memory = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3);
  const pieces: Buffer[] = [];
  const events: string[] = [];
  const length = () => pieces.reduce((sum, piece) => sum + piece.length, 0);
  const reader = new FrameReader({
    onPayload: (piece) => pieces.push(piece),
    onPing: (data) => events.push(`ping ${data.toString('hex')}`),
    onPong: () => events.push('pong'),
    onClose: (code) => events.push(`close ${code} after ${length()}`),
    onViolation: (code) => events.push(`violation ${code} after ${length()}`),
  });
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    reader.read(memory.subarray(from, to));
    from = to;
  }
  return { payload: Buffer.concat(pieces), events };
}

/** What ws says to the same bytes. Its messages are whole ones, so these end with a last fragment. */
async function readWithWs(bytes: Buffer): Promise<Outcome> {
  const pieces: Buffer[] = [];
  const events: string[] = [];
  const length = () => pieces.reduce((sum, piece) => sum + piece.length, 0);
  const receiver = new Receiver({ isServer: true, maxPayload: 0 });
  receiver.on('message', (data: Buffer) => pieces.push(data));
  receiver.on('ping', (data: Buffer) => events.push(`ping ${data.toString('hex')}`));
  receiver.on('pong', () => events.push('pong'));
  receiver.on('conclude', (code: number) => events.push(`close ${code} after ${length()}`));
  receiver.on('error', (error: Error & Record<symbol, number>) => {
    const [status] = Object.getOwnPropertySymbols(error);
    events.push(`violation ${status && error[status]} after ${length()}`);
  });
  receiver.write(Buffer.from(bytes));
  // Errors of a stream are told a moment later.
  await new Promise(setImmediate);
  return { payload: Buffer.concat(pieces), events };
}

/** As ws sends it from a browser's side. */
function browserFrame(random: Random, code: number, payload: Buffer, fin = true): Buffer {
  return Buffer.concat(
    Sender.frame(payload, {
      fin,
      opcode: code,
      mask: true,
      readOnly: true,
      rsv1: false,
      generateMask: (mask) => {
        for (let i = 0; i < 4; i++) mask[i] = random(5) === 0 ? 0 : random(256);
      },
    }),
  );
}

function randomBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = random(256);
  return bytes;
}

const lengths = [
  0, 1, 2, 3, 4, 5, 63, 64, 65, 125, 126, 127, 1023, 1024, 1025, 65_535, 65_536, 65_537, 100_001,
];

interface Sequence extends Outcome {
  bytes: Buffer;
}

/** Messages in one to four fragments, with control frames before, between and behind them. */
function randomSequence(random: Random, messages: number, maxLength: number): Sequence {
  const frames: Buffer[] = [];
  const payloads: Buffer[] = [];
  const events: string[] = [];
  const choices = lengths.filter((length) => length <= maxLength);
  const control = () => {
    while (random(3) === 0) {
      const data = randomBytes(random, Math.min(random(4) === 0 ? 125 : random(8), maxLength));
      const isPing = random(2) === 0;
      frames.push(browserFrame(random, isPing ? opcode.ping : opcode.pong, data));
      events.push(isPing ? `ping ${data.toString('hex')}` : 'pong');
    }
  };
  for (let i = 0; i < messages; i++) {
    const fragments = 1 + (random(2) === 0 ? random(4) : 0);
    for (let j = 0; j < fragments; j++) {
      control();
      const edge = choices[random(choices.length)] ?? 0;
      const payload = randomBytes(random, random(3) === 0 ? edge : random(Math.min(30, maxLength + 1)));
      const code = j === 0 ? opcode.binary : opcode.continuation;
      frames.push(browserFrame(random, code, payload, j === fragments - 1));
      payloads.push(payload);
    }
  }
  control();
  const payload = Buffer.concat(payloads);
  if (random(2) === 0) {
    frames.push(browserFrame(random, opcode.close, closePayload(1000 + random(4), 'bye')));
    const code = frames.at(-1);
    events.push(`close ${closeCodeOf(code ?? Buffer.alloc(8))} after ${payload.length}`);
  }
  return { bytes: Buffer.concat(frames), payload, events };
}

function closeCodeOf(close: Buffer): number {
  return ((close[6] ?? 0) ^ (close[2] ?? 0)) * 256 + ((close[7] ?? 0) ^ (close[3] ?? 0));
}

function randomCuts(random: Random, length: number): number[] {
  const count = random(20);
  return Array.from({ length: count }, () => random(length + 1)).toSorted((a, b) => a - b);
}

function check(outcome: Outcome, expected: Outcome, about: string): void {
  // Not by toEqual alone, which takes its time over long buffers.
  if (outcome.payload.equals(expected.payload) && outcome.events.join() === expected.events.join()) return;
  expect(outcome.events, about).toEqual(expected.events);
  expect(outcome.payload.length, about).toBe(expected.payload.length);
  const at = outcome.payload.findIndex((byte, index) => byte !== expected.payload[index]);
  throw new Error(`${about}: the payload differs at byte ${at}`);
}

describe('random frames', () => {
  it('give the payload and events that went in, and that ws reads, wherever reads end', async () => {
    const first = randomInt(2 ** 31);
    for (let seed = first; seed < first + 150; seed++) {
      const random = seededRandom(seed);
      const sequence = randomSequence(random, 1 + random(12), 200_000);
      const about = `seed ${seed}`;
      check(await readWithWs(sequence.bytes), sequence, `${about}, ws`);
      check(read(sequence.bytes), sequence, `${about}, in one read`);
      for (let i = 0; i < 5; i++) {
        const cuts = randomCuts(random, sequence.bytes.length);
        check(read(sequence.bytes, cuts), sequence, `${about}, cut at ${cuts}`);
      }
    }
  });

  it('of few bytes give the same when they are cut at any one or two places, or come byte by byte', () => {
    const first = randomInt(2 ** 31);
    for (let seed = first; seed < first + 40; seed++) {
      const sequence = randomSequence(seededRandom(seed), 3, 5);
      const { length } = sequence.bytes;
      for (let i = 0; i <= length; i++) {
        for (let j = i; j <= length; j++) {
          check(read(sequence.bytes, [i, j]), sequence, `seed ${seed}, cut at ${i} and ${j}`);
        }
      }
      check(read(sequence.bytes, Array(length).keys()), sequence, `seed ${seed}, byte by byte`);
    }
  });

  it('in great number give the same when they come in reads of any one size', () => {
    const seed = randomInt(2 ** 31);
    const sequence = randomSequence(seededRandom(seed), 300, 1025);
    for (const size of [1, 2, 3, 5, 7, 13, 14, 15, 64, 139, 140, 1000, 1024, 4096, 65_536]) {
      const cuts = Array.from({ length: Math.floor(sequence.bytes.length / size) }, (_, i) => (i + 1) * size);
      check(read(sequence.bytes, cuts), sequence, `seed ${seed}, reads of ${size}`);
    }
  });

  it('that were damaged are broken to us wherever they are broken to ws', async () => {
    const first = randomInt(2 ** 31);
    for (let seed = first; seed < first + 400; seed++) {
      const random = seededRandom(seed);
      const sequence = randomSequence(random, 3, 5);
      const at = random(sequence.bytes.length);
      // Behind it there is enough for a header or a payload that begins in the last byte.
      const bytes = Buffer.concat([sequence.bytes, ...Array(20).fill(frame({ payload: 'behind' }))]);
      bytes[at] = (bytes[at] as number) ^ (1 << random(8));
      const theirs = (await readWithWs(bytes)).events.at(-1)?.split(' ') ?? [];
      if (theirs[0] !== 'violation') continue;
      const ours = read(bytes, randomCuts(random, bytes.length)).events.at(-1)?.split(' ') ?? [];
      // Stricter than ws: no text, and lengths in their shortest form.
      expect([theirs[1], '1002', '1003'], `seed ${seed}, byte ${at}`).toContain(ours[1]);
      expect(ours[0], `seed ${seed}, byte ${at}`).toBe('violation');
    }
  });
});

describe('every length', () => {
  it.each(lengths)('of %i bytes is read, in whatever pieces the header and the payload come', (length) => {
    const random = seededRandom(length);
    const payload = randomBytes(random, length);
    const bytes = Buffer.concat([
      browserFrame(random, opcode.binary, payload),
      browserFrame(random, opcode.ping, Buffer.from('x')),
    ]);
    const expected = { payload, events: ['ping 78'] };
    for (let cut = 0; cut <= Math.min(bytes.length, 40); cut++) {
      check(read(bytes, [cut]), expected, `cut at ${cut}`);
      check(read(bytes, [bytes.length - cut]), expected, `cut at ${cut} from the end`);
    }
  });

  it('of a control frame is read', () => {
    for (let length = 0; length <= 125; length++) {
      const data = Buffer.alloc(length, length);
      const bytes = frame({ opcode: opcode.ping, payload: data });
      const expected = { payload: Buffer.alloc(0), events: [`ping ${data.toString('hex')}`] };
      for (let cut = 0; cut <= bytes.length; cut++)
        check(read(bytes, [cut]), expected, `${length} cut at ${cut}`);
    }
  });
});

/** A header alone, byte by byte, and the mask. */
const header = (...bytes: number[]) => Buffer.from([...bytes, 1, 2, 3, 4]);
const control = (options: FrameOptions) => frame({ payload: 'x', ...options });

const violations: [what: string, code: number, bytes: Buffer, within?: 'message'][] = [
  ['reserved bit 1', 1002, frame({ payload: 'x', reserved: 4 })],
  ['reserved bit 2', 1002, frame({ payload: 'x', reserved: 2 })],
  ['reserved bit 3', 1002, frame({ payload: 'x', reserved: 1 })],
  ['a reserved bit in a ping', 1002, control({ opcode: opcode.ping, reserved: 4 })],
  ['a reserved bit in a Close', 1002, frame({ opcode: opcode.close, reserved: 2 })],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((code): [string, number, Buffer] => [
    `opcode ${code}`,
    1002,
    frame({ opcode: code, payload: 'x' }),
  ]),
  ['an unmasked frame', 1002, frame({ payload: 'xyz', masked: false })],
  ['an unmasked empty frame', 1002, frame({ payload: '', masked: false })],
  ['an unmasked long frame', 1002, frame({ payload: Buffer.alloc(200), masked: false })],
  ['an unmasked ping', 1002, control({ opcode: opcode.ping, masked: false })],
  ['an unmasked Close', 1002, frame({ opcode: opcode.close, masked: false })],
  ['a fragmented ping', 1002, control({ opcode: opcode.ping, fin: false })],
  ['a fragmented pong', 1002, control({ opcode: opcode.pong, fin: false })],
  ['a fragmented Close', 1002, frame({ opcode: opcode.close, fin: false, payload: closePayload(1000) })],
  ['a ping of 126 bytes', 1002, frame({ opcode: opcode.ping, payload: Buffer.alloc(126) })],
  ['a pong of 65536 bytes', 1002, frame({ opcode: opcode.pong, payload: Buffer.alloc(65_536) })],
  [
    'a Close of 126 bytes',
    1002,
    frame({ opcode: opcode.close, payload: closePayload(1000, 'x'.repeat(124)) }),
  ],
  ['a ping with a length of 16 bits that fits in 7', 1002, header(0x89, 0xfe, 0, 1)],
  ['a continuation of nothing', 1002, frame({ opcode: opcode.continuation, payload: 'x' })],
  ['an empty continuation of nothing', 1002, frame({ opcode: opcode.continuation, fin: false })],
  ['a message inside a message', 1002, frame({ payload: 'x' }), 'message'],
  ['an empty message inside a message', 1002, frame({ fin: false }), 'message'],
  ['a text frame', 1003, frame({ opcode: opcode.text, payload: 'x' })],
  ['an empty text frame', 1003, frame({ opcode: opcode.text })],
  ['a fragmented text frame', 1003, frame({ opcode: opcode.text, fin: false, payload: 'x' })],
  ['a text frame inside a message', 1002, frame({ opcode: opcode.text, payload: 'x' }), 'message'],
  ['a length of 16 bits that fits in 7', 1002, header(0x82, 0xfe, 0, 125)],
  ['a length of 16 bits that is 0', 1002, header(0x82, 0xfe, 0, 0)],
  ['a length of 64 bits that fits in 16', 1002, header(0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff)],
  ['a length of 64 bits that is 0', 1002, header(0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)],
  ['a length with its highest bit set', 1002, header(0x82, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0)],
  ['a length of all bits', 1002, header(0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255)],
  ['a frame of 16 MiB and a byte', 1009, header(0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 1)],
  ['a frame of 4 GiB', 1009, header(0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0)],
  ['a frame of the greatest length', 1009, header(0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255)],
  ['a Close of one byte', 1002, frame({ opcode: opcode.close, payload: 'x' })],
  ['a Close with code 1005', 1002, frame({ opcode: opcode.close, payload: closePayload(1005) })],
  ['a Close with code 999', 1002, frame({ opcode: opcode.close, payload: closePayload(999, 'why') })],
  ...[[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0x66, 0xe2, 0x82], [0xf4, 0x90, 0x80, 0x80]].map(
    (reason): [string, number, Buffer] => [
      `a Close with the reason ${reason.map((byte) => byte.toString(16))}`,
      1007,
      frame({ opcode: opcode.close, payload: closePayload(1000, Buffer.from(reason)) }),
    ],
  ),
];

describe('a violation', () => {
  it.each(violations)(
    '%s is told with %i, after all that came before it and before nothing',
    (_what, code, bytes, within) => {
      const before = [
        frame({ payload: 'one' }),
        frame({ opcode: opcode.ping, payload: 'p' }),
        frame({ payload: 'two', fin: within === undefined }),
      ];
      const after = [
        frame({ payload: 'after' }),
        frame({ opcode: opcode.ping }),
        frame({ opcode: opcode.close }),
      ];
      const all = Buffer.concat([...before, bytes, ...after]);
      const expected = { payload: Buffer.from('onetwo'), events: ['ping 70', `violation ${code} after 6`] };
      check(read(all), expected, 'in one read');
      const lengthBefore = Buffer.concat(before).length;
      for (let cut = 1; cut < Math.min(all.length, 150); cut++) {
        check(read(all, [cut]), expected, `cut at ${cut}`);
        check(
          read(
            all,
            [lengthBefore, lengthBefore + cut].filter((at) => at < all.length),
          ),
          expected,
          `cut twice`,
        );
      }
      const bytewise = Array.from({ length: Math.min(all.length, 150) }, (_, i) => i);
      check(read(all, bytewise), expected, 'byte by byte');
    },
  );

  it.each(violations)(
    '%s is told once its header has come, and its payload when there is a Close',
    (_what, code, bytes, within) => {
      const opening = within === undefined ? [] : [frame({ payload: '', fin: false })];
      const outcome = read(Buffer.concat([...opening, bytes.subarray(0, 140)]));
      expect(outcome).toEqual({ payload: Buffer.alloc(0), events: [`violation ${code} after 0`] });
    },
  );

  it('is none in a frame of 16 MiB', () => {
    const bytes = Buffer.concat([header(0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 0), Buffer.alloc(1000)]);
    const { payload, events } = read(bytes);
    expect([payload.length, events]).toEqual([1000, []]);
  });

  it('of the order of frames is seen over control frames and empty fragments', () => {
    const bytes = Buffer.concat([
      frame({ fin: false }),
      frame({ opcode: opcode.ping }),
      frame({ opcode: opcode.continuation, payload: 'a', fin: false }),
      frame({ opcode: opcode.continuation, fin: true }),
      frame({ opcode: opcode.pong }),
      frame({ opcode: opcode.continuation, payload: 'b' }),
    ]);
    expect(read(bytes)).toEqual({
      payload: Buffer.from('a'),
      events: ['ping ', 'pong', 'violation 1002 after 1'],
    });
  });
});

describe('a Close', () => {
  it('with any code is a Close or a violation as ws has it', async () => {
    for (const code of [...Array(5001).keys(), 32_768, 65_535]) {
      const bytes = frame({ opcode: opcode.close, payload: closePayload(code, 'why') });
      const isViolation = (await readWithWs(bytes)).events[0]?.startsWith('violation');
      const expected = isViolation ? 'violation 1002 after 0' : `close ${code} after 0`;
      expect(read(bytes).events).toEqual([expected]);
    }
  }, 60_000);

  it('without a payload has code 1005', () => {
    expect(read(frame({ opcode: opcode.close })).events).toEqual(['close 1005 after 0']);
  });

  it.each(['', 'x'.repeat(123), 'ä€😀', '\u0000'])('with the reason %j is one', (reason) => {
    const bytes = frame({ opcode: opcode.close, payload: closePayload(1000, reason) });
    for (let cut = 0; cut < bytes.length; cut++)
      expect(read(bytes, [cut]).events).toEqual(['close 1000 after 0']);
  });

  it('is told after the payload before it, also inside a message, and nothing is read after it', () => {
    const bytes = Buffer.concat([
      frame({ payload: 'one' }),
      frame({ payload: 'two', fin: false }),
      frame({ opcode: opcode.close, payload: closePayload(4999) }),
      frame({ opcode: opcode.continuation, payload: 'three' }),
      frame({ opcode: opcode.text, payload: 'four' }),
    ]);
    const expected = { payload: Buffer.from('onetwo'), events: ['close 4999 after 6'] };
    for (let cut = 0; cut <= bytes.length; cut++) check(read(bytes, [cut]), expected, `cut at ${cut}`);
  });
});

describe('what one read brings', () => {
  it('is passed on in one piece where the frames are small', () => {
    const pieces: Buffer[] = [];
    const never = () => {
      throw new Error('no such event was expected');
    };
    const reader = new FrameReader({
      onPayload: (bytes) => pieces.push(bytes),
      onPing: () => {},
      onPong: never,
      onClose: never,
      onViolation: never,
    });
    reader.read(
      Buffer.concat([
        frame({ payload: 'a' }),
        frame({ opcode: opcode.ping, payload: 'p' }),
        frame({ payload: 'b' }),
      ]),
    );
    expect(pieces.map(String)).toEqual(['ab']);
    reader.read(frame({ payload: 'c' }));
    expect(pieces.map(String)).toEqual(['ab', 'c']);
  });
});

describe('unmasking', () => {
  const mask = Buffer.from([0x12, 0x9a, 0x00, 0xff]);
  const key = mask.readInt32LE();

  it('is right at every alignment, phase and length, and changes nothing beside', () => {
    const original = randomBytes(seededRandom(1), 320);
    for (let alignment = 0; alignment < 8; alignment++) {
      for (let phase = 0; phase < 4; phase++) {
        for (let length = 0; length <= 300; length++) {
          const from = length % 3;
          const bytes = Buffer.concat([Buffer.alloc(alignment), original]).subarray(alignment);
          const expected = Buffer.from(original);
          for (let i = 0; i < length; i++) {
            expected[from + i] = (original[from + i] as number) ^ (mask[(phase + i) % 4] as number);
          }
          unmask(bytes, from, from + length, key, phase);
          if (!bytes.equals(expected)) {
            throw new Error(`wrong with alignment ${alignment}, phase ${phase}, length ${length}`);
          }
        }
      }
    }
  });

  it('is right for payloads whose first bytes came in another read', () => {
    const original = randomBytes(seededRandom(2), 1000);
    for (const phase of [4, 5, 1023, 65_535, 16_777_215]) {
      const bytes = Buffer.from(original);
      unmask(bytes, 0, bytes.length, key, phase);
      const expected = original.map((byte, i) => byte ^ (mask[(phase + i) % 4] as number));
      expect(bytes.equals(expected)).toBe(true);
    }
  });

  it('to an earlier place, also one that overlaps, is right', () => {
    const original = randomBytes(seededRandom(3), 64);
    for (let into = 0; into <= 20; into++) {
      for (let length = 0; length <= 40; length++) {
        for (let phase = 0; phase < 4; phase++) {
          const bytes = Buffer.from(original);
          unmaskBytes(bytes, 20, 20 + length, into, key, phase);
          const expected = Buffer.from(original);
          for (let i = 0; i < length; i++) {
            expected[into + i] = (original[20 + i] as number) ^ (mask[(phase + i) % 4] as number);
          }
          if (!bytes.equals(expected))
            throw new Error(`wrong into ${into}, length ${length}, phase ${phase}`);
        }
      }
    }
  });
});
