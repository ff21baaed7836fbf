// Calls of an address. What always holds: whoever calls too often is served as often as the limit says, and nobody else
// hears of it.
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { CallLimit } from '../../src/rpc/call-limit.ts';

function limitWith() {
  let now = 0;
  const limit = new CallLimit(
    (client) => client === '127.0.0.1',
    () => now,
  );
  return {
    limit,
    pass: (ms: number) => {
      now += ms;
    },
    /** How many of so many calls were let in. */
    call: (times: number, client = '192.0.2.1') => {
      let admitted = 0;
      for (let i = 0; i < times; i++) {
        try {
          limit.admit(client, 5);
          admitted++;
        } catch (error) {
          if (!(error instanceof GatewayError) || error.code !== 'too-many-calls') throw error;
        }
      }
      return admitted;
    },
  };
}

describe('a limit of five calls a second', () => {
  it('lets in five, and in the next second five again', () => {
    const { call, pass } = limitWith();
    expect(call(7)).toBe(5);
    pass(1000);
    expect(call(7)).toBe(5);
  });

  it('serves whoever never stops calling at that pace, and not at all for nothing', () => {
    const { call, pass } = limitWith();
    let admitted = 0;
    for (let ms = 0; ms < 60_000; ms += 10) {
      admitted += call(1);
      pass(10);
    }
    expect(admitted).toBeGreaterThanOrEqual(5 * 59);
    // The second is exact to a sixth.
    expect(admitted).toBeLessThanOrEqual((5 * 61 * 6) / 5);
  });

  it('is that of one address, or of one /64 of IPv6', () => {
    const { call } = limitWith();
    expect([call(6), call(6, '192.0.2.2')]).toEqual([5, 5]);
    expect([call(3, '2001:db8::1'), call(3, '2001:db8::2'), call(3, '2001:db8:0:1::1')]).toEqual([3, 2, 3]);
  });

  it('is none for addresses that stand for many', () => {
    expect(limitWith().call(1000, '127.0.0.1')).toBe(1000);
  });

  it('is told with its name', () => {
    const { limit, call } = limitWith();
    call(5);
    expect(() => limit.admit('192.0.2.1', 5)).toThrow('max_calls_per_address (5 a second) is reached');
  });
});
