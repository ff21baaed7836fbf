// Who a caller is: oned's answer, not the spelling in his session. What always holds: a limited session has no group but
// its own, and of a session nothing stays that could be read back.
import { describe, expect, it } from 'vitest';
import { Identities } from '../../src/console/identities.ts';
import { GatewayError } from '../../src/errors.ts';
import type { SessionString } from '../../src/oned/session-string.ts';
import type { UserFacts } from '../../src/oned/user.ts';

const never = new AbortController().signal;

function world(serverUsers: string[] = []) {
  const clock = { now: 0 };
  const asked: string[] = [];
  const oned: { answer: UserFacts | undefined } = {
    answer: { uid: 2, name: 'alice', gids: [1, 100], enabled: true },
  };
  const identities = new Identities({
    oned: {
      userInfo: async (session) => {
        asked.push(session);
        if (oned.answer === undefined) throw new GatewayError('oned-unreachable');
        return oned.answer;
      },
    },
    serverUsers: () => new Set(serverUsers),
    now: () => clock.now,
  });
  const recent = (session: string) => identities.recent(session as SessionString, never);
  const present = (session: string) => identities.present(session as SessionString, never);
  return { identities, oned, asked, clock, recent, present };
}

describe('the groups of a session', () => {
  it.each<[string, string[], Partial<UserFacts>, number[]]>([
    ['alice:pw', [], {}, [1, 100]],
    ['alice:token', [], { egid: 100 }, [100]],
    // oned voids such a login token (authenticate_internal in src/um/UserPool.cc).
    ['alice:token', [], { egid: 101 }, []],
    ['alice:token', [], { gids: [0, 100], egid: 100 }, [100]],
    ['serveradmin:alice:secret', ['serveradmin'], {}, [1, 100]],
    ['serveradmin:alice:100:secret', ['serveradmin'], {}, [100]],
    ['serveradmin:alice:0:secret', ['serveradmin'], {}, []],
    ['serveradmin:alice: 100:secret', ['serveradmin'], {}, [100]],
    ['serveradmin:alice:100:sec:ret', ['serveradmin'], {}, [100]],
    ['serveradmin:alice:-1:secret', ['serveradmin'], {}, [1, 100]],
    // The fourth field is the secret; without one the third is.
    ['serveradmin:alice:100', ['serveradmin'], {}, [1, 100]],
    // Server authentication that `server_users` does not name: oned says whom it let in.
    ['serveradmin:alice:100:secret', [], {}, [100]],
    ['serveradmin:ALICE:100:secret', [], {}, [100]],
    // A password with colons is no group.
    ['alice:alice:100:secret', [], {}, [1, 100]],
    ['alice:bob:100:secret', [], {}, [1, 100]],
    ['ALICE:alice:100:secret', [], {}, [1, 100]],
  ])('%s (%j, %j) has %j', async (session, serverUsers, changed, gids) => {
    const { oned, present } = world(serverUsers);
    oned.answer = { uid: 2, name: 'alice', gids: [1, 100], enabled: true, ...changed };
    const identity = await present(session);
    expect(identity).toMatchObject({ uid: 2, user: 'alice', gids });
    expect(identity.egid !== undefined).toBe(identity.gids.length < 2);
  });
});

describe('an identity', () => {
  it('is known for some seconds by its session, to the letter', async () => {
    const { clock, asked, recent } = world();
    for (const session of ['alice:pw', 'ALICE:pw', 'alice:pw ', 'alice:pw']) {
      expect(await recent(session)).toMatchObject({ uid: 2, user: 'alice' });
    }
    expect(asked).toEqual(['alice:pw', 'ALICE:pw', 'alice:pw ']);
    clock.now += 10_000;
    await recent('alice:pw');
    expect(asked).toHaveLength(4);
  });

  it('of a user who was made anew under the same name is another one', async () => {
    const { clock, oned, recent, present } = world();
    expect((await recent('alice:pw')).uid).toBe(2);
    oned.answer = { uid: 9, name: 'alice', gids: [1], enabled: true };
    expect((await present('alice:pw')).uid).toBe(9);
    // And whoever asks again knows of it.
    expect((await recent('alice:pw')).uid).toBe(9);
    oned.answer = { uid: 10, name: 'alice', gids: [1], enabled: true };
    clock.now += 10_000;
    expect((await recent('alice:pw')).uid).toBe(10);
  });

  it('is not made up where oned does not say', async () => {
    const { clock, oned, recent } = world();
    await recent('alice:pw');
    oned.answer = undefined;
    await expect(recent('bob:pw')).rejects.toMatchObject({ code: 'oned-unreachable' });
    clock.now += 10_000;
    await expect(recent('alice:pw')).rejects.toMatchObject({ code: 'oned-unreachable' });
  });

  it('keeps nothing of the session, and of so many sessions no more than it may', async () => {
    const { identities, asked, recent } = world();
    for (let i = 0; i < 10_100; i++) await recent(`alice:opensesame${i}`);
    const { known } = identities as unknown as { known: Map<string, unknown> };
    expect(known.size).toBe(10_000);
    expect(JSON.stringify([...known])).not.toContain('opensesame');
    await recent('alice:opensesame10099');
    expect(asked).toHaveLength(10_100);
    await recent('alice:opensesame0');
    expect(asked).toHaveLength(10_101);
  });

  it('has a name that may be written down', async () => {
    const { oned, present } = world();
    oned.answer = { uid: 2, name: 'al\u001bice\u202e', gids: [1], enabled: true };
    expect((await present('alice:pw')).user).toBe('al\\u{1b}ice\\u{202e}');
  });
});
