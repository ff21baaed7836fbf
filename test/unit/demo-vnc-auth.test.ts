import { describe, expect, test } from 'vitest';
import { respondToChallenge } from '../../src/demo/vnc-auth.ts';

const counting = '000102030405060708090a0b0c0d0e0f';

describe('the response to a VNC challenge', () => {
  // The last one was accepted by Xtigervnc and by QEMU.
  test.each([
    ['password', counting, 'b866924125c8eebb9debc1db61c538e2'],
    ['passwordXYZ', counting, 'b866924125c8eebb9debc1db61c538e2'],
    ['secret12', counting, 'adcd997f8e16fee575e973f93c2b62b4'],
    ['abc', counting, '9c22b4f2088c3465a1562c4b9d6edb04'],
    ['secret12', '03727513da4ef9f18f15872b9d051187', 'a49b8caeb9d89d142acc431bbb26a247'],
  ])('with the password %s is what real servers accept', (password, challenge, response) => {
    expect(respondToChallenge(password, Buffer.from(challenge, 'hex')).toString('hex')).toBe(response);
  });

  test('cuts a password of many bytes a character after eight bytes', () => {
    const challenge = Buffer.from(counting, 'hex');
    expect(respondToChallenge('ääääx', challenge)).toEqual(respondToChallenge('äääää', challenge));
    expect(respondToChallenge('äääa', challenge)).not.toEqual(respondToChallenge('äääb', challenge));
  });

  test('is refused for a challenge of any other length', () => {
    expect(() => respondToChallenge('abc', Buffer.alloc(15))).toThrow(RangeError);
  });
});
