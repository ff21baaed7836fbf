// The pure parts of the benchmark: numbers out of /proc, and numbers out of measurements. What always holds: what is
// read is what proc(5) describes, odd program names included.
import { describe, expect, it } from 'vitest';
import { parseStat, treeOf } from '../../bench/cpu-time.mjs';
import { replaceMeasured } from '../../bench/document.mjs';
import { callRate, judge, medianOf } from '../../bench/goal.mjs';
import { assignCores, parseCores } from '../../bench/machine.mjs';
import { parsePss } from '../../bench/memory.mjs';
import { parseOptions } from '../../bench/options.mjs';
import { selfTimes } from '../../bench/profile.mjs';
import { parseBusySeconds } from '../../bench/quiet.mjs';
import { median, percentile, shortNumber, spread } from '../../bench/statistics.mjs';

const rest = '0 0 20 0 11 0 6543 1 2';

describe('numbers out of /proc', () => {
  it.each([
    ['plain', `42 (node) S 7 42 42 0 -1 0 9 9 9 9 100 20 3 4 ${rest}`],
    ['with spaces and parentheses', `42 (a) R 1 (b c)) S 7 42 42 0 -1 0 9 9 9 9 100 20 3 4 ${rest}`],
  ])('the line of a process, name %s', (_name, line) => {
    expect(parseStat(line)).toEqual({ pid: 42, parent: 7, user: 103, system: 24 });
  });

  it('a process tree has children of children, and nobody else', () => {
    const all = [
      [1, 0],
      [2, 1],
      [5, 3],
      [3, 2],
      [4, 1],
      [9, 8],
    ].map(([pid = 0, parent = 0]) => ({ pid, parent, user: 0, system: 0 }));
    expect(treeOf(all, 2).map(({ pid }) => pid)).toEqual([2, 3, 5]);
    expect(treeOf(all, 77)).toEqual([]);
  });

  it('memory is the proportional share, with what is swapped out', () => {
    const rollup =
      '55-7ff [rollup]\nRss:      5000 kB\nPss:      1200 kB\nPss_Anon:  700 kB\nSwapPss:    30 kB\n';
    expect(parsePss(rollup)).toBe(1230 * 1024);
    expect(parsePss('')).toBe(0);
  });

  it('the work of all cores leaves out waiting, and guests that are counted already', () => {
    expect(parseBusySeconds('cpu  100 20 30 9999 888 5 6 7 50 50\ncpu0 1 2 3\n')).toBeCloseTo(1.68);
  });

  it.each([
    ['0-1', [0, 1], { proxy: 0, generator: 1, target: 1 }],
    ['2,4-6', [2, 4, 5, 6], { proxy: 2, generator: 4, target: 5 }],
    ['3', [3], {}],
  ])('cores %s', (list, cores, assigned) => {
    expect(parseCores(list)).toEqual(cores);
    expect(assignCores(cores)).toEqual(assigned);
  });
});

describe('numbers out of measurements', () => {
  it('the median is the middle one, or between the middle two', () => {
    const values = [9, 1, 10];
    expect(median(values)).toBe(9);
    expect(median([4, 1, 2, 10])).toBe(3);
    expect(values).toEqual([9, 1, 10]);
    expect(() => median([])).toThrow('no values');
  });

  it('percentiles and spread', () => {
    const hundred = Array.from({ length: 101 }, (_none, index) => 100 - index);
    expect([0, 0.5, 0.99, 1].map((share) => percentile(hundred, share))).toEqual([0, 50, 99, 100]);
    expect(spread([8, 10, 12])).toBeCloseTo(0.4);
  });

  it('numbers are short, whatever their size', () => {
    const texts = [0.01234, 1.234, 51351.4, 100, 0, Number.NaN].map(shortNumber);
    expect(texts).toEqual(['0.0123', '1.23', '51,351', '100', '0', '–']);
  });

  it('a profile tells self times, without idling', () => {
    const frame = (functionName: string) => ({ functionName, url: 'file:///a/src/b.js', lineNumber: 4 });
    const nodes = ['(idle)', 'one', 'two'].map((name, id) => ({ id, callFrame: frame(name) }));
    const profile = { nodes, samples: [0, 1, 2, 1], timeDeltas: [1000, 20, 10, 10] };
    expect(selfTimes(profile)).toEqual([
      ['one a/src/b.js:5', 0.75],
      ['two a/src/b.js:5', 0.25],
    ]);
  });
});

describe('goals', () => {
  const sample = (load: string, peer: 'thisProxy' | 'haproxy' | 'oned', more: object) => ({
    ...{ load, peer, round: 0, units: 1e9, ...more },
  });
  const samples = [
    ...[0.4, 0.5, 0.9].map((user) => sample('screen', 'thisProxy', { user, system: 0.1 })),
    sample('screen', 'haproxy', { user: 0.2, system: 0.6 }),
    sample('issue', 'oned', { units: 3000, seconds: 2 }),
    sample('issue', 'thisProxy', { units: 1800, seconds: 2 }),
  ];

  it('are held against ratios of medians', () => {
    expect(medianOf(samples, 'screen', 'thisProxy')).toBeCloseTo(0.6);
    const verdicts = new Map(judge(samples).map((verdict) => [verdict.title, verdict]));
    expect(verdicts.get('screen ÷ HAProxy')).toMatchObject({ measured: expect.closeTo(0.75), met: true });
    expect(verdicts.get('screen ÷ websockify')).toMatchObject({ measured: undefined, met: undefined });
  });

  it('ask for as many tokens a second as oned allows, up to a thousand', () => {
    expect(callRate(samples, 'oned')).toBe(1500);
    expect(judge(samples).at(-1)).toMatchObject({ measured: 900, limit: 'at least 1000', met: false });
    const slowOned = samples.map((one) => (one.peer === 'oned' ? { ...one, units: 2000 } : one));
    expect(judge(slowOned).at(-1)).toMatchObject({ limit: 'at least 900', met: true });
  });
});

describe('the command line and the document', () => {
  it('plans what is complete and what is only a try', () => {
    expect(parseOptions([])).toMatchObject({ rounds: 5, idleSessions: 5000, complete: true });
    expect(parseOptions(['--quick'])).toMatchObject({ rounds: 1, complete: false });
    expect(parseOptions(['--only', 'screen,idle'])).toMatchObject({
      only: ['screen', 'idle'],
      complete: false,
    });
    expect(parseOptions(['--help'])).toBeUndefined();
  });

  it.each([[['--rounds', '0']], [['--rounds', 'x']], [['--only', 'screens']], [['--nonsense']]])(
    'refuses %j',
    (argv) => {
      expect(() => parseOptions(argv)).toThrow();
    },
  );

  it('leaves what people wrote alone', () => {
    const [begin, end] = ['<!-- measured: begin -->', '<!-- measured: end -->'];
    const document = `before\n${begin}\nold\n${end}\nafter $& \n`;
    expect(replaceMeasured(document, 'new $1')).toBe(`before\n${begin}\nnew $1\n${end}\nafter $& \n`);
    expect(() => replaceMeasured('no marks', 'new')).toThrow('no place');
  });
});
