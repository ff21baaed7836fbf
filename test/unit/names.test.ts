// Remembered names: the answers are those of the system, in the forms that net.connect asks for.
import { expect, it } from 'vitest';
import { rememberedLookup } from '../../src/transport/names.ts';

function ask(name: string, options: { all?: boolean; family?: number }): Promise<unknown> {
  return new Promise((resolve) => {
    rememberedLookup(name, options, (error, address, family) => resolve(error?.code ?? { address, family }));
  });
}

it('gives all addresses, or the first, of one family or both', async () => {
  const all = (await ask('localhost', { all: true })) as { address: { address: string; family: number }[] };
  expect(all.address.map(({ address }) => address)).toContain('127.0.0.1');
  expect(await ask('localhost', { family: 4 })).toEqual({ address: '127.0.0.1', family: 4 });
  const four = (await ask('localhost', { all: true, family: 4 })) as { address: { family: number }[] };
  expect(four.address.every(({ family }) => family === 4)).toBe(true);
});

it('answers at once from what it remembers, and fails for what there is not, again and again', async () => {
  await ask('localhost', { all: true });
  let answered = false;
  rememberedLookup('localhost', { all: true }, () => {
    answered = true;
  });
  expect(answered).toBe(true);
  for (let i = 0; i < 2; i++)
    expect(await ask('nosuchname.invalid', { all: true })).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/);
});
