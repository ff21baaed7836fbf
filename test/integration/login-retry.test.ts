// The whole service in front of an oned that does not know a login token yet. What always holds: the portal gets its
// console and nobody a failed login; whoever is refused twice has failed once.
import { beforeAll, describe, expect, it } from 'vitest';
import { startTestOned, type TestOned } from '../support/oned.ts';
import { type OneReply, type Service, startService } from '../support/service.ts';

const vm = { vm: { id: 7, hosts: ['node1'], uid: 2 } };
const refusal = { error: "[one.vm.info] User couldn't be authenticated, aborting call.", code: 0x0100 };
const client = { 'x-forwarded-for': '203.0.113.9' };

let oned: TestOned;
let service: Service;

beforeAll(async () => {
  oned = await startTestOned();
  service = await startService({ oned, flags: { max_failed_logins: 2 } });
});

const call = (method: string, session: string): Promise<OneReply> =>
  service.call(method, [session, 7], { headers: client });
const askedBy = (session: string) =>
  oned.calls.filter((one) => one.session === session).map(({ method }) => method);
const failures = (user: string) =>
  service.logLines().filter((line) => line['audit'] === 'login-failed' && line['user'] === user);

describe('a login token that oned does not know yet', () => {
  it.each(['one.vm.vnctokenonly', 'one.vm.vncrevoke', 'one.vm.vncsessions'])(
    'is good for %s',
    async (method) => {
      const session = `alice:token-for-${method}`;
      let asked = 0;
      oned.answer(7, () => (asked++ === 0 ? refusal : vm), session);
      expect((await call(method, session))[0]).toBe(true);
      expect(askedBy(session).filter((one) => one === 'one.vm.info')).toHaveLength(2);
      expect(failures('alice')).toEqual([]);
    },
  );

  it('costs its user nothing of max_failed_logins', async () => {
    for (let one = 0; one < 6; one++) {
      const session = `carol:token-${one}`;
      let asked = 0;
      oned.answer(7, () => (asked++ === 0 ? refusal : vm), session);
      expect((await call('one.vm.vnctokenonly', session))[0]).toBe(true);
    }
  });
});

it('a wrong password is one failed login, though oned was asked twice', async () => {
  oned.answer(7, refusal);
  expect(await call('one.vm.vnctokenonly', 'bob:wrong')).toEqual([false, refusal.error, 0x0100]);
  expect(askedBy('bob:wrong')).toHaveLength(2);
  await service.waitForLog(({ audit }) => audit === 'login-failed', 'the failed login');
  expect(failures('bob')).toHaveLength(1);
  expect(await call('one.vm.vnctokenonly', 'bob:also-wrong')).toEqual([false, refusal.error, 0x0100]);
  // Somebody has failed with that name.
  expect(askedBy('bob:also-wrong')).toHaveLength(1);
  const [, text] = await call('one.vm.vnctokenonly', 'bob:wrong-again');
  expect(text).toMatch(/Too many failed logins/);
  expect(askedBy('bob:wrong-again')).toEqual([]);
});
