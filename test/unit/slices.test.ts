// Long lists, a slice at a time. What always holds: others have their turn in between, and nothing is missed or comes twice.
import { describe, expect, it } from 'vitest';
import { slices } from '../../src/slices.ts';
import { RecordTable } from '../../src/tokens/memory/record-table.ts';
import { issued } from '../../src/tokens/rules.ts';
import { hashToken, newToken } from '../../src/tokens/token.ts';

const now = 1_800_000_000_000;

/** How often the event loop goes round while something is done. */
async function turnsDuring<T>(work: Promise<T>): Promise<{ turns: number; result: T }> {
  let turns = 0;
  let over = false;
  const count = () => {
    turns++;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  const result = await work.finally(() => {
    over = true;
  });
  return { turns, result };
}

function tableOf(count: number) {
  const table = new RecordTable(count);
  const records = Array.from({ length: count }, (_value, vmId) => {
    const target = { host: 'node1', port: 5900 };
    const record = issued({ vmId, target, user: 'alice', uid: 2, issuedAt: now, expiresAt: now + 600_000 });
    const hash = hashToken(newToken());
    table.set(hash, record);
    return { hash, record };
  });
  return { table, records };
}

describe('slices of a list', () => {
  it.each([
    [0, []],
    [1, [1]],
    [3, [3]],
    [4, [3, 1]],
    [9, [3, 3, 3]],
  ])('of %i things, three at a time', async (count, sizes) => {
    const seen: number[][] = [];
    const things = Array.from({ length: count }, (_value, i) => i);
    for await (const slice of slices(things, 3)) seen.push([...slice]);
    expect(seen.map(({ length }) => length)).toEqual(sizes);
    expect(seen.flat()).toEqual(things);
  });
});

describe('a search through many tokens', () => {
  it('leaves the loop to others in between', async () => {
    const { table } = tableOf(20_000);
    const { turns, result } = await turnsDuring(table.list(now, 400_000));
    expect(result).toHaveLength(20_000);
    expect(turns).toBeGreaterThanOrEqual(30);
  });

  it('finds each once, also what ends meanwhile', async () => {
    const { table, records } = tableOf(5000);
    const listed = table.list(now, 400_000);
    for (const { hash, record } of records.slice(0, 100)) {
      table.set(hash, { ...record, ended: 'revoked' });
      await new Promise((resolve) => setImmediate(resolve));
    }
    const hashes = (await listed).map(({ hash }) => hash);
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(hashes).toHaveLength(5000);
  });

  it('finds no more than it was told to', async () => {
    const { table } = tableOf(2000);
    expect(await table.list(now, 1200)).toHaveLength(1200);
  });
});
