// What is said through the control socket, read as if an enemy had written it; and how it looks to people.
import { describe, expect, it } from 'vitest';
import { type ControlRequest, parseAnswer, parseRequest } from '../../src/control/messages.ts';
import { jsonLine, sessionTable, sizeText, tokenTable } from '../../src/control/table.ts';

const session = {
  fingerprint: '0123456789ab',
  vm: 7,
  user: 'alice',
  client: '192.0.2.1',
  since: '2026-01-02T03:04:05Z',
  bytes: 1536,
};
const token = {
  fingerprint: 'ba9876543210',
  vm: 12,
  user: 'bob',
  issued: '2026-01-02T03:00:00Z',
  expires: '2026-01-02T03:10:00Z',
  firstUsed: null,
  sessions: 0,
};

describe('a request', () => {
  it.each<ControlRequest>([
    { command: 'sessions' },
    { command: 'tokens' },
    { command: 'revoke', selection: { all: true } },
    { command: 'revoke', selection: { fingerprint: '0123456789ab' } },
    { command: 'revoke', selection: { vm: 0 } },
    { command: 'revoke', selection: { fingerprint: '0123456789ab', vm: 1, user: '' } },
  ])('%j is understood', (request) => {
    expect(parseRequest(JSON.stringify(request))).toEqual(request);
  });

  it.each([
    ['is empty', ''],
    ['is no JSON', '{"command":"sessions"'],
    ['is no object', '["sessions"]'],
    ['is nothing', 'null'],
    ['has no command', '{}'],
    ['has an unknown command', '{"command":"stop"}'],
    ['has an inherited name for a command', '{"command":"constructor"}'],
    ['has an unknown member', '{"command":"sessions","all":true}'],
    ['has a member that objects inherit', '{"command":"sessions","__proto__":{}}'],
    ['revokes without a choice', '{"command":"revoke"}'],
    ['revokes by an empty choice', '{"command":"revoke","selection":{}}'],
    ['revokes all of a kind', '{"command":"revoke","selection":{"all":true,"vm":1}}'],
    ['revokes all, falsely', '{"command":"revoke","selection":{"all":false}}'],
    ['revokes by an unknown member', '{"command":"revoke","selection":{"vm":1,"users":"alice"}}'],
    ['revokes by null', '{"command":"revoke","selection":{"vm":null}}'],
    ['revokes a VM by its text', '{"command":"revoke","selection":{"vm":"1"}}'],
    ['revokes a VM that is none', '{"command":"revoke","selection":{"vm":1.5}}'],
    ['revokes by a whole hash', `{"command":"revoke","selection":{"fingerprint":"${'a'.repeat(64)}"}}`],
    ['revokes by a list', '{"command":"revoke","selection":["all"]}'],
  ])('that %s is none', (_what, line) => {
    expect(parseRequest(line)).toBeUndefined();
  });
});

describe('an answer', () => {
  it.each([
    { session },
    { token },
    { token: { ...token, firstUsed: '2026-01-02T03:00:01Z' } },
    { revoked: 3 },
    { revoked: 0, note: 'not here' },
    { working: true },
    { error: 'no' },
    { end: true, more: false },
  ])('%j is understood', (answer) => {
    expect(parseAnswer(JSON.stringify(answer))).toEqual(answer);
  });

  it.each([
    '',
    'HTTP/1.1 400 Bad Request',
    '{}',
    '{"end":false}',
    '{"revoked":-1}',
    '{"revoked":"all"}',
    '{"error":"no","end":true}',
    JSON.stringify({ session: { ...session, token: 'x' } }),
    JSON.stringify({ session: { ...session, bytes: 1.5 } }),
    JSON.stringify({ session: { ...session, fingerprint: 'a'.repeat(64) } }),
    JSON.stringify({ token: { ...token, firstUsed: undefined } }),
  ])('is not %j', (line) => {
    expect(parseAnswer(line)).toBeUndefined();
  });
});

describe('the table', () => {
  it('of sessions is aligned, numbers at the right, the oldest first', () => {
    const younger = { ...session, vm: 1234, user: 'a', since: '2026-01-02T04:00:00Z', bytes: 0 };
    expect(sessionTable([younger, session])).toBe(
      [
        'TOKEN           VM  USER   CLIENT     SINCE                   BYTES',
        '0123456789ab     7  alice  192.0.2.1  2026-01-02T03:04:05Z  1.5 KiB',
        '0123456789ab  1234  a      192.0.2.1  2026-01-02T04:00:00Z      0 B',
      ].join('\n'),
    );
  });

  it('of tokens shows when one expires as long as it was not used', () => {
    const used = { ...token, firstUsed: '2026-01-02T03:01:00Z', sessions: 2, issued: '2026-01-01T00:00:00Z' };
    expect(tokenTable([token, used])).toBe(
      [
        'TOKEN         VM  USER  ISSUED                USED                  EXPIRES               SESSIONS',
        'ba9876543210  12  bob   2026-01-01T00:00:00Z  2026-01-02T03:01:00Z  -                            2',
        'ba9876543210  12  bob   2026-01-02T03:00:00Z  -                     2026-01-02T03:10:00Z         0',
      ].join('\n'),
    );
  });

  it('of nothing has its header', () => {
    expect(sessionTable([])).toBe('TOKEN  VM  USER  CLIENT  SINCE  BYTES');
  });

  const hostile = 'a\u001b[2J\u009b1A\n\u202eb\u0000';

  it.each([
    ['table', sessionTable([{ ...session, user: hostile, client: hostile }])],
    ['line for programs', jsonLine({ ...session, user: hostile })],
  ])('lets no name steer the terminal: %s', (_what, text) => {
    expect(text.replaceAll('\n', '')).toMatch(/^[\x20-\x7e]*$/);
    expect(text.split('\n').length).toBeLessThanOrEqual(2);
  });

  it('for programs is JSON that says the same', () => {
    expect(JSON.parse(jsonLine({ ...session, user: hostile }))).toEqual({ ...session, user: hostile });
  });

  it('cuts a name that would fill the screen', () => {
    const [, line = ''] = sessionTable([{ ...session, user: 'x'.repeat(500) }]).split('\n');
    expect(line).toContain(`${'x'.repeat(59)}…  192`);
  });
});

describe('a size', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1_048_524, '1023.9 KiB'],
    [1_048_575, '1.0 MiB'],
    [12_900_000, '12.3 MiB'],
    [Number.MAX_SAFE_INTEGER, '8.0 PiB'],
    [2 ** 70, '1048576.0 PiB'],
  ])('of %d bytes is %s', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });
});
