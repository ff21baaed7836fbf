// What a browser is told in RFB's security handshake, in each version that it may answer with, however its bytes are cut.
import { describe, expect, test } from 'vitest';
import { BrowserHandshake, BrowserHandshakeError } from '../../src/rfb/browser-handshake.ts';

/** Pushes the pieces; gives what was sent, and what is left for the target. */
function play(...pieces: (string | Buffer)[]): { sent: string; rest: string; done: boolean } {
  const handshake = new BrowserHandshake();
  const sent: Buffer[] = [];
  const left: Buffer[] = [];
  let done = false;
  for (const piece of pieces) {
    const bytes = Buffer.from(piece as string);
    if (done) {
      left.push(bytes);
      continue;
    }
    const step = handshake.push(bytes);
    sent.push(...step.send);
    if (step.rest !== undefined) left.push(step.rest);
    done = step.done;
  }
  return { sent: Buffer.concat(sent).toString('hex'), rest: Buffer.concat(left).toString('hex'), done };
}

const clientInit = '\x01';

describe('a browser', () => {
  test('is greeted with RFB 3.8', () => {
    expect(new BrowserHandshake().greeting().toString()).toBe('RFB 003.008\n');
  });

  test.each([
    ['3.8', 'RFB 003.008\n\x01', '010100000000'],
    ['3.7', 'RFB 003.007\n\x01', '0101'],
    ['3.3', 'RFB 003.003\n', '00000001'],
    ['3.5, which is 3.3', 'RFB 003.005\n', '00000001'],
    ['3.6, which is 3.3', 'RFB 003.006\n', '00000001'],
    ['3.9, which is 3.8', 'RFB 003.009\n\x01', '010100000000'],
    ["Apple's version, which is 3.8", 'RFB 003.889\n\x01', '010100000000'],
    ["RealVNC's version, which is 3.8", 'RFB 005.000\n\x01', '010100000000'],
  ])(
    'that answers in %s is let in without a password, wherever its bytes are cut',
    (_version, said, answer) => {
      const all = `${said}${clientInit}after`;
      const expected = { sent: answer, rest: Buffer.from(`${clientInit}after`).toString('hex'), done: true };
      for (let cut = 0; cut <= all.length; cut++) {
        expect(play(all.slice(0, cut), all.slice(cut)), `cut at ${cut}`).toEqual(expected);
      }
      expect(play(...all)).toEqual(expected);
    },
  );

  test('is asked nothing before its version is whole', () => {
    expect(play('RFB 003.008')).toEqual({ sent: '', rest: '', done: false });
    expect(play('RFB 003.008\n')).toEqual({ sent: '0101', rest: '', done: false });
  });

  test('has no rest where nothing followed, and gets its own bytes back where something did', () => {
    const version = Buffer.from('RFB 003.008\n\x01');
    expect(new BrowserHandshake().push(version)).not.toHaveProperty('rest');
    const more = Buffer.from('RFB 003.008\n\x01\x01');
    const { rest } = new BrowserHandshake().push(more);
    expect(rest?.buffer).toBe(more.buffer);
    expect(rest).toEqual(Buffer.from([1]));
  });

  test.each([
    ['something else', 'GET / HTTP/1.1\r\n', 'does not speak RFB'],
    ['a version with letters', 'RFB 003.00x\n', 'does not speak RFB'],
    ['a wrong first byte', 'X', 'does not speak RFB'],
    ['a version without its end', 'RFB 003.008\r', 'does not speak RFB'],
    ['a version that is too old', 'RFB 003.002\n', 'older than 3.3'],
    ['version 0', 'RFB 000.000\n', 'older than 3.3'],
    ['another security type', 'RFB 003.008\n\x02', 'security type that was not offered'],
    ['security type 0', 'RFB 003.007\n\0', 'security type that was not offered'],
  ])('that says %s is refused', (_what, said, told) => {
    const error = (() => {
      try {
        play(...said);
      } catch (thrown) {
        return thrown;
      }
      return undefined;
    })();
    expect(error).toBeInstanceOf(BrowserHandshakeError);
    expect(String(error)).toContain(told);
  });
});
