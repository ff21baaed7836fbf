// How the console page tells a refusal from a wrong password: by the first bytes, however they are cut.
import { describe, expect, it } from 'vitest';
import { Greeting } from '../../src/web/page/greeting.ts';

describe('the first bytes of a server', () => {
  it.each([
    ['no security types, as a refusal', 'RFB 003.008\n\0\0\0\0\x05sorry', true],
    ['two security types', 'RFB 003.008\n\x02\x01\x02', false],
    ['RFB 3.3 with VncAuth', 'RFB 003.003\n\0\0\0\x02', false],
    ['RFB 3.3 as a refusal', 'RFB 003.003\n\0\0\0\0\0\0\0\x01x', true],
    ['only a version', 'RFB 003.008\n', false],
    ['nothing', '', false],
  ])('%s', (_title, text, refused) => {
    const bytes = Buffer.from(text, 'latin1');
    for (const size of [1, 5, 13, 100]) {
      const greeting = new Greeting();
      for (let at = 0; at < bytes.length; at += size) greeting.read(bytes.subarray(at, at + size));
      expect(greeting.refused, `in pieces of ${size}`).toBe(refused);
    }
  });

  it('wants no more than it needs', () => {
    const greeting = new Greeting();
    greeting.read(Buffer.from('RFB 003.008\n'));
    expect(greeting.complete).toBe(false);
    greeting.read(Buffer.from('\x01'));
    expect(greeting.complete).toBe(true);
  });
});
