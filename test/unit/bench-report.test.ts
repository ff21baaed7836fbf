// The tables that a run writes. What always holds: every peer has its row or column in one table, and a ratio has both
// of its sides in the same run.
import { describe, expect, it } from 'vitest';
import { kinds } from '../../bench/peer.mjs';
import { reportTables } from '../../bench/report.mjs';
import { reportWays } from '../../bench/report-ways.mjs';

type Peer = (typeof kinds)[number]['name'];

/** CPU seconds for a gigabyte of screen, or for a million of anything else. */
function sample(load: string, peer: Peer | 'oned', seconds: number, more: object = {}) {
  const units = load === 'screen' ? 1e9 : 1e6;
  return { load, peer, round: 0, units, seconds: 10, user: seconds, system: 0, ...more };
}

const ways = [
  ...[1, 3, 2].map((user, round) => sample('screen', 'viaTcp', user, { round })),
  sample('screen', 'viaTls', 5),
  sample('screen', 'haproxyTls', 4),
  sample('echo', 'viaTcp', 100, { p50: 200, p99: 400 }),
  sample('echo', 'viaTls', 150, { p50: 220, p99: 500 }),
  sample('connect', 'viaTcp', 500),
  sample('connect', 'security', 600),
];

describe('the tables of the ways', () => {
  const text = reportWays(ways, kinds).join('\n');

  it('have a row for each way that was measured, with its ratio to tcp', () => {
    expect(text).toContain('| `tcp` | 2 · 1 | 100 · 1 | 200 · 1 | 500 · 1 |');
    expect(text).toContain('| `tls` | 5 · 2.5 | 150 · 1.5 | 220 · 1.1 | – |');
    expect(text).toContain('| `tcp`, `vnc_auth: proxy` | – | – | – | 600 · 1.2 |');
    expect(text).toContain('| HAProxy, TLS | 4 · 2 | – | – | – |');
    expect(text).not.toContain('ssh');
    expect(text).toContain('3 rounds');
  });

  it('compare with HAProxy on the same way, where it was measured', () => {
    expect(text).toContain('divided by HAProxy');
    expect(text).toContain('| `tls` | 1.25 | – | – | – |');
    const withoutPeers = ways.filter(({ peer }) => peer !== 'haproxyTls');
    expect(reportWays(withoutPeers, kinds).join('\n')).not.toContain('divided by HAProxy');
  });

  it('tell values without ratios where tcp was left out', () => {
    const alone = ways.filter(({ peer }) => peer === 'viaTls');
    expect(reportWays(alone, kinds).join('\n')).toContain('| `tls` | 5 | 150 | 220 | – |');
  });

  it('are left out with all that is around them where no way was measured', () => {
    expect(reportWays([sample('screen', 'thisProxy', 1)], kinds)).toEqual([]);
  });
});

describe('the report', () => {
  const own = [sample('screen', 'thisProxy', 1), sample('connect', 'thisProxy', 800)];
  const stores = [sample('connect', 'redisStore', 900)];

  it('keeps ways and stores out of the tables of the peers', () => {
    const text = reportTables([...own, ...stores, ...ways], kinds);
    const [values = '', rest = ''] = text.split('### By store');
    expect(values).toContain('| load | this proxy |\n');
    const [byStore = '', byWay = ''] = rest.split('### By way to the target');
    expect(byStore).toContain('| redis | 900 | – |');
    expect(byStore).not.toContain('tls');
    expect(byWay).toContain('| `tls` | 5 · 2.5 |');
  });

  it('tells of every peer that was measured how good its numbers are', () => {
    const measured = [...own, ...stores, ...ways];
    const quality = reportTables(measured, kinds).split('### How good')[1];
    for (const { name, title } of kinds) {
      const expected = measured.some(({ peer }) => peer === name);
      expect(quality?.includes(`\n| ${title} | `), title).toBe(expected);
    }
  });
});
