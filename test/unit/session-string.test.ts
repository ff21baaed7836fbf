// Whose a session string is. What always holds: nothing that could be the secret in it is taken for a name.
import { expect, it } from 'vitest';
import { type SessionString, userOf } from '../../src/oned/session-string.ts';

const serverUsers = new Set(['serveradmin', 'portal']);

it.each([
  ['alice:secret', 'alice'],
  ['alice:bob:secret', 'alice'],
  ['alice:', 'alice'],
  [':secret', ''],
  ['', ''],
  ['secret', ''],
  ['x'.repeat(1000), ''],
  [`${'x'.repeat(1000)}:secret`, 'x'.repeat(128)],
  ['Größe 世界:secret', 'Größe 世界'],
  ['serveradmin:alice:secret', 'alice'],
  ['portal:alice:secret', 'alice'],
  ['serveradmin:alice:se:cr:et', 'alice'],
  [`serveradmin:${'x'.repeat(1000)}:secret`, 'x'.repeat(128)],
  // Without a third field the second is the secret.
  ['serveradmin:secret', 'serveradmin'],
  ['serveradmin:', 'serveradmin'],
  ['serveradmin::secret', 'serveradmin'],
  ['serveradmin', ''],
  ['Serveradmin:secret:secret', 'Serveradmin'],
  ['serveradmin :secret:secret', 'serveradmin '],
  ['oneadmin:serveradmin:secret', 'oneadmin'],
  ['a\x1b[2Jb\nc\u0085d\u202ee\u2028f:secret', 'a\\u{1b}[2Jb\\u{a}c\\u{85}d\\u{202e}e\\u{2028}f'],
  ['serveradmin:a\0b:secret', 'a\\u{0}b'],
])('%j is that of %j', (session, user) => {
  expect(userOf(session as SessionString, serverUsers)).toBe(user);
  expect(user).not.toContain('secret');
});

it('has no second field that counts where no account logs in for others', () => {
  expect(userOf('serveradmin:alice:secret' as SessionString, new Set())).toBe('serveradmin');
});
