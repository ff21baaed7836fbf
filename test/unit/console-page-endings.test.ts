// What the console page says when there is no console, and when it tries again by itself.
import { describe, expect, it } from 'vitest';
import { type Ending, explain, printable } from '../../src/web/page/endings.ts';
import { RetryPlan, retryDelaysSeconds } from '../../src/web/page/retry.ts';

const closed = (code: number, reason = '', wasConnected = true): Ending => ({
  kind: 'closed',
  code,
  reason,
  wasConnected,
});

describe('the words for an ending', () => {
  it.each([
    [closed(1000, 'Target closed'), /ended/, /powered off/, 'Target closed · code 1000', true],
    [closed(1001), /restarting/, /back soon/, 'code 1001', true],
    [closed(1002), /broken off/, /changed the data, or the machine/, 'code 1002', true],
    [closed(1003), /broken off/, /kind/, 'code 1003', true],
    [closed(1007), /broken off/, /changed the data/, 'code 1007', true],
    [closed(1009), /broken off/, /larger/, 'code 1009', true],
    [closed(1006), /lost/, /network/, 'code 1006', true],
    [closed(1006, '', false), /No connection/, /certificate/, 'code 1006', true],
    [
      closed(1011, 'Failed to connect to downstream server', false),
      /does not answer/,
      /could not reach/,
      'Failed to connect to downstream server · code 1011',
      true,
    ],
    [
      closed(1011, 'the target refused the VNC password: Authentication failed', false),
      /cannot be opened/,
      /reason below/,
      'the target refused the VNC password: Authentication failed · code 1011',
      true,
    ],
    [closed(1011, '', false), /does not answer/, /could not reach/, 'code 1011', true],
    [closed(4001), /another window/, /taken over/, 'code 4001', true],
    [closed(4002), /withdrawn/, /ended the access/, 'code 4002', false],
    [closed(4003), /time/, /portal/, 'code 4003', false],
    [closed(4004), /gone/, /removed/, 'code 4004', false],
    [closed(4005), /Too many/, /limit/, 'code 4005', true],
    [closed(4999, 'who knows'), /ended/, /closed the connection/, 'who knows · code 4999', true],
    [
      { kind: 'refused', reason: 'This console link is not valid any more (ref ABC123)' },
      /cannot be opened/,
      /from your portal/,
      'This console link is not valid any more (ref ABC123)',
      false,
    ],
    [
      { kind: 'refused', reason: 'This console is in use in another window (ref ABC123)' },
      /another window/,
      /Close that window/,
      'This console is in use in another window (ref ABC123)',
      true,
    ],
    [
      { kind: 'refused', reason: 'The token store cannot be reached (ref ABC123)' },
      /cannot be opened/,
      /Try again/,
      'The token store cannot be reached (ref ABC123)',
      true,
    ],
    [
      { kind: 'password', reason: 'Authentication failed\0' },
      /password/,
      /again/,
      'Authentication failed',
      true,
    ],
    [{ kind: 'protocol' }, /cannot be shown/, /understand/, '', true],
    [{ kind: 'identity' }, /cannot be shown/, /identity/, '', false],
    [{ kind: 'timeout' }, /No answer/, /in time/, '', true],
    [{ kind: 'viewer' }, /could not be loaded/, /reload/, '', false],
    [{ kind: 'damaged-link' }, /damaged/, /from your portal/, '', false],
    [{ kind: 'no-link' }, /No console/, /from your portal/, '', false],
    [{ kind: 'reloaded' }, /loaded anew/, /from your portal/, '', false],
  ] satisfies [Ending, RegExp, RegExp, string, boolean][])('%j', (ending, title, text, detail, retry) => {
    const words = explain(ending);
    expect(words.title).toMatch(title);
    expect(words.text).toMatch(text);
    expect(words.detail).toBe(detail);
    expect(words.retry).toBe(retry);
  });

  it('keeps a hostile text on one line, in one direction and short', () => {
    expect(printable('a\r\n\tb\u0000\u202ec\u2066d ')).toBe('a b c d');
    expect(printable('x'.repeat(1000))).toHaveLength(200);
    expect([...printable('😀'.repeat(1000), 80)]).toHaveLength(80);
  });
});

describe('reconnecting without being asked', () => {
  it.each([
    [closed(1006), true],
    [closed(1001), true],
    [closed(1001, '', false), true],
    [closed(1006, '', false), false],
    [closed(1000, 'Target closed'), false],
    [closed(1011, '', false), false],
    [closed(4001), false],
    [closed(4002), false],
    [closed(4003), false],
    [closed(4004), false],
    [closed(4005), false],
    [{ kind: 'refused', reason: '' }, false],
    [{ kind: 'password', reason: '' }, false],
    [{ kind: 'timeout' }, false],
    [{ kind: 'protocol' }, false],
  ] satisfies [Ending, boolean][])('%j: %s', (ending, retries) => {
    expect(new RetryPlan().after(ending, 0) !== undefined).toBe(retries);
  });

  it('waits longer each time and gives up in the end', () => {
    const plan = new RetryPlan();
    const first = plan.after(closed(1006), 60_000);
    const next = retryDelaysSeconds.slice(1).map(() => plan.after(closed(1006, '', false), 0));
    const delays = [first, ...next].map((retry) => retry?.delaySeconds);
    expect(delays).toEqual(retryDelaysSeconds);
    expect(delays).toEqual([...delays].sort((a, b) => (a ?? 0) - (b ?? 0)));
    expect(next.at(-1)).toMatchObject({ attempt: 5, attempts: 5 });
    expect(plan.after(closed(1006, '', false), 0)).toBeUndefined();
  });

  it('gives up too on a console that comes up and dies at once, every time', () => {
    const plan = new RetryPlan();
    for (const _ of retryDelaysSeconds) expect(plan.after(closed(1006), 100)).toBeDefined();
    expect(plan.after(closed(1006), 100)).toBeUndefined();
  });

  it('begins anew after a console that had lasted', () => {
    const plan = new RetryPlan();
    plan.after(closed(1006), 0);
    plan.after(closed(1006), 0);
    expect(plan.after(closed(1006), 31_000)).toMatchObject({ attempt: 1 });
  });

  it('stops at a refusal within a series', () => {
    const plan = new RetryPlan();
    plan.after(closed(1001), 0);
    expect(plan.after({ kind: 'refused', reason: '' }, 0)).toBeUndefined();
    expect(plan.after(closed(1006, '', false), 0)).toBeUndefined();
  });

  it.each([4001, 4002, 4003, 4004, 4005])('stops at %i within a series, and at the loss after it', (code) => {
    const plan = new RetryPlan();
    expect(plan.after(closed(1006), 60_000)).toBeDefined();
    expect(plan.after(closed(code), 60_000)).toBeUndefined();
    expect(plan.after(closed(1006, '', false), 0)).toBeUndefined();
  });

  it('ends within the time for which the service keeps a console open by default', () => {
    const graceSeconds = 60;
    const sum = retryDelaysSeconds.reduce((total, seconds) => total + seconds, 0);
    expect(sum).toBeLessThan(graceSeconds);
  });

  it('is over when the person takes over', () => {
    const plan = new RetryPlan();
    plan.after(closed(1001), 0);
    plan.reset();
    expect(plan.after(closed(1006, '', false), 0)).toBeUndefined();
  });
});
