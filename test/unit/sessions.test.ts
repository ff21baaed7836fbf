// The list of live sessions: what is counted, from when and until when.
import { describe, expect, it } from 'vitest';
import {
  type LiveSession,
  type SessionLimits,
  type SessionPlace,
  SessionRegistry,
} from '../../src/console/sessions.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import { hashToken, newToken } from '../../src/tokens/token.ts';
import { seededRandom } from '../support/random.ts';

const place: SessionPlace = {
  end: () => {},
  probe: () => Promise.resolve(true),
  traffic: () => Promise.resolve(new Map()),
};

let last = 0;
/** Each name is of another user. */
const names: string[] = [];
function uidOf(user: string): number {
  if (!names.includes(user)) names.push(user);
  return names.indexOf(user);
}

function session(about: { vmId?: number; user?: string; client?: string } = {}): LiveSession {
  const { vmId = 7, user = 'alice', client = '192.0.2.1' } = about;
  const target = { host: '127.0.0.1', port: 5900 };
  return {
    ...{
      id: `${++last}` as SessionId,
      hash: hashToken(newToken()),
      client,
      since: 0,
      endsAt: undefined,
      place,
      ref: 'R',
    },
    grant: { vmId, uid: uidOf(user), user, target, issuedAt: 0, expiresAt: 1 },
  };
}

function registry(limits: Partial<SessionLimits> = {}): SessionRegistry {
  const all = { perVm: 2, perUser: 3, perAddress: 4, perHost: 5, ...limits };
  return new SessionRegistry({ limits: () => all, isExempt: (client) => client === '127.0.0.1' });
}

describe('limits of sessions', () => {
  it.each([
    ['max_sessions_per_vm (2)', [{}, { user: 'bob' }], { user: 'carol' }],
    ['max_sessions_per_vm (2)', [{}, {}], {}],
    ['max_sessions_per_user (3)', [{}, { vmId: 8 }, { vmId: 9 }], { vmId: 10 }],
    [
      'max_sessions_per_address (4)',
      [1, 2, 3, 4].map((vmId) => ({ vmId, user: `u${vmId}` })),
      { vmId: 5, user: 'u5' },
    ],
    [
      'max_sessions (5)',
      [1, 2, 3, 4, 5].map((vmId) => ({ vmId, user: `u${vmId}`, client: `192.0.2.${vmId}` })),
      { vmId: 6, user: 'u6', client: '192.0.2.6' },
    ],
  ])('%s', (what, there, newcomer) => {
    const sessions = registry();
    const [first] = there.map((about) => {
      const one = session(about);
      sessions.add(one);
      return one;
    });
    const size = sessions.size;
    expect(() => sessions.add(session(newcomer))).toThrow(`${what} is reached`);
    expect(sessions.size).toBe(size);
    sessions.remove(first?.id as SessionId);
    sessions.add(session(newcomer));
  });

  it('count nobody twice where the same words are a user, an address and a VM', () => {
    const sessions = registry({ perVm: 1, perUser: 1, perAddress: 1, perHost: 10 });
    sessions.add(session({ vmId: 1, user: 'vm 2', client: '192.0.2.1' }));
    sessions.add(session({ vmId: 2, user: 'address 192.0.2.3', client: '192.0.2.2' }));
    sessions.add(session({ vmId: 3, user: 'host', client: '192.0.2.3' }));
    expect(sessions.size).toBe(3);
  });

  it('let whoever has most of a VM make room for others, the one that came last first', () => {
    const sessions = registry({ perVm: 6, perUser: 9, perAddress: 99, perHost: 99 });
    const add = (user: string) => {
      const one = session({ user });
      return { id: one.id, gone: sessions.add(one) };
    };
    const ofMallory = Array.from({ length: 6 }, () => add('mallory').id);
    expect(() => add('mallory')).toThrow('max_sessions_per_vm (6)');
    const gone = ['alice', 'bob', 'alice', 'bob'].flatMap((user) => add(user).gone);
    expect(gone).toEqual(ofMallory.slice(2).toReversed());
    for (const user of ['mallory', 'alice', 'bob'])
      expect(() => add(user)).toThrow('max_sessions_per_vm (6)');
    // Another one has fewer than all of them, but nobody has two more.
    expect(add('carol').gone).toHaveLength(1);
    for (const id of gone) {
      expect(sessions.isLeaving(id)).toBe(true);
      sessions.remove(id);
    }
    expect(sessions.size).toBe(6 + 1);
  });

  it('let nobody make room where another limit is reached as well, or for who replaces one', () => {
    const sessions = registry({ perVm: 3, perUser: 9, perAddress: 9, perHost: 3 });
    const ofMallory = Array.from({ length: 3 }, () => session({ user: 'mallory' }));
    for (const one of ofMallory) sessions.add(one);
    expect(() => sessions.add(session({ user: 'alice' }))).toThrow('max_sessions (3)');
    expect(ofMallory.map(({ id }) => sessions.isLeaving(id))).toEqual([false, false, false]);
    expect(sessions.add(session({ user: 'mallory' }), [ofMallory[0]?.id as SessionId])).toEqual([]);
  });

  it('do not count who has been told to go, and count him off only once', () => {
    const sessions = registry({ perVm: 1 });
    const [first, second] = [session(), session()];
    sessions.add(first);
    sessions.leave(first.id);
    sessions.leave(first.id);
    expect(sessions.isLeaving(first.id)).toBe(true);
    sessions.add(second);
    expect(sessions.remove(first.id)).toBe(first);
    expect(sessions.isLeaving(first.id)).toBe(false);
    expect(() => sessions.add(session())).toThrow('max_sessions_per_vm');
    sessions.remove(second.id);
    sessions.add(session());
  });

  it('make room for who replaces somebody, and for nobody else', () => {
    const sessions = registry({ perVm: 1, perUser: 1, perAddress: 1, perHost: 1 });
    const [first, second] = [session(), session()];
    sessions.add(first);
    expect(() => sessions.add(second)).toThrow('is reached');
    expect(() => sessions.add(second, ['nobody' as SessionId])).toThrow('is reached');
    sessions.add(second, [first.id]);
    sessions.leave(first.id);
    // The first makes room once.
    expect(() => sessions.add(session(), [first.id])).toThrow('is reached');
  });

  it('are counted down to nothing, whatever comes in whatever order', () => {
    const random = seededRandom(5);
    const sessions = registry({ perVm: 5, perUser: 9, perAddress: 9, perHost: 20 });
    const known: SessionId[] = [];
    for (let i = 0; i < 5000; i++) {
      const id = known[random(known.length)];
      const what = random(4);
      if (what === 0 && id !== undefined) sessions.leave(id);
      else if (what === 1 && id !== undefined) sessions.remove(id);
      else {
        const one = session({ vmId: random(4), user: `u${random(3)}`, client: `192.0.2.${random(3)}` });
        known.push(one.id);
        try {
          sessions.add(one, id === undefined || random(3) > 0 ? [] : [id]);
          if (id !== undefined && random(2) === 0) sessions.leave(id);
        } catch {
          known.pop();
        }
      }
    }
    for (const id of known) sessions.remove(id);
    expect(sessions.size).toBe(0);
    expect(sessions.all()).toEqual([]);
    for (let i = 0; i < 5; i++) sessions.add(session());
    expect(() => sessions.add(session())).toThrow('max_sessions_per_vm (5)');
  });
});
