// Remembered names: the answers are those of the system, shared by who asks at the same time, and never a failure.
import { expect, it } from 'vitest';
import { resolveName } from '../../src/transport/names.ts';

const never = new AbortController().signal;

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'resolved',
    (error: NodeJS.ErrnoException) => error.code,
  );
}

it('gives all addresses of a name, and an address as itself', async () => {
  const all = await resolveName('localhost', never);
  expect(all.map(({ address }) => address)).toContain('127.0.0.1');
  expect(await resolveName('192.0.2.7', never)).toEqual([{ address: '192.0.2.7', family: 4 }]);
  expect(await resolveName('2001:db8::7', never)).toEqual([{ address: '2001:db8::7', family: 6 }]);
});

it('gives the very same answer to all who ask within a few seconds', async () => {
  const [one, two] = await Promise.all([resolveName('localhost', never), resolveName('localhost', never)]);
  expect(two).toBe(one);
  expect(await resolveName('localhost', never)).toBe(one);
});

it('fails for what there is not, again and again', async () => {
  for (let i = 0; i < 2; i++)
    expect(await codeOf(resolveName('nosuchname.invalid', never))).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/);
});

it('does not keep anybody who has given up waiting', async () => {
  const attempt = new AbortController();
  const asked = resolveName('another.nosuchname.invalid', attempt.signal);
  attempt.abort(new Error('given up'));
  await expect(asked).rejects.toThrow('given up');
  await expect(resolveName('localhost', attempt.signal)).rejects.toThrow('given up');
});
