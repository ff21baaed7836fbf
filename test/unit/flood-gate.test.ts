// Floods in log and audit: the first few are written, the rest is counted, and no reference is told that is not found.
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type AuditEvent, type AuditFields, sumRefusals } from '../../src/audit.ts';
import { FloodGate, firstRefusals, type Sum } from '../../src/flood-gate.ts';
import { RefusalLog } from '../../src/refusal-log.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function startGate() {
  const sums: Sum[] = [];
  return { gate: new FloodGate((sum) => sums.push(sum)), sums };
}

describe('what is counted', () => {
  it('is what comes after the first few of an address in a minute, by kind', () => {
    const { gate, sums } = startGate();
    const refs = Array.from({ length: 30 }, (_, i) => gate.pass('192.0.2.1', i % 3 === 0 ? 'a' : 'b', 10));
    expect(refs.slice(0, 10)).toEqual(Array(10).fill(undefined));
    const [ref] = refs.slice(10);
    expect(ref).toMatch(/^[2-9A-Z]{6}$/);
    expect(new Set(refs.slice(10))).toEqual(new Set([ref]));
    expect(gate.pass('192.0.2.2', 'a', 10)).toBeUndefined();
    vi.advanceTimersByTime(60_000);
    expect(sums).toEqual([{ client: '192.0.2.1', ref, count: 20, kinds: { a: 6, b: 14 } }]);
    // The next minute begins anew, and has a reference of its own.
    expect(gate.pass('192.0.2.1', 'a', 1)).toBeUndefined();
    expect(gate.pass('192.0.2.1', 'a', 1)).not.toBe(ref);
  });

  it('goes by the /64', () => {
    const { gate, sums } = startGate();
    for (let i = 0; i < 40; i++) gate.pass(`2001:db8::${i.toString(16)}`, 'a', 10);
    gate.flush();
    expect(sums.map(({ client, count }) => [client, count])).toEqual([['2001:db8:0:0::/64', 30]]);
  });

  it('is bounded in lines and memory, however many addresses there are', () => {
    const { gate, sums } = startGate();
    let written = 0;
    let told = 0;
    for (let i = 0; i < 20_000; i++) {
      const client = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
      for (let call = 0; call < 3; call++)
        if (gate.pass(client, 'a', 10) === undefined) written++;
        else told++;
    }
    gate.flush();
    expect(written).toBeLessThanOrEqual(500);
    expect(sums.length).toBeLessThanOrEqual(257);
    expect(sums.reduce((all, { count }) => all + count, 0)).toBe(told);
    expect(sums.at(-1)?.client).toBe('others');
  });

  it('has so many kinds at most', () => {
    const { gate, sums } = startGate();
    for (let i = 0; i < 100; i++) gate.pass('192.0.2.1', `kind ${i}`, 0);
    gate.flush();
    expect(Object.keys(sums[0]?.kinds ?? {})).toHaveLength(17);
    expect(sums[0]?.kinds['others']).toBe(84);
  });

  it('is nothing where nobody floods: no line is added', () => {
    const { gate, sums } = startGate();
    for (let i = 0; i < 10; i++) gate.pass('192.0.2.1', 'a', 10);
    vi.advanceTimersByTime(120_000);
    expect(sums).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

it('what a portal is refused for its users, whom oned knows, is always written', () => {
  expect(firstRefusals(true, true)).toBe(Number.POSITIVE_INFINITY);
  expect(firstRefusals(false, false)).toBe(10);
});

it('a reference that is told stands in the log, in a line of its own or in the sum', () => {
  const lines: Record<string, unknown>[] = [];
  const logger = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const log = new RefusalLog(logger, 'console refused', () => false);
  const refusal = {
    client: '192.0.2.1',
    level: 'info',
    kind: 'token-not-valid',
    fields: { code: 'x' },
  } as const;
  const told = Array.from({ length: 500 }, (_, i) => log.write({ ...refusal, ref: `REF${i}` }).ref);
  log.flush();
  expect(lines).toHaveLength(11);
  for (const ref of told) expect(lines.filter((line) => line['ref'] === ref)).toHaveLength(1);
  expect(lines.at(-1)).toMatchObject({ count: 490, kinds: { 'token-not-valid': 490 }, client: '192.0.2.1' });
});

it('the audit counts refusals of strangers, and writes all that happens to tokens and consoles', () => {
  const written: [AuditEvent, AuditFields][] = [];
  const { audit, flush } = sumRefusals(
    (event, fields) => void written.push([event, fields]),
    () => false,
  );
  const events = ['issued', 'redeemed', 'taken-over', 'ended', 'revoked'] as const;
  for (let i = 0; i < 200; i++) {
    audit('refused', { client: '192.0.2.1', reason: 'unknown' });
    audit('login-failed', { client: '192.0.2.1', user: 'alice' });
    for (const event of events) audit(event, { client: '192.0.2.1', user: 'alice' });
  }
  flush();
  for (const event of events) expect(written.filter(([name]) => name === event)).toHaveLength(200);
  const refused = written.filter(([name]) => name === 'refused' || name === 'login-failed');
  expect(refused).toHaveLength(11);
  expect(refused.at(-1)?.[1]).toMatchObject({ count: 390, kinds: { refused: 195, 'login-failed': 195 } });
});
